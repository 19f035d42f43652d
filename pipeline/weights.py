"""Stage weights: public weights, pinned by revision (and by checksum, where the config has one), as a folder.

Runs where there is internet (a cluster's head node); every other stage loads the folder offline. Files that
were placed by hand in `weights/{name}/{revision}/` (`--` for `/` in the name) are taken instead of fetched
ones. Models of the transformers library and facenet's are saved as safetensors, whatever was published; where
one of the published formats is pinned, no other is read. A kind of this project's own is copied as it is, and
one that needs no weights is written. A recogniser (a Whisper in CTranslate2's form) is copied as it is, too.
An encoder of voices comes from the hub, or from the wheel of its package, which may be what is placed; a
network that chooses the face that speaks comes from its repository.
"""

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile, ZipFile

from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig, AutoFeatureExtractor

from pipeline.core import artefacts, seals, stage
from pipeline.core.errors import PipelineError
from pipeline.core.origins import OWN
from pipeline.core.registries import encoders
from pipeline.encoders.fetching import (
    FACENET,
    FACENET_FILE,
    MODELS,
    RECOGNISED,
    RECOGNISER,
    RESEMBLYZER,
    RESEMBLYZER_FILE,
    by_hand,
    chooser_file,
    fetch_chooser,
    fetch_facenet,
    fetch_hub,
    fetch_recogniser,
    fetch_wheel,
)
from pipeline.encoders.loading import from_folder, model_from_folder, tokenizer_from_folder, torch_state
from pipeline.settings.base import Settings
from pipeline.settings.encoders import WeightsSettings

log = logging.getLogger("pipeline")

FIRST = "v1"  # revision of what needs no weights; its code is that of this project
PARAMETERS = (".safetensors", ".bin", ".index.json")  # ends of names of what may hold or list parameters


class Params(Settings):
    """Settings of the stage."""

    weights: WeightsSettings
    kind: Literal["encoder", "recogniser", "speakers", "chooser"] = "encoder"


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
    from pipeline.encoders.inception import with_weights

    state = torch_state(path)
    kept = {
        str(name): value.contiguous()
        for name, value in state.items()
        if not str(name).startswith("logits.") and isinstance(value, Tensor)
    }
    with_weights(kept, path)
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


def convert_chooser(weights: WeightsSettings, source: Path, target: Path) -> None:
    """Check and convert Light-ASD; raises PipelineError if it is none, or not the pinned one."""
    # here, for no other weights need it
    from pipeline.encoders import light_asd

    check_digests(weights, source)
    path = source / chooser_file(weights)
    if not path.is_file():
        raise PipelineError(f"{path}: missing. Place it there, or pin another file in chooser.weights.files.")
    light_asd.convert(path, target)


def fetched(params: Params, spare: Path) -> Path:
    """A folder with the published files; raises PipelineError if they cannot be had."""
    weights = params.weights
    if params.kind == "recogniser":
        return fetch_recogniser(weights)
    if params.kind == "chooser":
        fetch_chooser(weights, spare)
    elif weights.name == RESEMBLYZER:
        fetch_wheel(weights, spare)
    elif weights.name == FACENET:
        fetch_facenet(weights, spare)
    else:
        return fetch_hub(weights)
    return spare


def convert(params: Params, source: Path, target: Path, spare: Path) -> None:
    """Check published files and save them as a folder; raises PipelineError for what is not as it must be."""
    weights = params.weights
    if params.kind == "speakers":
        convert_speakers(weights, source, target, spare)
        return
    if params.kind == "chooser":
        convert_chooser(weights, source, target)
        return
    check_digests(weights, source)
    if params.kind == "recogniser":
        copy_recogniser(weights, source, target)
    elif weights.name == FACENET:
        convert_facenet(source / FACENET_FILE, target)
    elif is_own(source):
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        convert_hub(pinned_alone(weights, source, spare), target)


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
        else:
            source = fetched(params, Path(spare))
        convert(params, source, target, Path(spare))
        seals.seal_folder(target)


if __name__ == "__main__":
    stage.main(run, Params, outputs=("folder",))
