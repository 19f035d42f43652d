"""Stage weights: public weights, pinned by revision (and by checksum, where the config has one), as a folder.

Runs where there is internet (a cluster's head node); every other stage loads the folder offline. Files that
were placed by hand in `weights/{name}/{revision}/` (`--` for `/` in the name) are taken instead of fetched
ones. Models of the transformers library and facenet's are saved as safetensors, whatever was published; where
one of the published formats is pinned, no other is read. A kind of this project's own is copied as it is, and
one that needs no weights is written. A recogniser (a Whisper in CTranslate2's form) is copied as it is, too.
An encoder of voices comes from the hub, or from the wheel of its package, which may be what is placed.
"""

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal
from urllib.error import URLError
from zipfile import BadZipFile, ZipFile

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors.torch import save_file
from transformers import AutoConfig, AutoFeatureExtractor

from pipeline.core import artefacts, seals, stage
from pipeline.core.errors import PipelineError
from pipeline.core.origins import OWN
from pipeline.core.registries import encoders
from pipeline.encoders.loading import from_folder, model_from_folder, tokenizer_from_folder, torch_state
from pipeline.settings.base import Settings
from pipeline.settings.encoders import WeightsSettings

log = logging.getLogger("pipeline")

PLACED = Path("weights")
FACENET = "facenet-pytorch/vggface2"
FACENET_FILE = "20180402-114759-vggface2.pt"
FACENET_URL = "https://github.com/timesler/facenet-pytorch/releases/download"
SMALL = ("config.json", "preprocessor_config.json", "tokenizer*.json", "special_tokens_map.json")
VOCABULARY = ("vocab.json", "vocab.txt", "merges.txt", "*.model")
MODELS = ("model.safetensors", "pytorch_model.bin")
RESEMBLYZER = "resemble-ai/Resemblyzer"
RESEMBLYZER_FILE = "pretrained.pt"
RECOGNISER = ("config.json", "model.bin", "tokenizer.json")
RECOGNISED = (*RECOGNISER, "preprocessor_config.json", "vocabulary.*")  # all that is read of one
FIRST = "v1"  # revision of what needs no weights; its code is that of this project
PARAMETERS = (".safetensors", ".bin", ".index.json")  # ends of names of what may hold or list parameters


class Params(Settings):
    """Settings of the stage."""

    weights: WeightsSettings
    kind: Literal["encoder", "recogniser", "speakers"] = "encoder"


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


def check_digests(weights: WeightsSettings, folder: Path) -> None:
    """Raise PipelineError if a pinned file is missing or another file than pinned."""
    if not weights.files:
        log.info("no file of %s is pinned", weights.name)
    for name, digest in sorted(weights.files.items()):
        path = folder / name
        if not path.is_file():
            raise PipelineError(f"{path}: missing, and the config pins its SHA-256. Place it there.")
        found = artefacts.file_digest(path)
        if found != digest:
            raise PipelineError(
                f"{path}: its SHA-256 is {found}, the config pins {digest}. Delete the file and fetch it "
                "again; if the pin is wrong, mend it in the config."
            )


def pinned_alone(weights: WeightsSettings, source: Path, spare: Path) -> Path:
    """`source`, or a folder of links in `spare` without parameters that nothing pins, if others are pinned.

    The transformers library prefers model.safetensors, which may lie unchecked beside a pinned file.
    """
    if not set(MODELS) & set(weights.files):
        return source
    kept = spare / "pinned"
    kept.mkdir()
    for path in source.iterdir():
        if path.name in weights.files or not path.name.endswith(PARAMETERS):
            (kept / path.name).symlink_to(path.resolve())
    return kept


def convert_hub(source: Path, target: Path) -> None:
    """Save model and tokenizer or feature extractor the way every encoder folder is laid out."""
    kind = from_folder(AutoConfig.from_pretrained, source).model_type
    model = model_from_folder(source, kind)
    model.save_pretrained(target)
    if (source / "preprocessor_config.json").is_file():
        settings = artefacts.load_json(source / "preprocessor_config.json", source=OWN)
        if "image_mean" in settings:
            artefacts.save_json(target / "preprocessor_config.json", settings, seal=False)
        else:
            from_folder(AutoFeatureExtractor.from_pretrained, source).save_pretrained(target)
    else:
        tokenizer_from_folder(source, model).save_pretrained(target)


def is_own(source: Path) -> bool:
    """Whether the files are of a kind that a module of this project loads as they are."""
    config = source / "config.json"
    return config.is_file() and artefacts.load_json(config, source=OWN).get("model_type") in encoders.OWN


def convert_facenet(path: Path, target: Path) -> None:
    """Save InceptionResnetV1 without its classifier; raises PipelineError if the file is another."""
    # here, for no other weights need that package
    from pipeline.encoders.inception import fitted

    state = torch_state(path)
    kept = {
        str(name): value.contiguous()
        for name, value in state.items()
        if not str(name).startswith("logits.") and isinstance(value, torch.Tensor)
    }
    fitted(kept, path)
    save_file(kept, str(target / "model.safetensors"))
    artefacts.save_json(
        target / "config.json", {"model_type": "inception_resnet_v1", "source": path.name}, seal=False
    )


def write_built_in(weights: WeightsSettings, folder: Path) -> None:
    """The folder of an encoder that needs no weights; raises PipelineError if a file of it is pinned."""
    if weights.files or weights.revision != FIRST:
        raise PipelineError(
            f"weights {weights.name}: this encoder has no weights, so its revision is {FIRST} and no file of "
            f"it is pinned; the config has {weights.revision} and pins {', '.join(weights.files) or 'none'}. "
            'An overlay lifts a pin by "" in place of its SHA-256.'
        )
    with artefacts.replacing_folder(folder) as target:
        config = {"model_type": encoders.BUILT_IN[weights.name], "revision": FIRST}
        artefacts.save_json(target / "config.json", config, seal=False)
        seals.seal_folder(target)


def fetch_recogniser(weights: WeightsSettings) -> Path:
    """A folder with the files of a recogniser on the hub; raises PipelineError if they cannot be had."""
    try:
        found = snapshot_download(weights.name, revision=weights.revision, allow_patterns=list(RECOGNISED))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        files = f"{', '.join(RECOGNISER)} and vocabulary.txt"
        unreachable = _unreachable(weights, files, "the Hugging Face hub", error)
        raise PipelineError(f"{unreachable} {_command(weights)}") from error
    return Path(found)


def copy_recogniser(weights: WeightsSettings, source: Path, target: Path) -> None:
    """Copy what a recogniser is read from; raises PipelineError if a file of it is not there."""
    for name in RECOGNISER:
        if not (source / name).is_file():
            raise PipelineError(
                f"{source / name}: missing, so {weights.name} at {weights.revision} is no recogniser in "
                "CTranslate2's form. Place the file there, or name another model in recognition.weights."
            )
    for pattern in RECOGNISED:
        for path in source.glob(pattern):
            shutil.copyfile(path, target / path.name)


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


def unpacked(source: Path, spare: Path) -> Path:
    """`source` if the weights of Resemblyzer lie there, or a folder with what its wheel there holds.

    Raises PipelineError for a wheel that cannot be read, or holds no weights.
    """
    wheel = next(iter(sorted(source.glob("*.whl"))), None)
    if wheel is None or (source / RESEMBLYZER_FILE).is_file():
        return source
    inside = spare / "unpacked"
    inside.mkdir()
    try:
        with ZipFile(wheel) as packed, packed.open(f"resemblyzer/{RESEMBLYZER_FILE}") as file:
            (inside / RESEMBLYZER_FILE).write_bytes(file.read())
    except (OSError, KeyError, BadZipFile) as error:
        raise PipelineError(
            f"{wheel}: {RESEMBLYZER_FILE} cannot be read from it ({error}). Delete it, and fetch it again."
        ) from error
    return inside


def convert_speakers(weights: WeightsSettings, source: Path, target: Path, spare: Path) -> None:
    """Check and convert an encoder of voices; raises PipelineError if it is none, or not the pinned one."""
    # here, for no other weights need them
    from pipeline.encoders import ge2e, xvector

    if weights.name == RESEMBLYZER:
        found = unpacked(source, spare)
        check_digests(weights, found)
        ge2e.convert(found / RESEMBLYZER_FILE, target)
    else:
        check_digests(weights, source)
        xvector.convert(pinned_alone(weights, source, spare), target)


def run(params: Params, *, folder: Path) -> None:
    """Fetch (or take what was placed by hand), check, convert."""
    weights = params.weights
    if weights.name in encoders.BUILT_IN:
        write_built_in(weights, folder)
        return
    placed = by_hand(weights)
    with (
        artefacts.replacing_folder(folder) as target,
        tempfile.TemporaryDirectory(dir=folder.parent) as spare,
    ):
        if placed.is_dir():
            source = placed
            log.info("taking %s", source)
        elif params.kind == "recogniser":
            source = fetch_recogniser(weights)
        elif weights.name == RESEMBLYZER:
            source = Path(spare)
            fetch_wheel(weights, source)
        elif weights.name == FACENET:
            source = Path(spare)
            url = f"{FACENET_URL}/{weights.revision}/{FACENET_FILE}"
            try:
                if os.environ.get("HF_HUB_OFFLINE") == "1":
                    raise URLError("HF_HUB_OFFLINE=1")
                torch.hub.download_url_to_file(url, str(source / FACENET_FILE), progress=False)
            except (URLError, OSError) as error:
                raise _unreachable(weights, FACENET_FILE, url, error) from error
        else:
            source = fetch_hub(weights)
        if params.kind == "speakers":
            convert_speakers(weights, source, target, Path(spare))
            seals.seal_folder(target)
            return
        check_digests(weights, source)
        if params.kind == "recogniser":
            copy_recogniser(weights, source, target)
        elif weights.name == FACENET:
            convert_facenet(source / FACENET_FILE, target)
        elif is_own(source):
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            convert_hub(pinned_alone(weights, source, Path(spare)), target)
        seals.seal_folder(target)


if __name__ == "__main__":
    stage.main(run, Params, outputs=("folder",))
