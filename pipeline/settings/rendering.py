"""Settings of the embedded corpus's camera and microphone."""

from typing import Literal

from pydantic import Field

from pipeline.settings.base import Settings


class RenderingSettings(Settings):
    """How the embedded corpus is filmed; the same script can be rendered in several ways."""

    width: int = Field(320, ge=96, le=1920, multiple_of=2, description="width of the picture, px")
    height: int = Field(240, ge=96, le=1080, multiple_of=2, description="height of the picture, px")
    fps: int = Field(10, ge=4, le=60, description="pictures a second")
    codec: Literal["mpeg4", "libx264"] = Field(
        "mpeg4", description="video codec; PyAV's wheel bundles libx264, which is GPL, so it is a choice"
    )
    video_rate: int = Field(
        500_000, ge=50_000, le=20_000_000, description="bits a second of the picture (mpeg4)"
    )
    crf: int = Field(23, ge=0, le=51, description="constant quality of libx264 (lower is better)")
    audio_rate: Literal[16_000, 44_100, 48_000] = Field(48_000, description="samples a second of the sound")
    audio_bits: int = Field(96_000, ge=16_000, le=320_000, description="bits a second of the sound (AAC)")
    head: float = Field(
        0.235, ge=0.1, le=0.3, description="half the height of a centred head, as a share of the picture's"
    )
    two_shot_scale: float = Field(
        0.75, ge=0.4, le=1, description="size of a head in a two-shot, against a centred one"
    )
    cutaway: float = Field(
        0.5, ge=0, le=1, description="chance that the camera shows the listener while the speaker is off"
    )
    gap: float = Field(0.3, ge=0, le=2, description="mean silence between utterances, s")
