"""Paired bootstrap over dialogues and seeds, and the Holm correction.

A metric of a resample is computed from sums of per-dialogue statistics, so a resample costs one row of a
matrix product. All variants of one comparison share the same resampled dialogues and seeds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.metrics import seven_classes

Metric = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Resamples:
    """How often each dialogue (R, D) and each seed (R, S) is drawn; row 0 is the sample as it is."""

    dialogues: np.ndarray
    seeds: np.ndarray

    @classmethod
    def draw(cls, resamples: int, dialogues: int, seeds: int, seed: int) -> "Resamples":
        """Counts of `resamples` draws with replacement, dialogues and seeds independently."""
        rng = np.random.default_rng([seed, 3])
        by_dialogue = rng.multinomial(dialogues, np.full(dialogues, 1 / dialogues), size=resamples)
        by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples)
        return cls(
            np.vstack([np.ones((1, dialogues)), by_dialogue]), np.vstack([np.ones((1, seeds)), by_seed])
        )


def class_statistics(
    truth: np.ndarray, predicted: np.ndarray, dialogue: np.ndarray, dialogues: int, classes: int
) -> np.ndarray:
    """Per-dialogue hits, predictions and support of each class: (D, 3 C)."""
    hit = truth == predicted
    parts = [(truth[hit], dialogue[hit]), (predicted, dialogue), (truth, dialogue)]
    return np.concatenate([_counts(value, place, dialogues, classes) for value, place in parts], axis=1)


def _counts(value: np.ndarray, dialogue: np.ndarray, dialogues: int, classes: int) -> np.ndarray:
    flat = np.bincount(dialogue * classes + value, minlength=dialogues * classes)
    return flat.reshape(dialogues, classes).astype(float)


def accuracy(sums: np.ndarray) -> np.ndarray:
    """Accuracy from summed class statistics (..., 3 C)."""
    hits, _, support = np.split(sums, 3, axis=-1)
    return _ratio(hits.sum(axis=-1), support.sum(axis=-1))


def balanced_accuracy(sums: np.ndarray) -> np.ndarray:
    """Mean recall of the classes that occur, from summed class statistics (..., 3 C)."""
    hits, _, support = np.split(sums, 3, axis=-1)
    return _ratio(_ratio(hits, support).sum(axis=-1), (support > 0).sum(axis=-1))


def weighted_f1(sums: np.ndarray) -> np.ndarray:
    """F1 weighted by support, from summed class statistics (..., 3 C)."""
    hits, predicted, support = np.split(sums, 3, axis=-1)
    return _ratio((_ratio(2 * hits, predicted + support) * support).sum(axis=-1), support.sum(axis=-1))


def macro_f1(sums: np.ndarray) -> np.ndarray:
    """Mean F1 of all classes, from summed class statistics (..., 3 C)."""
    hits, predicted, support = np.split(sums, 3, axis=-1)
    return _ratio(2 * hits, predicted + support).mean(axis=-1)


CLASS_METRICS: Mapping[str, Metric] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "weighted_f1": weighted_f1,
    "macro_f1": macro_f1,
}


def score_statistics(
    truth: np.ndarray, score: np.ndarray, dialogue: np.ndarray, dialogues: int
) -> np.ndarray:
    """Per-dialogue sums that the sentiment metrics need: (D, 20)."""
    polar = truth != 0
    columns = [
        *(np.ones_like(truth), np.abs(score - truth), seven_classes(score) == seven_classes(truth)),
        *(truth, score, truth * truth, score * score, truth * score),
    ]
    for true, predicted, counted in (
        (truth >= 0, score >= 0, np.ones_like(polar)),
        (truth > 0, score > 0, polar),
    ):
        for wanted in (False, True):
            columns.append(counted & (true == wanted) & (predicted == wanted))
        for side in (predicted, true):
            columns += [counted & ~side, counted & side]
    return np.stack(
        [np.bincount(dialogue, weights=column.astype(float), minlength=dialogues) for column in columns],
        axis=1,
    )


def pearson(sums: np.ndarray) -> np.ndarray:
    """Pearson r from summed score statistics; 0 where either side is constant."""
    count, x, y, xx, yy, xy = (sums[..., place] for place in (0, 3, 4, 5, 6, 7))
    spread = (count * xx - x * x) * (count * yy - y * y)
    return np.where(spread > 1e-9, (count * xy - x * y) / np.sqrt(np.maximum(spread, 1e-9)), 0.0)


SCORE_METRICS: Mapping[str, Metric] = {
    "mae": lambda sums: _ratio(sums[..., 1], sums[..., 0]),
    "acc7": lambda sums: _ratio(sums[..., 2], sums[..., 0]),
    "pearson": pearson,
    "acc2_nonneg": lambda sums: accuracy(sums[..., 8:14]),
    "f1_nonneg": lambda sums: weighted_f1(sums[..., 8:14]),
    "acc2_pos": lambda sums: accuracy(sums[..., 14:20]),
    "f1_pos": lambda sums: weighted_f1(sums[..., 14:20]),
}


def conflict_statistics(
    truth: np.ndarray,
    predicted: np.ndarray,
    clean: np.ndarray,
    reference: np.ndarray,
    *,
    dialogue: np.ndarray,
    dialogues: int,
) -> np.ndarray:
    """Per-dialogue counts of conflict views (V,): views with a truth (not negative), hits among them, known
    references, and how often predictions under conflict and clean ones equal the reference: (D, 5)."""
    known, sided = reference >= 0, truth >= 0
    columns = (
        sided,
        sided & (truth == predicted),
        known,
        known & (predicted == reference),
        known & (clean == reference),
    )
    counts = [np.bincount(dialogue, weights=column, minlength=dialogues) for column in columns]
    return np.stack(counts, axis=1)


CONFLICT_METRICS: Mapping[str, Metric] = {
    "accuracy": lambda sums: _ratio(sums[..., 1], sums[..., 0]),
    "donor_bias": lambda sums: _ratio(sums[..., 3] - sums[..., 4], sums[..., 2]),
}


def resampled(statistics: np.ndarray, metric: Metric, resamples: Resamples) -> np.ndarray:
    """Seed-mean of a metric in every resample, the sample itself first: (R + 1, K).

    `statistics` (S, K, D, F) holds F sums of D dialogues, for S seeds and K views. What has one seed only
    (a ceiling, a constant answer) stands against every resample of the seeds.
    """
    seeds, views, dialogues, features = statistics.shape
    matrix = statistics.transpose(2, 0, 1, 3).reshape(dialogues, -1)
    weights = resamples.seeds if seeds > 1 else np.ones((len(resamples.seeds), 1))
    weights = weights / weights.sum(axis=1, keepdims=True)
    values = np.empty((len(weights), views))
    # a slice of the resamples at a time bounds the memory
    for start in range(0, len(values), 256):
        part = slice(start, start + 256)
        sums = (resamples.dialogues[part] @ matrix).reshape(-1, seeds, views, features)
        values[part] = np.einsum("rs,rsk->rk", weights[part], metric(sums))
    return values


def interval(values: np.ndarray, level: float) -> tuple[float, float]:
    """Percentile interval of resampled values (R,)."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def least_p(resamples: int) -> float:
    """The smallest p that `two_sided` can give: 2 / (R + 1)."""
    return 2 / (resamples + 1)


def two_sided(differences: np.ndarray) -> float:
    """Two-sided bootstrap p of the hypothesis that a difference is 0; never below `least_p`."""
    count = len(differences) + 1
    tail = min((differences <= 0).sum() + 1, (differences >= 0).sum() + 1)
    return float(min(1.0, 2 * tail / count))


def holm(values: np.ndarray) -> np.ndarray:
    """Holm's step-down correction of p values (M,), in the order given."""
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """top / bottom, 0 where bottom is 0."""
    top, bottom = np.broadcast_arrays(top, bottom)
    return np.divide(top, bottom, out=np.zeros(top.shape), where=bottom > 0)
