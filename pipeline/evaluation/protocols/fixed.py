"""P2: a fixed subset of the modalities is shown."""

from collections.abc import Iterator

import numpy as np

from models.conditions import Condition
from models.modalities import has_letter, modalities_of
from pipeline.evaluation.coinciding import WHOLE, distinct_subsets, same_subsets
from pipeline.evaluation.protocol import Frozen, Protocol, View


class Fixed(Protocol):
    family = "fixed"
    label = "P2"
    heading = "P2: fixed missing (the letters that are shown)"
    together = "all fixed subsets (P2)"
    headline = True

    def views(self, frozen: Frozen) -> Iterator[View]:
        for letters in distinct_subsets(frozen.available):
            yield View(Condition.fixed(letters), 0, frozen.available & np.array(has_letter(letters)))

    def coinciding(self, frozen: Frozen) -> dict[Condition, str]:
        words = {"": "nothing at all", WHOLE: "the complete view"}
        same = same_subsets(frozen.available)
        return {Condition.fixed(letters): words.get(other, other) for letters, other in same.items()}

    def title(self, condition: Condition, between: str = " + ") -> str:
        if condition.is_mean:
            return super().title(condition)
        names = modalities_of(condition.shown)
        return f"{names[0]} only" if len(names) == 1 else between.join(names)

    def column(self, condition: Condition, missing_rate: float) -> str:
        return condition.shown

    def told(self, condition: Condition, classes: bool) -> str:
        return f"Of every utterance only {' + '.join(modalities_of(condition.shown))} is shown."


PROTOCOL = Fixed()
