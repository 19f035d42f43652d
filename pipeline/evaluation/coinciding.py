"""Conditions of P2 and P3 that test a corpus on nothing new, for it lacks a channel; without torch.

Such conditions are neither evaluated nor averaged, in training's validation as in the tables (docs/method.md,
"Protocols"). `available`: bool (U, 3), what the whole corpus has, so that all its folds leave out the same.
"""

from collections.abc import Iterable

import numpy as np

from models.modalities import LETTERS, SUBSETS, Subset

WHOLE = "".join(LETTERS)  # stands for the complete view
SAME = 0.01  # missing rates that differ by less are one


def same_subsets(available: np.ndarray) -> dict[Subset, str]:
    """The subsets that show nothing of their own, and what each coincides with: a subset, "", or `WHOLE`.

    Without pictures `tv` is `t`, `v` shows nothing and `at` the complete view.
    """
    ever = frozenset(letter for column, letter in enumerate(LETTERS) if available[:, column].any())
    seen: dict[frozenset[str], str] = {frozenset(): "", ever: WHOLE}
    same: dict[Subset, str] = {}
    for letters in SUBSETS:
        shown = ever.intersection(letters)
        if shown in seen:
            same[letters] = seen[shown]
        else:
            seen[shown] = letters
    return same


def distinct_subsets(available: np.ndarray) -> list[Subset]:
    """The subsets that show something of their own, in the order of P2."""
    same = same_subsets(available)
    return [letters for letters in SUBSETS if letters not in same]


def same_rates(available: np.ndarray, rates: Iterable[float]) -> dict[float, float]:
    """The nominal rates that hide no more than a lower one, and that one; 0 is the complete view.

    Every utterance keeps a slot, so with two modalities all rates from .5 on are .5.
    """
    slots = available.sum()
    most = float((available.sum(axis=1) - 1).clip(min=0).sum() / slots) if slots else 0.0
    reached: list[tuple[float, float]] = [(0.0, 0.0)]
    same = {}
    for rate in sorted(set(rates)):
        found = min(rate, most)
        near = [own for other, own in reached if abs(other - found) < SAME]
        if near:
            same[rate] = near[0]
        else:
            reached.append((found, rate))
    return same
