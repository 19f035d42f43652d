"""What is tested: missing rates and conflict views; P2 has no settings (docs/method.md, "Protocols")."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from models.conditions import DONOR_KINDS, DonorKind
from pipeline.core.registries.degradations import SOURCES
from pipeline.settings.base import Settings

# one of the registry's names, which a type checker cannot know
if TYPE_CHECKING:
    SourceName = str
else:
    SourceName = Literal[tuple(SOURCES)]


class RandomSettings(Settings):
    """The random-missing protocol, P3."""

    rates: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
        min_length=1,
        description="Nominal missing rates: masked slots over the slots that the corpus really has.",
    )
    draws: int = Field(3, ge=3, le=100, description="Mask draws a rate; scores are averaged over them.")


class ConflictSettings(Settings):
    """The conflict protocol, P4."""

    kinds: tuple[DonorKind, ...] = Field(
        DONOR_KINDS,
        min_length=1,
        description="Donors with another label, with the same one, or any donor with an unrelated reference.",
    )
    draws: int = Field(3, ge=1, le=100, description="Donors drawn for each target and kind.")
    distance: float = Field(
        1.0, gt=0, le=6, description="Regression: least distance between the scores of target and donor."
    )


class ProtocolSettings(Settings):
    """All conditions; every variant and seed is tested on the same frozen ones."""

    random: RandomSettings = Field(RandomSettings(), description="The random-missing protocol, P3.")
    conflict: ConflictSettings = Field(ConflictSettings(), description="The conflict protocol, P4.")
    words: tuple[SourceName, ...] = Field(
        (),
        description="Sources of words that all networks are also tested with, beside the given ones "
        "(docs/corpora.md); misheard at the rates of unreliable.errors; []: none.",
    )
    seed: int = Field(7, ge=0, description="Seed of masks and donors; apart from the training seeds.")
