"""Settings of telling speakers apart: which encoder of voices, and when two voices are two people."""

from pydantic import Field

from pipeline.settings.base import Settings
from pipeline.settings.encoders import WeightsSettings


class TellingSettings(Settings):
    """When two voices are two people, and when a face is another's."""

    distance: float = Field(
        0.0,
        ge=0,
        lt=2,
        description="mean cosine distance from which two voices are two people; 0: that of the encoder's "
        "kind, .32 for Resemblyzer's",
    )
    shortest: float = Field(
        1.5, ge=0, le=30, description="a shorter turn (s) makes no speaker; it goes to the nearest voice"
    )
    margin: float = Field(
        0.05,
        ge=0,
        le=2,
        description="cosine by which a turn's face is nearer to another voice's faces before it is doubted",
    )


class SpeakersSettings(Settings):
    """The encoder of voices, and how they are told apart."""

    weights: WeightsSettings = Field(
        WeightsSettings(
            name="resemble-ai/Resemblyzer",
            revision="v0.1.4",
            files={"pretrained.pt": "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"},
        ),
        description="`resemble-ai/Resemblyzer` (from its package), or a network for speaker verification "
        "(x-vectors) of the hub",
    )
    telling: TellingSettings = Field(TellingSettings(), description="when two voices are two people")
