"""Settings of exported models and of annotating a video."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.settings.base import Settings


class ExportSettings(Settings):
    """Which trained networks become folders that can be taken elsewhere."""

    variants: list[str] = Field([], description="variants to export; empty: the first of compare")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        [], description="training seeds to export; empty: the first of seeds"
    )
    fold: str = Field(
        "", description="the fold whose networks are exported; empty: the first of corpus.folds"
    )


class SpeechSettings(Settings):
    """How speech is found where there is no transcript."""

    probability: float = Field(
        0.5, ge=0.05, le=0.95, description="of speech, from which the voice-activity network is believed"
    )
    pause: float = Field(0.25, ge=0.02, le=5, description="silence (s) that ends an utterance")
    shortest: float = Field(0.3, ge=0.05, le=5, description="shorter speech (s) is no utterance")
    longest: float = Field(
        12.0, ge=1, le=120, description="a longer utterance (s) is cut where it is quietest"
    )
    padding: float = Field(0.08, ge=0, le=1, description="seconds kept on either side of an utterance")
    window: float = Field(
        4.0, ge=0.5, le=120, description="length (s) of the pieces where nobody speaks at all"
    )

    @model_validator(mode="after")
    def _consistent(self) -> "SpeechSettings":
        if self.shortest >= self.longest:
            raise ValueError("shortest must be below longest")
        return self


class FilmSettings(Settings):
    """The video with the annotations drawn into it."""

    drawn: bool = Field(True, description="whether it is made at all")
    rate: float = Field(30.0, ge=1, le=60, description="most pictures a second")
    width: int = Field(640, ge=320, le=1920, multiple_of=2, description="a narrower picture is enlarged (px)")
    side: int = Field(1280, ge=320, le=3840, multiple_of=2, description="a longer side is reduced (px)")
    shown: float = Field(60.0, ge=5, le=3600, description="seconds that the timeline shows at once")
    quality: int = Field(4, ge=1, le=31, description="quantiser of the MPEG-4 picture; lower is better")


class AnnotateSettings(Settings):
    """How a new video is annotated; what concerns the features comes from the model's folder."""

    words: Literal["auto", "given", "recognised", "none"] = Field(
        "auto",
        description="where words come from; auto: a transcript, else the recogniser if its weights are there",
    )
    speakers: Literal["auto", "one", "found"] | Annotated[int, Field(ge=1, le=100)] = Field(
        "auto",
        description="whether voices are told apart, or how many there are; auto: the transcript's names, "
        "else found if the weights of `speakers` are there, else one",
    )
    speech: SpeechSettings = Field(SpeechSettings(), description="finding speech without a transcript")
    film: FilmSettings = Field(FilmSettings(), description="the video with the annotations drawn into it")
    stretch: int = Field(
        128, ge=4, le=4096, description="utterances judged together; longer talks are judged piece by piece"
    )
    context: int = Field(
        16, ge=0, le=512, description="utterances on either side of a piece that it also sees"
    )
