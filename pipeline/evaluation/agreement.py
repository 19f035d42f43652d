"""How far answers agree with the truth: the counts and means that every metric is made of.

Of label indices, or of scores in -3..3. They are NumPy's, held to scikit-learn and SciPy by tests: every
training and evaluation asks for them, and loading and input checks of those libraries would take longer than
some of these stages work. Apart from `metrics`, so that a new metric in the tables trains nothing anew.
"""

import numpy as np


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (C, C): rows are true labels, columns predictions."""
    flat = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes)


def class_f1(counts: np.ndarray) -> np.ndarray:
    """F1 of each class (..., C) from counts (..., C, C); 0 where a class is neither there nor predicted."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    total = counts.sum(axis=-1) + counts.sum(axis=-2)
    return np.divide(2.0 * hits, total, out=np.zeros(total.shape), where=total > 0)


def weighted_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """F1 of each class that occurs, weighted by its support; label indices (U,), NaN if there are none."""
    if not len(truth):
        return float("nan")
    truth, predicted = truth.astype(int), predicted.astype(int)
    counts = confusion(truth, predicted, int(max(truth.max(), predicted.max())) + 1)
    return float(np.average(class_f1(counts), weights=counts.sum(axis=1)))


def pearson(truth: np.ndarray, score: np.ndarray) -> float:
    """Correlation of scores (U,); a constant has none: it counts as 0."""
    varied = len(truth) > 1 and np.ptp(score) > 0 and np.ptp(truth) > 0
    return float(np.corrcoef(truth, score)[0, 1]) if varied else 0.0


def mean_absolute_error(truth: np.ndarray, score: np.ndarray) -> float:
    """Mean distance of scores (U,)."""
    return float(np.abs(truth - score).mean())


def seven_classes(score: np.ndarray) -> np.ndarray:
    """Sentiment in seven classes -3..3, rounded half away from zero after clipping."""
    clipped = np.clip(score, -3, 3)
    return (np.sign(clipped) * np.floor(np.abs(clipped) + 0.5)).astype(int)
