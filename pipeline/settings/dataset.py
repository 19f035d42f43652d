"""Settings of the dataset stage."""

from pydantic import Field

from models.modalities import Modality
from pipeline.settings.base import Settings


class DatasetSettings(Settings):
    """How features are normalised, on the training utterances of a fold."""

    whiten: tuple[Modality, ...] = Field(
        ("audio",), description="Modalities decorrelated beside being centred and scaled"
    )
    shrinkage: float = Field(
        0.1, gt=0, le=1, description="Whitening: share of the identity in the correlation matrix"
    )
