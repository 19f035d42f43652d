"""P5: the sound, the picture or the words of every test utterance are degraded before the encoders."""

from collections.abc import Iterator

from models.conditions import Condition
from pipeline.core.registries.degradations import DEGRADATIONS, FAMILY
from pipeline.evaluation.degraded import Replaced
from pipeline.evaluation.protocol import Frozen, Protocol, View


class Unreliable(Protocol):
    family = FAMILY
    label = "P5"
    together = "all degradations (P5)"
    many = True
    bars = False  # the figure `unreliable` has a curve over the levels

    def views(self, frozen: Frozen) -> Iterator[View]:
        degraded = frozen.degraded
        if degraded is not None:
            for condition in degraded.there:
                if condition.family == FAMILY:
                    features = Replaced(degraded, condition, frozen.dataset)
                    yield View(condition, 0, features.shown(frozen.available), features)

    def title(self, condition: Condition, between: str = " + ") -> str:
        return super().title(condition) if condition.is_mean else words(condition)

    def told(self, condition: Condition, classes: bool) -> str:
        return f"{DEGRADATIONS[condition.kind].told.format(condition.level)}. Nothing else is changed."


def words(condition: Condition) -> str:
    """A condition without its family: "low resolution 2"."""
    return f"{condition.kind.replace('_', ' ')} {condition.level}"


PROTOCOL = Unreliable()
