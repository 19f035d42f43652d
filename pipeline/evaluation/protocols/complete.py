"""P1: everything that the corpus has is shown."""

from collections.abc import Iterator

from models.conditions import COMPLETE, Condition
from pipeline.evaluation.protocol import Frozen, Protocol, View


class Complete(Protocol):
    family = COMPLETE.family
    label = "P1"
    together = "complete (P1)"
    headline = True

    def views(self, frozen: Frozen) -> Iterator[View]:
        yield View(COMPLETE, 0, frozen.available)

    def title(self, condition: Condition, between: str = " + ") -> str:
        return "complete"

    def told(self, condition: Condition, classes: bool) -> str:
        return "Everything that the corpus has is shown."


PROTOCOL = Complete()
