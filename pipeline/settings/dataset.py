"""Settings of the dataset stage."""

from typing import Literal

from pydantic import Field

from pipeline.settings.base import Settings


class DatasetSettings(Settings):
    """How features are normalised, on the training utterances of a fold."""

    whiten: tuple[Literal["text", "audio", "visual"], ...] = Field(
        ("audio",), description="Modalities decorrelated beside being centred and scaled"
    )
    shrinkage: float = Field(
        0.1, gt=0, le=1, description="Whitening: share of the identity in the correlation matrix"
    )
