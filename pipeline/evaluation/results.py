"""Scores and comparisons as readers need them: one cell a variant, condition and metric."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import polars as pl

from models.conditions import COMPLETE, Condition
from pipeline.settings.report import diagnostic

POOLED = "pooled"  # the fold that stands for all of them together
TRIVIAL = ("majority", "prior_sampling")
SIMPLE = ("product", "product_chain", "early_chain")  # rows without a network (stage simple)
CEILINGS = ("readable_ceiling", "cue_ceiling")
PROTOCOL = "protocol"
WHOLE, MISSING, MILDEST = "complete", "missing", "mildest"  # other views, beside unreliable media
GIVEN = "given"  # the words of the corpus, beside those of other sources
LESS_HARM = "reference_harm"  # what the reference variant has of the difference from `missing`
UNTAUGHT = "modality_dropout"  # students of incomplete views without a teacher
TITLES = {"product_chain": "product and chain", "early_chain": "early fusion and chain"}
MARK = "†"
DIAGNOSTIC = f"{MARK} Teacher that knows how the corpus was made: a diagnostic, not a method."
SPELLED = {
    "corekd": "CoRe-KD",
    "csa": "CSA",
    "nce": "NCE",
    "kd": "KD",
    "eacl": "EACL",
    "ada2i": "Ada2I",
    "dhmd": "DHMD",
}


@dataclass(frozen=True)
class Cell:
    """A mean over seeds, its standard deviation (None for one seed) and interval (None: not computed)."""

    mean: float
    sd: float | None = None
    low: float | None = None
    high: float | None = None


class Results:
    """Look-ups in the tables of the scores stage; several folds are read pooled."""

    def __init__(self, scores: pl.DataFrame, comparisons: pl.DataFrame) -> None:
        folds = scores["fold"].unique(maintain_order=True).to_list()
        self.folds = [fold for fold in folds if fold != POOLED]
        several = len(self.folds) > 1
        self.facts = scores.filter(pl.col("variant") == PROTOCOL)
        scores = scores.filter(
            pl.col("variant") != PROTOCOL, pl.col("fold") == (POOLED if several else folds[0])
        )
        self.comparisons = comparisons
        self.seeds = sorted(scores["seed"].drop_nulls().unique().to_list())
        self.oracle = "oracle" in scores["checkpoint"]
        known = scores["variant"].unique(maintain_order=True).to_list()
        untrained = (*TRIVIAL, *SIMPLE)
        self.trained = [name for name in known if name not in untrained and "_ceiling" not in name]
        self.simple = [name for name in SIMPLE if name in known]
        self.ceilings = [name for name in known if "_ceiling" in name]
        self.trivial = [name for name in TRIVIAL if name in known]
        names = scores["condition"].unique(maintain_order=True).to_list()
        parsed = {name: Condition.parse(name) for name in names}
        self.conditions = list(parsed.values())
        self._values = {
            (variant, checkpoint, parsed[name], metric): part["value"].to_numpy()
            for (variant, checkpoint, name, metric), part in scores.partition_by(
                "variant", "checkpoint", "condition", "metric", as_dict=True
            ).items()
        }
        own = comparisons.filter(pl.col("other").is_null())
        self._intervals = {
            (variant, parsed[name], metric): bounds
            for variant, name, metric, *bounds in own.select(
                "variant", "condition", "metric", "low", "high"
            ).iter_rows()
        }

    def cell(
        self, variant: str, condition: Condition, metric: str, checkpoint: str = "selected"
    ) -> Cell | None:
        """The cell, or None if this variant has no such score."""
        values = self._values.get((variant, checkpoint, condition, metric))
        if values is None:
            return None
        low, high = self._intervals.get((variant, condition, metric), (None, None))
        if checkpoint != "selected":
            low = high = None
        sd = float(values.std(ddof=1)) if len(values) > 1 else None
        return Cell(float(values.mean()), sd, low, high)

    def score(self, variant: str, condition: Condition, metric: str) -> Cell:
        """The cell of a variant that has this score; raises KeyError if it has not."""
        cell = self.cell(variant, condition, metric)
        if cell is None:
            raise KeyError((variant, str(condition), metric))
        return cell

    def gain(self, variant: str, base: str, condition: Condition, metric: str) -> Cell | None:
        """`variant` minus `base`, seed by seed, of the selected epochs; None if either has no such score."""
        ours, theirs = (self._values.get((name, "selected", condition, metric)) for name in (variant, base))
        if ours is None or theirs is None or len(ours) != len(theirs):
            return None
        differences = ours - theirs
        sd = float(differences.std(ddof=1)) if len(differences) > 1 else None
        return Cell(float(differences.mean()), sd)

    def regret(self, variant: str, condition: Condition, metric: str) -> Cell | None:
        """Distance to the readable ceiling (negative: below it) with its paired interval."""
        return self.difference(variant, "readable_ceiling", condition, metric)

    def difference(self, variant: str, other: str, condition: Condition, metric: str) -> Cell | None:
        """`variant` minus `other` with its paired interval; None if they were not compared."""
        found = self.comparisons.filter(
            pl.col("variant") == variant,
            pl.col("other") == other,
            pl.col("condition") == str(condition),
            pl.col("metric") == metric,
        )
        if found.is_empty():
            return None
        row = found.row(0, named=True)
        return Cell(row["difference"], None, row["low"], row["high"])

    @property
    def notes(self) -> list[str]:
        """What marks at the names of its variants mean."""
        return marks(self.trained)

    def tests(self) -> pl.DataFrame:
        """The comparisons of the reference variant, in the order of the family."""
        return self.comparisons.filter(pl.col("p_holm").is_not_null())

    def family(self, name: str) -> list[Condition]:
        """Conditions of a family, without their mean."""
        return [
            condition for condition in self.conditions if condition.family == name and not condition.is_mean
        ]

    def missing_rate(self, condition: Condition) -> float:
        """Realised missing rate of a condition: masked over really available slots, mean over folds."""
        if condition == COMPLETE:
            return 0.0
        return self._fact(condition, "missing_rate")

    def realised(self, condition: Condition) -> float | None:
        """The measured level of a condition of unreliable media, mean over folds; None if none is finite."""
        found = self.facts.filter(pl.col("condition") == str(condition), pl.col("metric") == "realised")
        return cast(float, found["value"].mean()) if found.height else None

    def read(self, condition: Condition) -> float:
        """Share of the test utterances whose words are read under a condition of other words, over folds."""
        return self._fact(condition, "words_read")

    @property
    def absence(self) -> float:
        """Share of the test slots that the corpus lacks."""
        return self._fact(COMPLETE, "absence_rate")

    def _fact(self, condition: Condition, metric: str) -> float:
        found = self.facts.filter(pl.col("condition") == str(condition), pl.col("metric") == metric)
        # polars types a mean for all kinds of columns at once
        return cast(float, found["value"].mean())


def title(variant: str) -> str:
    """A variant's name as people read it; what is no method is marked."""
    words = TITLES.get(variant) or " ".join(SPELLED.get(word, word) for word in variant.split("_"))
    return f"{words} {MARK}" if diagnostic(variant) else words


def marks(variants: Iterable[str]) -> list[str]:
    """What marks at the names of these variants mean."""
    return [DIAGNOSTIC] if any(map(diagnostic, variants)) else []


def ordered(results: Results, names: Sequence[str] = CEILINGS) -> list[str]:
    """Rows of a table: trivial ones, those without a network, trained ones, then the ceilings named."""
    ceilings = (name for name in names if name in results.ceilings)
    return [*results.trivial, *results.simple, *results.trained, *ceilings]
