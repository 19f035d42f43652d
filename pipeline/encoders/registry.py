"""Which module loads which kind of encoder folder.

Each module has `load(folder, settings, device)`, which returns an encoder with `dimension` and a method
`encode` (see the modules). The visual kinds are told apart by `model_type` in the folder's config.json.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType

from pipeline.errors import PipelineError

ENCODERS = {
    "text": "pipeline.encoders.text",
    "audio": "pipeline.encoders.audio",
    "visual": "pipeline.encoders.visual",
    "inception_resnet_v1": "pipeline.encoders.inception",
}


def encoder(modality: str, folder: Path) -> ModuleType:
    """The module that loads this folder.

    Raises PipelineError if the folder holds no config.json.
    """
    # here, for the job graph reads ENCODERS alone
    from pipeline import artefacts

    if not (folder / "config.json").is_file():
        raise PipelineError(
            f"{folder}: no config.json, so this is not an encoder. Run the stage standins or weights, which "
            "write this folder."
        )
    kind = artefacts.load_json(folder / "config.json").get("model_type")
    return import_module(ENCODERS.get(kind, ENCODERS[modality]))
