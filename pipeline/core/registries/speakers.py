"""Which module loads which kind of encoder of voices (docs/annotate.md, Who speaks).

Each module has `DISTANCE`, the mean cosine distance from which two of its voices are two people, and
`load(folder, device)`, which returns an encoder with `encode(sound)`: a vector of length 1 of some seconds of
sound. A folder whose config.json names a `model_type` that stands here is of that kind; any other is a model
of the transformers library for x-vectors.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType

from pipeline.core.errors import PipelineError

XVECTOR = "xvector"
SPEAKERS = {
    "ge2e": "pipeline.encoders.ge2e",
    XVECTOR: "pipeline.encoders.xvector",
}


def speaker_encoder(folder: Path) -> ModuleType:
    """The module that loads this folder.

    Raises PipelineError if the folder holds no config.json, or a file of it is not as it was written.
    """
    # here, for the job graph reads SPEAKERS alone
    from pipeline.core import artefacts, seals
    from pipeline.core.origins import ENCODER, source_of

    if not (folder / "config.json").is_file():
        raise PipelineError(
            f"{folder}: no config.json, so this is no encoder of voices. Let the stage weights write this "
            "folder: snakemake runs it by itself if annotate.speakers is found, or a number, or "
            "corpus.own.speakers is found."
        )
    seals.check_folder(folder, source_of(folder))
    kind = artefacts.load_json(folder / "config.json", source=ENCODER).get("model_type")
    return import_module(SPEAKERS.get(str(kind), SPEAKERS[XVECTOR]))
