"""Given, recognised, mistaken or no words: the same networks, asked with the words of another source."""

from collections.abc import Iterator

from models.conditions import Condition
from pipeline.core.registries.degradations import OTHER_WORDS, SOURCES
from pipeline.evaluation.degraded import Replaced
from pipeline.evaluation.protocol import Frozen, Protocol, View


class Words(Protocol):
    family = OTHER_WORDS
    label = "words"
    together = "all sources of words"
    many = True
    bars = False
    averaged = False

    def views(self, frozen: Frozen) -> Iterator[View]:
        degraded = frozen.degraded
        if degraded is not None:
            for condition in degraded.there:
                if condition.family == OTHER_WORDS:
                    features = Replaced(degraded, condition, frozen.dataset)
                    yield View(condition, 0, features.shown(frozen.available), features)

    def title(self, condition: Condition, between: str = " + ") -> str:
        return source(condition)

    def told(self, condition: Condition, classes: bool) -> str:
        return f"{SOURCES[condition.kind].told.format(condition.level)}. Nothing else is changed."


def source(condition: Condition) -> str:
    """A condition without its family: "recognised", "misheard 0.3"."""
    return " ".join(part for part in (condition.kind, condition.level) if part)


PROTOCOL = Words()
