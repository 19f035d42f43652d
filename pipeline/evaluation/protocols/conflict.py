"""P4: sound, picture or both come from another utterance, one utterance at a time."""

from collections.abc import Iterator

import polars as pl

from models.conditions import Condition
from models.modalities import CHANNELS, modalities_of
from pipeline.evaluation.protocol import Frozen, Protocol, Swaps

SWAPPED = {"a": "audio swapped", "v": "visual swapped", "av": "both swapped"}
# what of P4 stands in the main table, the summary and the model card
MAIN = Condition.conflict("av", "different")
MEAN = Condition.over_swaps(MAIN.kind)


class Conflict(Protocol):
    family = "conflict"
    label = "P4"

    def swaps(self, frozen: Frozen) -> Iterator[Swaps]:
        for kind in frozen.swaps["kind"].unique(maintain_order=True):
            pairs = frozen.swaps.filter(pl.col("kind") == kind)
            for letters in CHANNELS:
                yield Swaps(Condition.conflict(letters, kind), pairs)

    def title(self, condition: Condition, between: str = " + ") -> str:
        what = "mean over the swaps" if condition.is_mean else SWAPPED[condition.swapped]
        return f"{what}: {condition.kind}"

    def told(self, condition: Condition, classes: bool) -> str:
        kinds = {
            "different": f"an utterance with {'another label' if classes else 'a distant score'}",
            "same": f"an utterance with {'the same label' if classes else 'a near score'} (control)",
            "shuffled": "any other utterance (control)",
        }
        return (
            f"The {' and '.join(modalities_of(condition.swapped))} of each utterance comes from "
            f"{kinds[condition.kind]} of another dialogue. One utterance is swapped at a time, its "
            "neighbours are clean; a dash marks those that have no such donor."
        )


PROTOCOL = Conflict()
