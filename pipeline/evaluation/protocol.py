"""What a protocol is: a family of conditions, the views that each is judged by, and its place in the results.

Views are made of rows of the dataset, without torch, so that networks, ceilings, tables and the explorer read
one definition (docs/method.md, "Protocols").
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from models.conditions import Condition
from models.modalities import MODALITIES
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.evaluation.degraded import Degraded
from pipeline.evaluation.trust import Trust


def read_condition(name: str, where: str) -> Condition:
    """A condition by its name in an artefact; raises PipelineError with the place if there is none such."""
    try:
        return Condition.parse(name)
    except ValueError as error:
        raise PipelineError(f"{where}: {error}. Delete it and rerun the stage that writes it.") from None


@dataclass(frozen=True)
class Frozen:
    """What the conditions of one fold are made of, by row of its dataset; U rows."""

    dataset: Path
    utterances: pl.DataFrame  # `row`, `dialogue`, `position`, `speaker`, `split`
    available: np.ndarray  # bool (U, 3): what the corpus really has
    masks: Mapping[Condition, np.ndarray]  # each random rate and draw: bool (U, 3), what is shown
    swaps: pl.DataFrame  # `kind`, `draw`, `row`, `donor` (rows)
    degraded: Degraded | None = None  # features of unreliable media; None: that protocol is off

    @classmethod
    def load(
        cls,
        dataset: Path,
        masks: Path,
        conflicts: Path | None = None,
        unreliable: Path | None = None,
        *,
        trust: Trust | None = None,
    ) -> "Frozen":
        """Read a fold; without `conflicts` there are no swaps, without `unreliable` no degraded features.

        trust: reliability inputs, where degraded features are to have theirs behind them.

        Raises PipelineError if a mask, or what was degraded, is not of this dataset.
        """
        columns = ["row", "dialogue", "position", "speaker", "split"]
        utterances = artefacts.load_table(dataset / "utterances.parquet", columns)
        available = artefacts.load_tensors(dataset / "features.safetensors", ["available"])["available"] > 0
        drawn = {}
        for name, mask in sorted(artefacts.load_tensors(masks).items()):
            if mask.shape != available.shape:
                raise PipelineError(
                    f"{masks}: {name} has shape {mask.shape}, the dataset {available.shape}. "
                    "Delete the masks and rerun the stage that draws them."
                )
            drawn[read_condition(name, str(masks))] = mask > 0
        columns = ["kind", "draw", "row", "donor"]
        swaps = artefacts.load_table(conflicts, columns) if conflicts else pl.DataFrame(schema=columns)
        test = utterances.filter(pl.col("split") == "test")["row"].sort().to_numpy()
        degraded = Degraded.load(unreliable, test, trust) if unreliable else None
        return cls(dataset, utterances, available, drawn, swaps, degraded)

    def features(self, modality: str) -> np.ndarray:
        """The dataset's features of a modality, float32 (U, D)."""
        return artefacts.load_tensors(self.dataset / "features.safetensors", [modality])[modality]

    @property
    def test(self) -> np.ndarray:
        """The rows of the test split, in their order."""
        return self.utterances.filter(pl.col("split") == "test")["row"].sort().to_numpy()


@dataclass(frozen=True)
class View:
    """What is read of every utterance at once, in one draw of a condition.

    A slot that the corpus lacks is never read, whatever `shown` says. `features` take the place of the
    dataset's, float32 (U, D) of each modality that is not as the corpus has it.
    """

    condition: Condition
    draw: int
    shown: np.ndarray  # bool (U, 3)
    features: Mapping[str, np.ndarray] = field(default_factory=dict)

    def alone(self) -> "View | None":
        """The view that shows nothing else than what is not as the corpus has it; None if there is none."""
        if not self.features:
            return None
        return replace(self, shown=self.shown & np.array([name in self.features for name in MODALITIES]))


@dataclass(frozen=True)
class Swaps:
    """Utterances that are each judged in a pass of their own, `condition.swapped` taken from a donor.

    Their neighbours are clean. All draws of a condition stand together.
    """

    condition: Condition
    pairs: pl.DataFrame  # `draw`, `row` (target), `donor` (row)


class Protocol:
    """A family of conditions. A protocol of its own overrides what differs.

    Its conditions are those of the views (or swaps) that it makes of what is frozen: none, if there is
    nothing to make them of.
    """

    family: str  # the first part of its conditions' names
    label: str  # in the tables and on the explorer's page: P1, P2 and so on
    heading: str | None = None  # of the table of its conditions; None: it has none of this kind
    together: str = ""  # all its conditions at once, in words
    headline = False  # whether its mean stands in the main tables, and is tested and corrected for with them
    many = False  # whether it has too many conditions for tables and figures over all: they show its mean
    averaged = True  # whether the mean over its conditions says anything
    bars = True  # whether each condition is a bar beside those of P1 and P2; else their mean alone is

    def views(self, frozen: Frozen) -> Iterator[View]:
        """Every condition and draw in which all utterances are judged at once."""
        return iter(())

    def swaps(self, frozen: Frozen) -> Iterator[Swaps]:
        """Every condition in which utterances are judged one at a time."""
        return iter(())

    def coinciding(self, frozen: Frozen) -> dict[Condition, str]:
        """Conditions that would test this corpus on nothing new, and what each is, in words: left out."""
        return {}

    def title(self, condition: Condition, between: str = " + ") -> str:
        """A condition in a few words, for tables and figures; `between` joins names of modalities."""
        last = ("mean",) if condition.is_mean else (condition.kind, condition.level)
        return " ".join(word for word in (self.family, *last) if word)

    def column(self, condition: Condition, missing_rate: float) -> str:
        """The head of a condition's column in the protocol's own table."""
        return self.title(condition)

    def told(self, condition: Condition, classes: bool) -> str:
        """A condition in a sentence; `classes`: there are labels, not scores."""
        return f"{self.title(condition)}."
