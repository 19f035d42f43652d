"""Every metric that a table prints, in one place (docs/method.md, section "Protocols").

Classification metrics take true and predicted label indices; sentiment metrics take scores in -3..3.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.evaluation.agreement import class_f1, confusion, mean_absolute_error, pearson, weighted_f1

BINS = 15


def classification(truth: np.ndarray, probabilities: np.ndarray, labels: Sequence[str]) -> dict[str, float]:
    """Metrics of the labelled utterances: `truth` (U,) label indices, `probabilities` (U, C).

    accuracy (WA), balanced_accuracy (UA, the mean recall of the classes that occur), weighted_f1, macro_f1
    (over all classes named), ece, and `f1/{label}`.
    """
    counts = confusion(truth, probabilities.argmax(axis=1), len(labels))
    support = counts.sum(axis=1)
    there = support > 0
    f1 = class_f1(counts)
    return {
        "accuracy": float(np.trace(counts) / counts.sum()),
        "balanced_accuracy": float((np.diagonal(counts)[there] / support[there]).mean()),
        "weighted_f1": float(np.average(f1, weights=support)),
        "macro_f1": float(f1.mean()),
        "ece": calibration_error(truth, probabilities),
        **{f"f1/{label}": float(value) for label, value in zip(labels, f1, strict=True)},
    }


def calibration_error(truth: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error of the top class, over equal-width bins of its probability."""
    _, confidence, right = reliability(truth, probabilities, bins)
    return float(np.abs(right - confidence).sum() / len(truth))


def reliability(
    truth: np.ndarray, probabilities: np.ndarray, bins: int = BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By equal-width bin of the top class's probability: count, sum of that probability, right answers."""
    top = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    place = np.minimum((top * bins).astype(int), bins - 1)
    return tuple(np.bincount(place, weights=weights, minlength=bins) for weights in (None, top, right))


def score_reliability(
    truth: np.ndarray, score: np.ndarray, bins: int = BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By equal-width bin of the predicted score, clipped to -3..3: count, sum of predictions, of truths."""
    place = np.minimum(((np.clip(score, -3, 3) + 3) / 6 * bins).astype(int), bins - 1)
    return tuple(np.bincount(place, weights=weights, minlength=bins) for weights in (None, score, truth))


def seven_classes(score: np.ndarray) -> np.ndarray:
    """Sentiment in seven classes -3..3, rounded half away from zero after clipping."""
    clipped = np.clip(score, -3, 3)
    return (np.sign(clipped) * np.floor(np.abs(clipped) + 0.5)).astype(int)


def regression(truth: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """Sentiment metrics of scores (U,).

    acc2_nonneg and f1_nonneg: negative against non-negative, all utterances. acc2_pos and f1_pos: negative
    against positive, utterances of true score 0 left out. Both F1 are weighted by support. acc7 rounds half
    away from zero. pearson is 0 where the predictions are constant.
    """
    polar = truth != 0
    halves = {"nonneg": (truth >= 0, score >= 0), "pos": (truth[polar] > 0, score[polar] > 0)}
    values = {"mae": mean_absolute_error(truth, score), "pearson": pearson(truth, score)}
    values["acc7"] = float((seven_classes(truth) == seven_classes(score)).mean())
    for name, (true, predicted) in halves.items():
        values[f"acc2_{name}"] = float((true == predicted).mean())
        values[f"f1_{name}"] = weighted_f1(true, predicted)
    return values


def conflict(
    truth: np.ndarray, predicted: np.ndarray, clean: np.ndarray, reference: np.ndarray
) -> dict[str, float]:
    """Conflict metrics of label indices (V,), one row a conflict view.

    accuracy and clean_accuracy; donor_rate, P(predicted = reference); clean_donor_rate, the same for the
    predictions `clean` of the clean view of the same utterances; donor_bias, their difference, whose target
    is 0. A negative `reference` has no label and counts for the accuracy only. A negative `truth` is a true
    score of 0, on neither side: it counts for the rates only (the accuracy is NaN if no other is there).
    """
    known, sided = reference >= 0, truth >= 0
    rate = float((predicted[known] == reference[known]).mean())
    clean_rate = float((clean[known] == reference[known]).mean())
    return {
        "accuracy": float((predicted == truth)[sided].mean()) if sided.any() else float("nan"),
        "clean_accuracy": float((clean == truth)[sided].mean()) if sided.any() else float("nan"),
        "donor_rate": rate,
        "clean_donor_rate": clean_rate,
        "donor_bias": rate - clean_rate,
    }
