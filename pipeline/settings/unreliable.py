"""The unreliable protocol, P5: which degradations of the raw media are tested, at which levels."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from pipeline.core.registries.degradations import DEGRADATIONS, SOURCES
from pipeline.settings.base import Settings

# one of the registry's names, which a type checker cannot know
if TYPE_CHECKING:
    KindName = str
    SoundName = str
else:
    KindName = Literal[tuple(DEGRADATIONS)]
    SoundName = Literal[tuple(name for name, about in DEGRADATIONS.items() if about.scale == "snr")]


class UnreliableSettings(Settings):
    """The unreliable protocol, P5: the media of test utterances, degraded before the encoders."""

    kinds: tuple[KindName, ...] = Field(
        (), description="what is done, each kind at all of its levels (docs/unreliable.md); []: no P5"
    )
    seed: int = Field(11, ge=0, description="seed of all that is drawn; apart from the training seeds")
    snr: tuple[Annotated[float, Field(ge=-20, le=80)], ...] = Field(
        (20, 10, 5, 0), min_length=1, description="of kinds of sound but timing: signal over the rest (dB)"
    )
    strengths: tuple[Literal[1, 2, 3], ...] = Field(
        (1, 2, 3), min_length=1, description="of kinds of picture"
    )
    errors: tuple[Annotated[float, Field(gt=0, le=0.9)], ...] = Field(
        (0.1, 0.3, 0.5), min_length=1, description="of words: word error rates"
    )
    heard: tuple[Annotated[float, Field(ge=-20, le=80)], ...] = Field(
        (10, 0), min_length=1, description="of the sound whose words are heard: signal over the rest (dB)"
    )
    heard_in: SoundName = Field(
        "noise", description="what is done to that sound; the kind `heard` needs the weights of `recognition`"
    )
    shifts: tuple[Annotated[float, Field(gt=0, le=10)], ...] = Field(
        (0.2, 0.5, 1.0), min_length=1, description="of timing: how far the sound is behind the picture (s)"
    )

    examples: int = Field(
        2, ge=0, le=50, description="test utterances whose degraded media the explorer plays and shows"
    )

    def levels(self, kind: str) -> list[float]:
        """The levels of a kind, the mildest first: of a ratio of signal to noise that is the largest."""
        scale = (DEGRADATIONS.get(kind) or SOURCES[kind]).scale
        return sorted(map(float, getattr(self, scale)), reverse=scale in ("snr", "heard"))
