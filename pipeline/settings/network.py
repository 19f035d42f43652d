"""Settings of the network's size."""

from typing import Self

from pydantic import Field, model_validator

from pipeline.settings.base import Settings


class NetworkSettings(Settings):
    """Size and regularisation of the network, the same for teacher and student."""

    hidden: int = Field(64, ge=8, le=1024, multiple_of=8, description="Width of all states")
    layers: int = Field(1, ge=0, le=8, description="Temporal layers of each modality")
    context_layers: int = Field(1, ge=0, le=8, description="Temporal layers over the fused states")
    heads: int = Field(4, ge=1, le=16, description="Attention heads; they divide the width")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout within the network")
    feature_dropout: float = Field(0.3, ge=0, lt=1, description="Dropout on the features")
    speakers: int = Field(8, ge=1, le=64, description="Speakers of a dialogue told apart; later ones share")
    reach: int = Field(8, ge=1, le=256, description="Distance in utterances beyond which all count alike")

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide hidden ({self.hidden})")
        return self
