"""What tables and figures tell of an objective; apart from it, for its other keys concern none of them."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from pipeline.settings.base import Settings


class Learnt(Settings):
    """What a trained variant has learnt from."""

    nce: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        min_length=1, description="Weights of L_nce in the folds, each once, in order"
    )
    taught: bool = Field(description="Whether a term compares with a teacher's references")
    only_nce: bool = Field(
        description="Whether it is CoRe-KD, or differs from it in the weight of L_nce alone"
    )

    @property
    def weight(self) -> str:
        """The weight of L_nce, or the range of it over the folds."""
        low, high = f"{self.nce[0]:g}", f"{self.nce[-1]:g}"
        return low if low == high else f"{low} to {high}"

    @property
    def mean(self) -> float:
        """The mean of the weights, by which variants are put in order."""
        return sum(self.nce) / len(self.nce)


def over_folds(folds: Sequence[Learnt]) -> Learnt:
    """What is true of all folds of a run, each of which may have settings of its own."""
    return Learnt(
        nce=tuple(sorted({weight for fold in folds for weight in fold.nce})),
        taught=any(fold.taught for fold in folds),
        only_nce=all(fold.only_nce for fold in folds),
    )
