"""The conditions of the evaluation by name, made and read here and nowhere else; no torch is imported."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from models.modalities import CHANNELS, SUBSETS

DonorKind = Literal["different", "same", "shuffled"]
DONOR_KINDS: tuple[DonorKind, ...] = get_args(DonorKind)
_OWN = ("complete", "fixed", "random", "conflict")  # families whose names have a form of their own


@dataclass(frozen=True)
class Condition:
    """What a network is tested under, by its name in the artefacts; or the mean over a family of them.

    A name is the family and what tells its conditions apart: `complete`, `fixed/at`, `random/0.3` (a stored
    mask has its draw as well, `random/0.3/0`), `conflict/av/different`. Any other family writes `family/kind`
    or `family/kind/level`. The mean over a family is `fixed/mean`, that over the swaps with donors of one
    kind `conflict/mean/different`. What a family means, and what people call its conditions, stands in its
    protocol (`pipeline/evaluation/protocols/`).
    """

    family: str
    shown: str = ""  # fixed: letters of the modalities that are shown
    rate: float | None = None  # random: the nominal missing rate
    draw: int | None = None  # random: of one stored mask
    swapped: str = ""  # conflict: letters of the channels that come from a donor
    kind: str = ""  # conflict: of the donors; a further family: what is done
    level: str = ""  # a further family: how much of it
    is_mean: bool = False

    @classmethod
    def fixed(cls, letters: str) -> "Condition":
        """P2: nothing but the modalities `letters` is shown."""
        return cls("fixed", shown=letters)

    @classmethod
    def random(cls, rate: float, draw: int | None = None) -> "Condition":
        """P3: a nominal missing rate, and the draw of a stored mask."""
        return cls("random", rate=rate, draw=draw)

    @classmethod
    def conflict(cls, letters: str, kind: str) -> "Condition":
        """P4: the channels `letters` come from donors of a kind."""
        return cls("conflict", swapped=letters, kind=kind)

    @classmethod
    def over_swaps(cls, kind: str) -> "Condition":
        """P4: the mean over what is swapped, with donors of a kind."""
        return cls("conflict", kind=kind, is_mean=True)

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read a name. Raises ValueError, saying what is wrong, if no condition is written so."""
        family, *rest = text.split("/")
        match family, rest:
            case _, ["mean"] if family:
                found = cls(family, is_mean=True)
            case "complete", []:
                found = cls(family)
            case "fixed", [letters] if letters in SUBSETS:
                found = cls.fixed(letters)
            case "random", [rate]:
                found = cls.random(float(rate))
            case "random", [rate, draw]:
                found = cls.random(float(rate), int(draw))
            case "conflict", [letters, kind] if letters in CHANNELS and kind:
                found = cls.conflict(letters, kind)
            case "conflict", ["mean", kind] if kind:
                found = cls.over_swaps(kind)
            case _, [kind] if family not in _OWN and family and kind:
                found = cls(family, kind=kind)
            case _, [kind, level] if family not in _OWN and family and kind and level:
                found = cls(family, kind=kind, level=level)
            case _:
                raise ValueError(f"{text!r} is no condition, such as complete, fixed/at or random/0.3")
        return found

    def __str__(self) -> str:
        """The name as it stands in the artefacts."""
        if self.is_mean:
            return "/".join(part for part in (self.family, "mean", self.kind) if part)
        rate = "" if self.rate is None else f"{self.rate:g}"
        draw = "" if self.draw is None else str(self.draw)
        parts = (self.family, self.shown, rate, draw, self.swapped, self.kind, self.level)
        return "/".join(part for part in parts if part)

    @property
    def mean(self) -> "Condition":
        """The mean over the family of this condition; of the complete view it is that view itself."""
        return self if self.family == COMPLETE.family else Condition(self.family, is_mean=True)

    @property
    def undrawn(self) -> "Condition":
        """The condition that a stored mask is a draw of."""
        return replace(self, draw=None)


COMPLETE = Condition("complete")
FIXED_MEAN = Condition("fixed", is_mean=True)
RANDOM_MEAN = Condition("random", is_mean=True)
