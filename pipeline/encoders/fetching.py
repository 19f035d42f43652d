"""Where published weights come from: a person's hands, the hub, a release, repositories, wheels."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from pipeline.core.errors import PipelineError
from pipeline.settings.encoders import WeightsSettings

PLACED = Path("weights")
SMALL = ("config.json", "preprocessor_config.json", "tokenizer*.json", "special_tokens_map.json")
VOCABULARY = ("vocab.json", "vocab.txt", "merges.txt", "*.model")
MODELS = ("model.safetensors", "pytorch_model.bin")
FACENET = "facenet-pytorch/vggface2"
FACENET_FILE = "20180402-114759-vggface2.pt"
FACENET_URL = "https://github.com/timesler/facenet-pytorch/releases/download"
LIGHT_ASD_FILE = "finetuning_TalkSet.model"
RAW_URL = "https://raw.githubusercontent.com"  # files of a repository at a commit
RESEMBLYZER = "resemble-ai/Resemblyzer"
RESEMBLYZER_FILE = "pretrained.pt"
RECOGNISER = ("config.json", "model.bin", "tokenizer.json")
RECOGNISED = (*RECOGNISER, "preprocessor_config.json", "vocabulary.*")  # all that is read of one


def by_hand(weights: WeightsSettings) -> Path:
    """Where a person puts the files of these weights if this machine cannot fetch them."""
    return PLACED / weights.name.replace("/", "--") / weights.revision


def model_files(weights: WeightsSettings) -> tuple[str, ...]:
    """The published files that may hold the parameters, by preference; the pinned ones, if any is pinned."""
    return tuple(name for name in MODELS if name in weights.files) or MODELS


def _unreachable(weights: WeightsSettings, files: str, source: str, error: Exception) -> PipelineError:
    return PipelineError(
        f"weights {weights.name} at {weights.revision}: {files} could not be downloaded from {source} "
        f"({type(error).__name__}: {str(error).partition(chr(10))[0]}). Run this stage "
        f"on a machine with internet, or fetch the file(s) there and place them in {by_hand(weights)}/."
    )


def _command(weights: WeightsSettings) -> str:
    target = by_hand(weights)
    return f"The command: hf download {weights.name} --revision {weights.revision} --local-dir {target}"


def fetch_hub(weights: WeightsSettings) -> Path:
    """A folder with the files of a hub model; raises PipelineError if they cannot be had."""
    models = model_files(weights)
    for model in models:
        try:
            patterns = [*SMALL, *VOCABULARY, model]
            found = Path(snapshot_download(weights.name, revision=weights.revision, allow_patterns=patterns))
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            names = f"config.json, the tokenizer or preprocessor files and {' or '.join(models)}"
            unreachable = _unreachable(weights, names, "the Hugging Face hub", error)
            raise PipelineError(f"{unreachable} {_command(weights)}") from error
        if (found / model).is_file():
            return found
    raise PipelineError(
        f"weights {weights.name} at {weights.revision}: the hub has no {' and no '.join(models)} there. "
        "Check name, revision and pinned files in the config."
    )


def fetch_recogniser(weights: WeightsSettings) -> Path:
    """A folder with the files of a recogniser on the hub; raises PipelineError if they cannot be had."""
    try:
        found = snapshot_download(weights.name, revision=weights.revision, allow_patterns=list(RECOGNISED))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        files = f"{', '.join(RECOGNISER)} and vocabulary.txt"
        unreachable = _unreachable(weights, files, "the Hugging Face hub", error)
        raise PipelineError(f"{unreachable} {_command(weights)}") from error
    return Path(found)


def _fetch_file(weights: WeightsSettings, url: str, target: Path) -> None:
    """Fetch one file; raises PipelineError if it cannot be had."""
    try:
        if os.environ.get("HF_HUB_OFFLINE") == "1":
            raise URLError("HF_HUB_OFFLINE=1")
        torch.hub.download_url_to_file(url, str(target), progress=False)
    except (URLError, OSError) as error:
        raise _unreachable(weights, target.name, url, error) from error


def fetch_facenet(weights: WeightsSettings, target: Path) -> None:
    """Lay the weights of facenet-pytorch into `target`; raises PipelineError if they cannot be had."""
    _fetch_file(weights, f"{FACENET_URL}/{weights.revision}/{FACENET_FILE}", target / FACENET_FILE)


def chooser_file(weights: WeightsSettings) -> str:
    """The published file of Light-ASD: the pinned one, if any is; raises PipelineError if several are."""
    if len(weights.files) > 1:
        raise PipelineError(
            f"config, key chooser.weights.files: {' and '.join(sorted(weights.files))} are pinned, and one "
            'file is read. Lift the pin of the others by "" in place of the SHA-256.'
        )
    return next(iter(weights.files), LIGHT_ASD_FILE)


def fetch_chooser(weights: WeightsSettings, target: Path) -> None:
    """Lay the weights of Light-ASD into `target`; raises PipelineError if they cannot be had."""
    name = chooser_file(weights)
    _fetch_file(weights, f"{RAW_URL}/{weights.name}/{weights.revision}/weight/{name}", target / name)


def wheel_command(weights: WeightsSettings, target: Path) -> list[str]:
    """The pip command that lays the wheel of Resemblyzer into a folder; nothing is installed."""
    package = f"{RESEMBLYZER.rpartition('/')[2]}=={weights.revision.removeprefix('v')}"
    return ["-m", "pip", "download", "--no-deps", "--dest", str(target), package]


def fetch_wheel(weights: WeightsSettings, target: Path) -> None:
    """Lay the wheel of Resemblyzer into `target`; raises PipelineError if it cannot be had."""
    try:
        if os.environ.get("HF_HUB_OFFLINE") == "1":
            raise OSError("HF_HUB_OFFLINE=1")
        command = [sys.executable, *wheel_command(weights, target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError((done.stderr.strip().splitlines() or ["pip failed"])[-1])
    except OSError as error:
        unreachable = _unreachable(weights, RESEMBLYZER_FILE, "its package on PyPI", error)
        raise PipelineError(
            f"{unreachable} The command, after which the wheel lies there: python "
            f"{' '.join(wheel_command(weights, by_hand(weights)))}"
        ) from error
