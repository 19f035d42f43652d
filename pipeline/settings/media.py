"""Settings of how media files are read."""

from typing import Literal

from pydantic import Field

from pipeline.settings.base import Settings


class MediaSettings(Settings):
    """How media files are read."""

    track: Literal["audible", "first"] = Field(
        "audible",
        description="sound track that is read: the first that is not silent throughout, or the first",
    )
    megabytes: int = Field(
        2000,
        ge=1,
        le=1_000_000,
        description="most memory (MB) for the sound of a file (230 an hour), or a picture; a larger one is "
        "absent (too_large)",
    )
