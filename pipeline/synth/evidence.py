"""From readings of the channels to P(evidence | label), for clean views and for conflict views.

A *reading* is P(what was read | cue) up to a factor, for each channel: (..., 3, 7), all ones where the
channel is not shown. `table` is `process.cue_table`: P(cues | label), (7, 7, 7, 7).
"""

import numpy as np

from models.conditions import DONOR_KINDS
from pipeline.synth.process import COUNT

# A perfect reader errs this rarely. It decides only what is impossible otherwise: cues of two utterances
# in one view, which the process never shows together.
MISREAD = 1e-4


def perfect_readings(cues: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Readings (U, 3, 7) of cues int (U, 3) that are read without error where `shown` bool (U, 3)."""
    exact = (1 - MISREAD) * np.eye(COUNT)[cues] + MISREAD / COUNT
    return np.where(shown[..., None], exact, 1.0)


def likelihoods(table: np.ndarray, readings: np.ndarray) -> np.ndarray:
    """P(readings | label) up to a factor: (U, 7), summed over the cues that the readings leave open."""
    text, audio, visual = readings[:, 0], readings[:, 1], readings[:, 2]
    partial = np.tensordot(table, visual, axes=(3, 1))
    partial = np.einsum("eiju,uj->eiu", partial, audio)
    return np.einsum("eiu,ui->ue", partial, text)


def conflict_likelihoods(
    table: np.ndarray,
    own: np.ndarray,
    donor: np.ndarray,
    swapped: np.ndarray,
    *,
    kind: str | None,
    prior: np.ndarray,
) -> np.ndarray:
    """P(readings of a conflict view | label): (U, 7).

    `own` and `donor` are readings (U, 3, 7) of the target and of its donor, `swapped` bool (3,) the channels
    that come from the donor. `kind` None: the view is taken for a clean one. Otherwise the swap and the
    donor's kind are known: a `same` donor's cues follow the target's label, a `different` one's follow a
    label drawn from `prior` (7,) without the target's, a `shuffled` one's say nothing. Raises ValueError
    for any other kind.
    """
    if kind is not None and kind not in DONOR_KINDS:
        raise ValueError(f"unknown kind of donor {kind!r}; there are {DONOR_KINDS}")
    if kind is None:
        return likelihoods(table, np.where(swapped[:, None], donor, own))
    kept = likelihoods(table, np.where(swapped[:, None], 1.0, own))
    if kind == "shuffled":
        return kept
    taken = likelihoods(table, np.where(swapped[:, None], donor, 1.0))
    if kind == "different":
        others = np.where(np.eye(COUNT, dtype=bool), 0.0, prior)
        taken = taken @ (others / others.sum(-1, keepdims=True)).T
    return kept * taken
