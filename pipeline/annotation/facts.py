"""config.json of an exported model: what it was trained on, what it reads, and with which encoders."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from models.modalities import MODALITIES
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.core.origins import Source
from pipeline.settings.base import Settings
from pipeline.settings.encoders import AudioSettings, TextSettings, VisualSettings, WeightsSettings
from pipeline.settings.faces import FacesSettings
from pipeline.settings.media import MediaSettings
from pipeline.training import former

FORMAT = 1  # of the folder; raised when an older one can no longer be read
MAKE = "snakemake --cores all model"
EXPORTED = Source(f"Copy the model's folder again, or export it anew: {MAKE}")
EMBEDDED_NOTICE = (
    "This model was trained on the embedded corpus of drawn faces and synthetic voices. What it says of real "
    "people means nothing."
)


class EncoderFacts(Settings):
    """Where one encoder comes from, and what its files must be."""

    source: Literal["included", "public", "none"] = Field(
        description="in this folder; public weights to be fetched; or features that came from elsewhere"
    )
    weights: WeightsSettings | None = Field(None, description="id, revision and checksums of public weights")
    files: dict[str, str] = Field(description="SHA-256 of every file of the encoder folder")


class ExtractionFacts(Settings):
    """The settings under which the training features were made."""

    faces: FacesSettings
    media: MediaSettings = MediaSettings()
    text: TextSettings
    audio: AudioSettings
    visual: VisualSettings


class ModelFacts(Settings):
    """config.json of an exported model."""

    format: int
    run: str
    corpus: str
    fold: str
    variant: str
    seed: int
    task: Literal["classification", "regression"]
    labels: list[str] = Field(description="in the order of the outputs; empty for a regression")
    modalities: list[str] = Field(description="in the order of the network")
    shown: list[str] = Field(description="those that this variant may read")
    network: str = Field(description="registered name of the network")
    shape: dict = Field(description="what `Shape` of the network's module takes")
    extraction: ExtractionFacts
    precision: Literal["float32", "bfloat16"] = Field("float32", description="of the encoders")
    encoders: dict[str, EncoderFacts]
    chooser: EncoderFacts = EncoderFacts(source="none", files={})  # of the face that speaks
    notice: str = Field(description="what must be said at every use; empty: nothing")

    @model_validator(mode="before")
    @classmethod
    def _last_layer_as_it_was(cls, raw: dict) -> dict:
        """A folder of before `final_norm` was made from the state before that norm."""
        told = raw.get("extraction")
        if not isinstance(told, dict):
            return raw  # a fault that the fields will name
        former = dict(told)
        for name in MODALITIES:
            own = told.get(name)
            if isinstance(own, dict) and "final_norm" not in own:
                # the output of a face encoder was always taken where it was the only layer
                only = name == "visual" and own.get("layers", [-1]) == [-1]
                former[name] = own | {"final_norm": only}
        return raw | {"extraction": former}

    @model_validator(mode="before")
    @classmethod
    def _network_has_a_name(cls, raw: dict) -> dict:
        if not isinstance(raw.get("shape"), dict):
            return raw  # a fault that the fields will name
        name, shape = former.described(raw)
        return raw | {"network": name, "shape": shape}


def read_facts(folder: Path) -> ModelFacts:
    """config.json of an exported model; raises PipelineError if it cannot be read or has another format."""
    path = folder / "config.json"
    if not path.is_file():
        raise PipelineError(
            f"{folder}: not an exported model, for it holds no config.json. Make one with: {MAKE}"
        )
    raw = artefacts.load_json(path, source=EXPORTED)
    if raw.get("format") != FORMAT:
        raise PipelineError(
            f"{path}: the folder has format {raw.get('format')!r}, this version reads {FORMAT}. Export the "
            f"model again with the version that reads it: {MAKE}"
        )
    try:
        return ModelFacts.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise PipelineError(
            f"{path}, key {key}: {first['msg']} (got {first['input']!r}). Copy the folder again, or export "
            f"the model anew: {MAKE}"
        ) from error
