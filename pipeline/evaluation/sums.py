"""Sums by dialogue from which a metric of any resample of the dialogues follows.

The `..._statistics` are (D, F): F sums for each of D dialogues. Added up, each dialogue as often as a
resample draws it, they are (..., F), which `ClassSums`, `ScoreSums` and `ConflictSums` name.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.agreement import seven_classes


@dataclass(frozen=True)
class ClassSums:
    """Of each class (..., C): right answers, how often it was predicted, and how often it is the truth."""

    hits: np.ndarray
    predicted: np.ndarray
    support: np.ndarray

    @classmethod
    def of(cls, sums: np.ndarray) -> "ClassSums":
        """Name sums (..., 3 C) of `class_statistics`."""
        return cls(*np.split(sums, 3, axis=-1))


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


@dataclass(frozen=True)
class ScoreSums:
    """Of scores (...): count, distances, right sevenths, and the sums of x = truth, y = score, and products.

    `nonneg` and `pos` have the two classes False and True of negative against non-negative, and of negative
    against positive without the true zeros.
    """

    count: np.ndarray
    distance: np.ndarray
    same_seventh: np.ndarray
    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    yy: np.ndarray
    xy: np.ndarray
    nonneg: ClassSums
    pos: ClassSums

    @classmethod
    def of(cls, sums: np.ndarray) -> "ScoreSums":
        """Name sums (..., 20) of `score_statistics`."""
        count, distance, same_seventh, x, y, xx, yy, xy = (sums[..., place] for place in range(8))
        nonneg, pos = (ClassSums.of(sums[..., first : first + 6]) for first in (8, 14))
        return cls(count, distance, same_seventh, x, y, xx, yy, xy, nonneg, pos)


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
    return _by_dialogue(columns, dialogue, dialogues)


@dataclass(frozen=True)
class ConflictSums:
    """Of conflict views (...): those whose target has a truth, hits among them, those whose reference has a
    label, and how often the answers under conflict and the clean ones equal it."""

    sided: np.ndarray
    hits: np.ndarray
    known: np.ndarray
    donor: np.ndarray
    clean_donor: np.ndarray

    @classmethod
    def of(cls, sums: np.ndarray) -> "ConflictSums":
        """Name sums (..., 5) of `conflict_statistics`."""
        return cls(*(sums[..., place] for place in range(5)))


def conflict_statistics(
    truth: np.ndarray,
    predicted: np.ndarray,
    clean: np.ndarray,
    reference: np.ndarray,
    *,
    dialogue: np.ndarray,
    dialogues: int,
) -> np.ndarray:
    """Per-dialogue counts of conflict views (V,), as `ConflictSums` names them: (D, 5).

    A negative truth or reference is none.
    """
    known, sided = reference >= 0, truth >= 0
    columns = [
        sided,
        sided & (truth == predicted),
        known,
        known & (predicted == reference),
        known & (clean == reference),
    ]
    return _by_dialogue(columns, dialogue, dialogues)


@dataclass(frozen=True)
class FollowSums:
    """Of answers under unreliable media (...): all, those that are others than on the complete view, those
    that were right there and what of them is wrong here, those whose degraded channel says another thing by
    itself than the complete view, and what of them says what that channel does."""

    count: np.ndarray
    changed: np.ndarray
    right: np.ndarray
    spoilt: np.ndarray
    apart: np.ndarray
    followed: np.ndarray

    @classmethod
    def of(cls, sums: np.ndarray) -> "FollowSums":
        """Name sums (..., 6) of `follow_statistics`."""
        return cls(*(sums[..., place] for place in range(6)))


def follow_statistics(
    truth: np.ndarray,
    predicted: np.ndarray,
    clean: np.ndarray,
    alone: np.ndarray,
    *,
    dialogue: np.ndarray,
    dialogues: int,
) -> np.ndarray:
    """Per-dialogue counts of label indices (U,), as `FollowSums` names them: (D, 6).

    A negative truth is none, and so is a negative `alone`.
    """
    right, apart = clean == truth, (alone >= 0) & (alone != clean)
    columns = [
        np.ones_like(right),
        predicted != clean,
        right,
        right & (predicted != truth),
        apart,
        apart & (predicted == alone),
    ]
    return _by_dialogue(columns, dialogue, dialogues)


def _by_dialogue(columns: list[np.ndarray], dialogue: np.ndarray, dialogues: int) -> np.ndarray:
    sums = [np.bincount(dialogue, weights=column.astype(float), minlength=dialogues) for column in columns]
    return np.stack(sums, axis=1)


def ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """top / bottom, 0 where bottom is 0."""
    top, bottom = np.broadcast_arrays(top, bottom)
    return np.divide(top, bottom, out=np.zeros(top.shape), where=bottom > 0)
