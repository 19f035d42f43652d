"""Every metric that a table prints: one row each, with its plain and its resampled form (docs/method.md,
section "Protocols"). docs/new-metric.md adds one.

The plain form takes the truth and the answers of the labelled utterances: label indices (U,) and
probabilities (U, C), or scores (U,) and (U,) in -3..3. The resampled form takes sums over dialogues, of many
resamples at once; a property test holds both to each other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation import agreement
from pipeline.evaluation.agreement import class_f1, confusion, seven_classes
from pipeline.evaluation.calibration import calibration_error
from pipeline.evaluation.sums import ClassSums, ConflictSums, FollowSums, ScoreSums, ratio

SUMS: dict[str, type[ClassSums | ScoreSums | ConflictSums | FollowSums]] = {
    "classification": ClassSums,
    "regression": ScoreSums,
    "conflict": ConflictSums,
    "unreliable": FollowSums,
}


@dataclass(frozen=True)
class Metric:
    """One metric of a task (`classification`, `regression`, or `conflict` and `unreliable` for labels under
    the views of those names).

    `resampled` is None where no interval is asked for: such a metric cannot be the main one. `words` stand
    below the table of all metrics, where the name does not say it. `share`: printed in percent. Of what is
    not `rising`, less is better.
    """

    task: str
    plain: Callable[..., float]
    resampled: Callable[..., np.ndarray] | None = None
    words: str = ""
    share: bool = True
    rising: bool = True

    def of_sums(self, sums: np.ndarray) -> np.ndarray:
        """The values (...) of sums (..., F), as `pipeline.evaluation.sums` lays them out.

        Raises ValueError if the metric has no resampled form.
        """
        if self.resampled is None:
            raise ValueError("this metric has no resampled form")
        return self.resampled(SUMS[self.task].of(sums))


def counts_of(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Counts (C, C) of the most probable answers: rows are true labels, columns predictions."""
    return confusion(truth, probabilities.argmax(axis=1), probabilities.shape[1])


def accuracy(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Share of right answers."""
    counts = counts_of(truth, probabilities)
    return float(np.trace(counts) / counts.sum())


def resampled_accuracy(sums: ClassSums) -> np.ndarray:
    """Share of right answers."""
    return ratio(sums.hits.sum(axis=-1), sums.support.sum(axis=-1))


def balanced_accuracy(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean recall of the classes that occur."""
    counts = counts_of(truth, probabilities)
    support = counts.sum(axis=1)
    there = support > 0
    return float((np.diagonal(counts)[there] / support[there]).mean())


def resampled_balanced_accuracy(sums: ClassSums) -> np.ndarray:
    """Mean recall of the classes that occur."""
    return ratio(ratio(sums.hits, sums.support).sum(axis=-1), (sums.support > 0).sum(axis=-1))


def weighted_f1(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """F1 of each class weighted by its support."""
    counts = counts_of(truth, probabilities)
    return float(np.average(class_f1(counts), weights=counts.sum(axis=1)))


def resampled_weighted_f1(sums: ClassSums) -> np.ndarray:
    """F1 of each class weighted by its support."""
    f1 = ratio(2 * sums.hits, sums.predicted + sums.support)
    return ratio((f1 * sums.support).sum(axis=-1), sums.support.sum(axis=-1))


def macro_f1(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean F1 of all classes named."""
    return float(class_f1(counts_of(truth, probabilities)).mean())


def resampled_macro_f1(sums: ClassSums) -> np.ndarray:
    """Mean F1 of all classes named."""
    return ratio(2 * sums.hits, sums.predicted + sums.support).mean(axis=-1)


def resampled_pearson(sums: ScoreSums) -> np.ndarray:
    """Pearson r; 0 where either side is constant."""
    n = sums.count
    spread = (n * sums.xx - sums.x * sums.x) * (n * sums.yy - sums.y * sums.y)
    return np.where(spread > 1e-9, (n * sums.xy - sums.x * sums.y) / np.sqrt(np.maximum(spread, 1e-9)), 0.0)


def acc7(truth: np.ndarray, score: np.ndarray) -> float:
    """Share of scores of the right one of seven classes."""
    return float((seven_classes(truth) == seven_classes(score)).mean())


def halves(kind: str, truth: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The side of truth and score: `nonneg` against negative, or `pos` without the true zeros."""
    if kind == "nonneg":
        return truth >= 0, score >= 0
    polar = truth != 0
    return truth[polar] > 0, score[polar] > 0


def acc2(kind: str) -> Callable[[np.ndarray, np.ndarray], float]:
    """Share of scores on the right side."""

    def plain(truth: np.ndarray, score: np.ndarray) -> float:
        true, said = halves(kind, truth, score)
        return float((true == said).mean())

    return plain


def f1(kind: str) -> Callable[[np.ndarray, np.ndarray], float]:
    """F1 of both sides weighted by their support."""
    return lambda truth, score: agreement.weighted_f1(*halves(kind, truth, score))


# in the order of the columns
METRICS = {
    "accuracy": Metric(
        "classification", accuracy, resampled_accuracy, "accuracy is also called WA, balanced accuracy UA"
    ),
    "balanced_accuracy": Metric("classification", balanced_accuracy, resampled_balanced_accuracy),
    "weighted_f1": Metric("classification", weighted_f1, resampled_weighted_f1),
    "macro_f1": Metric("classification", macro_f1, resampled_macro_f1),
    "ece": Metric(
        "classification",
        calibration_error,
        words="ece: expected calibration error, 15 bins",
        share=False,
        rising=False,
    ),
    "acc2_nonneg": Metric(
        "regression",
        acc2("nonneg"),
        lambda sums: resampled_accuracy(sums.nonneg),
        "nonneg: negative against non-negative, all utterances",
    ),
    "f1_nonneg": Metric("regression", f1("nonneg"), lambda sums: resampled_weighted_f1(sums.nonneg)),
    "acc2_pos": Metric(
        "regression",
        acc2("pos"),
        lambda sums: resampled_accuracy(sums.pos),
        "pos: negative against positive, true zeros left out",
    ),
    "f1_pos": Metric("regression", f1("pos"), lambda sums: resampled_weighted_f1(sums.pos)),
    "acc7": Metric(
        "regression",
        acc7,
        lambda sums: ratio(sums.same_seventh, sums.count),
        "acc7 rounds half away from zero",
    ),
    "mae": Metric(
        "regression",
        agreement.mean_absolute_error,
        lambda sums: ratio(sums.distance, sums.count),
        share=False,
        rising=False,
    ),
    "pearson": Metric("regression", agreement.pearson, resampled_pearson, share=False),
}


def of_task(task: str) -> dict[str, Metric]:
    """The metrics of `classification` or `regression` by name, in the order of the columns."""
    return {name: metric for name, metric in METRICS.items() if metric.task == task}


def classification(truth: np.ndarray, probabilities: np.ndarray, labels: Sequence[str]) -> dict[str, float]:
    """All metrics of the labelled utterances, and `f1/{label}`: `truth` (U,), `probabilities` (U, C)."""
    found = {name: metric.plain(truth, probabilities) for name, metric in of_task("classification").items()}
    by_class = class_f1(counts_of(truth, probabilities))
    return found | {f"f1/{label}": float(value) for label, value in zip(labels, by_class, strict=True)}


def regression(truth: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """All sentiment metrics of scores (U,)."""
    return {name: metric.plain(truth, score) for name, metric in of_task("regression").items()}


def rate(answers: np.ndarray, wanted: np.ndarray) -> float:
    """Share of the answers that equal what is wanted; a negative `wanted` is none, NaN if all are."""
    known = wanted >= 0
    return float((answers == wanted)[known].mean()) if known.any() else float("nan")


# of label indices (V,), one row a conflict view: truth, answers under conflict, answers on the clean view of
# the same utterances, and the reference: the label that must not draw the answer to itself
CONFLICT_METRICS = {
    "accuracy": Metric(
        "conflict",
        lambda truth, predicted, clean, reference: rate(predicted, truth),
        lambda sums: ratio(sums.hits, sums.sided),
    ),
    "clean_accuracy": Metric("conflict", lambda truth, predicted, clean, reference: rate(clean, truth)),
    "donor_rate": Metric("conflict", lambda truth, predicted, clean, reference: rate(predicted, reference)),
    "clean_donor_rate": Metric("conflict", lambda truth, predicted, clean, reference: rate(clean, reference)),
    "donor_bias": Metric(
        "conflict",
        lambda truth, predicted, clean, reference: rate(predicted, reference) - rate(clean, reference),
        lambda sums: ratio(sums.donor - sums.clean_donor, sums.known),
    ),
}


def conflict(
    truth: np.ndarray, predicted: np.ndarray, clean: np.ndarray, reference: np.ndarray
) -> dict[str, float]:
    """All conflict metrics of label indices (V,), one row a conflict view.

    accuracy and clean_accuracy; donor_rate, P(predicted = reference); clean_donor_rate, the same for the
    predictions `clean` of the clean view of the same utterances; donor_bias, their difference, whose target
    is 0. A negative `reference` has no label and counts for the accuracy only. A negative `truth` is a true
    score of 0, on neither side: it counts for the rates only (the accuracy is NaN if no other is there).
    """
    return {
        name: metric.plain(truth, predicted, clean, reference) for name, metric in CONFLICT_METRICS.items()
    }


def _among(found: np.ndarray, counted: np.ndarray) -> float:
    """Share of what is found among what counts; NaN if nothing does."""
    return float(found[counted].mean()) if counted.any() else float("nan")


# of label indices (U,): truth, answers under unreliable media, answers on the complete view, and answers that
# are given of the degraded channel alone (negative: it is lost)
UNRELIABLE_METRICS = {
    "changed": Metric(
        "unreliable",
        lambda truth, predicted, clean, alone: float((predicted != clean).mean()),
        lambda sums: ratio(sums.changed, sums.count),
        rising=False,
    ),
    "spoilt": Metric(
        "unreliable",
        lambda truth, predicted, clean, alone: _among(predicted != truth, clean == truth),
        lambda sums: ratio(sums.spoilt, sums.right),
        rising=False,
    ),
    "followed": Metric(
        "unreliable",
        lambda truth, predicted, clean, alone: _among(predicted == alone, (alone >= 0) & (alone != clean)),
        lambda sums: ratio(sums.followed, sums.apart),
        rising=False,
    ),
}


def unreliable(
    truth: np.ndarray, predicted: np.ndarray, clean: np.ndarray, alone: np.ndarray | None
) -> dict[str, float]:
    """How far answers follow a degraded channel, of label indices (U,).

    changed: other answers than on the complete view; spoilt: of the answers right there, those wrong here;
    followed, if there are such: of the utterances whose degraded channel alone gives another answer than the
    complete view, those whose answer is that of the channel.
    """
    told = np.full(len(truth), -1) if alone is None else alone
    found = {name: one.plain(truth, predicted, clean, told) for name, one in UNRELIABLE_METRICS.items()}
    if np.isnan(found["followed"]):
        del found["followed"]
    return found
