"""Paired bootstrap over dialogues and seeds, and the Holm correction.

A metric of a resample is computed from sums over its dialogues (`pipeline.evaluation.sums`), so a resample
costs one row of a matrix product. All variants of one comparison share the same resamples.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

OfSums = Callable[[np.ndarray], np.ndarray]


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


def resampled(statistics: np.ndarray, metric: OfSums, resamples: Resamples) -> np.ndarray:
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
