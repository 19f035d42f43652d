"""Settings of the faces stage."""

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from pipeline.core.registries.choices import CHOICES, LARGEST, LEARNED
from pipeline.core.registries.detectors import DETECTORS
from pipeline.settings.base import Settings
from pipeline.settings.encoders import WeightsSettings

# one of the registry's names, which a type checker cannot know
if TYPE_CHECKING:
    DetectorName = str
    ChoiceName = str
else:
    DetectorName = Literal[tuple(DETECTORS)]
    ChoiceName = Literal[(*CHOICES, LARGEST)]


class FacesSettings(Settings):
    """How faces are found, followed, chosen and cut out."""

    detector: DetectorName = Field("mtcnn", description="what finds faces in a picture")
    rate: float = Field(3.0, gt=0, le=60, description="pictures a second in which faces are looked for")
    detection_side: int = Field(
        640, ge=96, le=4096, description="longer side (px) to which larger pictures are reduced for detection"
    )
    min_face: int = Field(48, ge=12, le=512, description="smallest face (px, in the reduced picture)")
    probability: float = Field(0.9, ge=0, le=1, description="least probability of a detection that counts")
    overlap: float = Field(0.3, gt=0, lt=1, description="least box overlap (IoU) that continues a track")
    patience: float = Field(1.0, ge=0, le=10, description="seconds for which a lost track can be found again")
    cut: float = Field(
        0.25,
        gt=0,
        le=1,
        description="least share of a picture's pixels that change where a new shot begins; 1: cuts are not "
        "looked for",
    )
    link: Literal["auto", "encoder", "never"] = Field(
        "auto",
        description="whether tracks on both sides of a cut can be one person's: auto asks the visual encoder "
        "if it was trained to tell people apart (InceptionResnetV1), encoder asks any",
    )
    same: float = Field(
        0.5, ge=-1, le=1, description="least cosine of the mean features of two tracks of one person"
    )
    choice: ChoiceName = Field(
        "mouth_motion",
        description="how the speaker's face is chosen among those in view; lips_in_step is for filmed faces, "
        "light_asd a network for them, whose weights are `chooser`",
    )
    motion_rate: float = Field(
        15.0, gt=0, le=60, description="mouth pictures a second, at most the video's own rate"
    )
    speaking: float = Field(
        -0.5,
        ge=-2,
        le=2,
        description="least score (-2 to 2, 0 the border) of a face that speaks; -2 never says that none does",
    )
    crop_size: int = Field(160, ge=32, le=512, description="side of a crop (px)")
    max_crops: int = Field(12, ge=1, le=1000, description="most crops kept of one utterance, evenly spaced")

    @model_validator(mode="after")
    def _often_enough(self) -> "FacesSettings":
        least = LEARNED.get(self.choice, 0)
        # pictures are looked at between those in which faces are looked for
        looks = self.rate * max(1, round(self.motion_rate / self.rate))
        if looks < least:
            wanted = self.rate * math.ceil(least / self.rate)
            raise ValueError(
                f"choice {self.choice} sees {least:g} pictures a second; motion_rate {self.motion_rate:g} "
                f"at rate {self.rate:g} gives it {looks:g}; set motion_rate to {wanted:g} or more"
            )
        return self


class ChooserSettings(Settings):
    """The network that chooses the face that speaks, where `faces.choice` is one."""

    weights: WeightsSettings = Field(
        WeightsSettings(
            name="Junhua-Liao/Light-ASD",
            revision="ed38c232de5efe0261dbd68627c0ade7cdfe14eb",
            files={
                "finetuning_TalkSet.model": "efc375833887eefa9d209dc92810e18519b04c3c73ea35a549f2a7f40b7d94d5"
            },
        ),
        description="Light-ASD's repository or a fork; of its folder `weight` the pinned file is read",
    )
