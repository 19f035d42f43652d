"""Which module loads which kind of encoder folder.

Each module has `load(folder, settings, device)`, which returns an encoder with `dimension` and a method
`encode` (see the modules). The vector of an utterance is the mean of its frames, unless the encoder has a
method `pooled` and says by `width` how wide its frames are. A folder whose config.json names a `model_type`
of OWN is of that kind; any other is a model of the transformers library. docs/new-encoder.md adds a kind.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType

from pipeline.core.errors import PipelineError

ENCODERS = {
    "text": "pipeline.encoders.text",
    "audio": "pipeline.encoders.audio",
    "visual": "pipeline.encoders.visual",
    "inception_resnet_v1": "pipeline.encoders.inception",
    "acoustic": "pipeline.encoders.acoustic",
}

# kinds that are no model of the transformers library, and the modality that each reads
OWN = {
    "inception_resnet_v1": "visual",
    "acoustic": "audio",
}

# kinds that were trained to tell people apart, by the name that a configuration gives to their weights
KNOW_PEOPLE = {
    "facenet-pytorch/vggface2": "inception_resnet_v1",
}

# kinds that need no file at all, by the name that a configuration gives to their weights
BUILT_IN = {
    "librosa/acoustic": "acoustic",
}


def modules(modality: str) -> list[str]:
    """All modules that may load an encoder of this modality: what its features depend on."""
    return [ENCODERS[modality], *(ENCODERS[kind] for kind, reads in OWN.items() if reads == modality)]


def encoder(modality: str, folder: Path) -> ModuleType:
    """The module that loads this folder.

    Raises PipelineError if the folder holds no config.json, or a file of it is not as it was written.
    """
    # here, for the job graph reads ENCODERS alone
    from pipeline.core import artefacts, seals
    from pipeline.core.origins import ENCODER, source_of

    if not (folder / "config.json").is_file():
        raise PipelineError(
            f"{folder}: no config.json, so this is not an encoder. Run the stage standins or weights, which "
            "write this folder."
        )
    seals.check_folder(folder, source_of(folder))
    kind = artefacts.load_json(folder / "config.json", source=ENCODER).get("model_type", modality)
    return import_module(ENCODERS[kind if OWN.get(kind) == modality else modality])
