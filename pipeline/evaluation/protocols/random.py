"""P3: slots are missing at random, by the masks that were drawn once."""

from collections.abc import Iterator

from models.conditions import Condition
from pipeline.evaluation.coinciding import same_rates
from pipeline.evaluation.protocol import Frozen, Protocol, View


class Random(Protocol):
    family = "random"
    label = "P3"
    heading = "P3: random missing (realised missing rate)"
    together = "all random rates (P3)"
    headline = True
    bars = False  # the robustness figure has a curve over the rates

    def views(self, frozen: Frozen) -> Iterator[View]:
        left_out = self.coinciding(frozen)
        for mask, shown in frozen.masks.items():
            if mask.undrawn not in left_out:
                yield View(mask.undrawn, mask.draw or 0, frozen.available & shown)

    def coinciding(self, frozen: Frozen) -> dict[Condition, str]:
        rates = [mask.rate for mask in frozen.masks if mask.rate is not None]
        same = same_rates(frozen.available, rates)
        return {
            Condition.random(rate): f"{other:g}" if other else "the complete view"
            for rate, other in same.items()
        }

    def title(self, condition: Condition, between: str = " + ") -> str:
        return super().title(condition) if condition.is_mean else f"random {condition.rate:g}"

    def column(self, condition: Condition, missing_rate: float) -> str:
        return f"{missing_rate:.2f}"

    def told(self, condition: Condition, classes: bool) -> str:
        return (
            f"Slots are hidden at random, at a nominal rate of {condition.rate:g}; every utterance keeps one."
        )


PROTOCOL = Random()
