"""Settings of speech recognition: which recogniser, how it decodes, and how its words become utterances."""

from pydantic import Field

from pipeline.settings.base import Settings
from pipeline.settings.encoders import WeightsSettings


class DecodingSettings(Settings):
    """How sound becomes words."""

    language: str = Field(
        "",
        pattern="^([a-z]{2,3})?$",
        description="code of the language that is spoken (en, de, ...); empty: found in the sound",
    )
    beam: int = Field(5, ge=1, le=20, description="hypotheses that are followed at once")


class SentenceSettings(Settings):
    """How recognised words become utterances."""

    pause: float = Field(1.0, ge=0.1, le=10, description="silence (s) between two words that ends a sentence")
    longest: float = Field(
        12.0, ge=1, le=120, description="a longer sentence (s) is cut where its words are furthest apart"
    )
    unsure: float = Field(
        0.5, ge=0, le=1, description="words of a sentence below this mean confidence are an absence"
    )


class RecognitionSettings(Settings):
    """The recogniser of speech."""

    weights: WeightsSettings = Field(
        WeightsSettings(
            name="Systran/faster-whisper-small",
            revision="536b0662742c02347bc0e980a01041f333bce120",
            files={"model.bin": "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671"},
        ),
        description="a Whisper in CTranslate2's form",
    )
    decoding: DecodingSettings = Field(DecodingSettings(), description="how sound becomes words")
    sentences: SentenceSettings = Field(SentenceSettings(), description="how words become utterances")
