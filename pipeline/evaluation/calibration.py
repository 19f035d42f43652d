"""How far the probability of an answer is the chance that it is right, and a score the mean true one."""

import numpy as np

BINS = 15


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
    return _binned(place, top, right, bins)


def score_reliability(
    truth: np.ndarray, score: np.ndarray, bins: int = BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By equal-width bin of the predicted score, clipped to -3..3: count, sum of predictions, of truths."""
    place = np.minimum(((np.clip(score, -3, 3) + 3) / 6 * bins).astype(int), bins - 1)
    return _binned(place, score, truth, bins)


def _binned(
    place: np.ndarray, one: np.ndarray, other: np.ndarray, bins: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By bin: the count, and the sums of two quantities."""
    count = np.bincount(place, minlength=bins)
    first, second = (np.bincount(place, weights=weights, minlength=bins) for weights in (one, other))
    return count, first, second
