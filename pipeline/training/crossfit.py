"""Folds of the training dialogues, and states of several teachers brought into one basis."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import orthogonal_procrustes

from pipeline.training.dialogues import Dataset


def fold_dialogues(dataset: Dataset, folds: int) -> list[tuple[str, ...]]:
    """The training dialogues in `folds` parts of equal size (to one), the same in every stage."""
    names = sorted(dataset.dialogues("train"))
    order = np.random.default_rng([folds]).permutation(len(names))
    return [tuple(names[place] for place in order[fold::folds]) for fold in range(folds)]


@dataclass(frozen=True)
class Alignment:
    """A rotation (with reflection) between centred states of two teachers."""

    rotation: np.ndarray  # (H, H), orthogonal
    source: np.ndarray  # (H,), mean of the states to turn
    target: np.ndarray  # (H,), mean of the states to meet

    def __call__(self, states: np.ndarray) -> np.ndarray:
        """States (U, H) of the source teacher in the basis of the target."""
        turned = (states.astype(np.float64) - self.source) @ self.rotation + self.target
        return turned.astype(np.float32)


def align(source: np.ndarray, target: np.ndarray) -> Alignment:
    """The orthogonal map that takes `source` (U, H) closest to `target` (U, H), by least squares.

    Rows are states of the same utterances under two teachers (docs/method.md, Objective, cross-fitted).
    """
    source, target = source.astype(np.float64), target.astype(np.float64)
    rotation, _ = orthogonal_procrustes(source - source.mean(axis=0), target - target.mean(axis=0))
    return Alignment(rotation, source.mean(axis=0), target.mean(axis=0))


def mean_cosine(left: np.ndarray, right: np.ndarray) -> float:
    """Mean cosine similarity of two sets of states, row by row."""
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return float(np.mean((left * right).sum(axis=1) / np.maximum(norms, 1e-12)))
