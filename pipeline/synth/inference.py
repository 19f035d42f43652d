"""Exact inference of the labels of a dialogue under the process (pipeline/synth/process.py).

Forward-backward over the pair of the two speakers' last emotions; who speaks when is observed. The central
quantity is the *context message* of an utterance, P(label_i | evidence of all other utterances): times the
utterance's own likelihood it is the posterior, and one utterance's evidence can be exchanged (a conflict
view) without another pass.

"No context" here means the marginal P(label_i) under the process, given the position and who spoke when,
but none of the other utterances' cues.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.synth.process import COUNT, SILENT


@dataclass(frozen=True)
class Layout:
    """Where the rows of a table lie in their dialogues; padded to B dialogues of N utterances."""

    row: np.ndarray  # int (B, N), -1 on padding
    second: np.ndarray  # bool (B, N): the dialogue's second speaker (by first appearance) speaks
    again: np.ndarray  # bool (B, N): the same speaker as in the utterance before

    @property
    def rows(self) -> int:
        """How many utterances the layout holds."""
        return int((self.row >= 0).sum())


def layout(dialogues: np.ndarray, speakers: np.ndarray) -> Layout:
    """Lay out rows in order of dialogue and position. Both arguments: (U,), any hashable values.

    Raises PipelineError if a dialogue has more than two speakers or is scattered over the rows.
    """
    starts = np.flatnonzero(np.r_[True, dialogues[1:] != dialogues[:-1]])
    ends = np.r_[starts[1:], len(dialogues)]
    if len(np.unique(dialogues)) != len(starts):
        raise PipelineError(
            "the rows of a dialogue are not next to each other. Sort the table by dialogue and position."
        )
    shape = (len(starts), int((ends - starts).max()))
    row = np.full(shape, -1)
    second = np.zeros(shape, dtype=bool)
    again = np.zeros(shape, dtype=bool)
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        names = speakers[start:end]
        if len(set(names.tolist())) > 2:
            raise PipelineError(
                f"dialogue {dialogues[start]!r} has more than two speakers; exact inference covers the "
                "embedded corpus's dialogues of two. Compute ceilings for the embedded corpus only."
            )
        row[index, : end - start] = np.arange(start, end)
        second[index, : end - start] = names != names[0]
        again[index, 1 : end - start] = names[1:] == names[:-1]
    return Layout(row, second, again)


def _turn(state: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Swap between (first, second) and (speaking, other): (B, 8, 8) -> the same; its own inverse."""
    return np.where(second[:, None, None], state.transpose(0, 2, 1), state)


def _scaled(values: np.ndarray) -> np.ndarray:
    """Each item of the leading axis divided by its sum, against underflow."""
    return values / values.sum(axis=tuple(range(1, values.ndim)), keepdims=True)


def _grid(likelihoods: np.ndarray, where: Layout) -> np.ndarray:
    """Likelihoods (U, 7) on the layout (B, N, 7); padding says nothing (ones)."""
    if likelihoods.shape != (where.rows, COUNT):
        raise ValueError(f"likelihoods must be ({where.rows}, {COUNT}), got {likelihoods.shape}")
    top = likelihoods.max(-1, keepdims=True)
    if not (np.isfinite(likelihoods).all() and (likelihoods >= 0).all() and (top > 0).all()):
        raise ValueError("likelihoods must be finite, not negative, and not zero for every label")
    grid = np.ones((*where.row.shape, COUNT))
    grid[where.row >= 0] = likelihoods / top
    return grid


def context_messages(transitions: np.ndarray, likelihoods: np.ndarray, where: Layout) -> np.ndarray:
    """P(label_i | evidence of all other utterances, speakers): (U, 7), rows sum to 1.

    `transitions` is `process.transition_table`, `likelihoods` (U, 7) is proportional in each row to
    P(evidence of the utterance | label). Raises ValueError if a row is zero, negative or not finite.
    """
    evidence = _grid(likelihoods, where)
    count, length = where.row.shape
    # kernels on (own, other, label): the last speaker is the other one, or the same one again
    changed = transitions.transpose(1, 0, 2)
    repeated = transitions[np.arange(COUNT + 1), np.arange(COUNT + 1)]

    predicted = np.empty((length, count, COUNT, COUNT + 1))  # (label, other) before its own evidence
    state = np.zeros((count, COUNT + 1, COUNT + 1))
    state[:, SILENT, SILENT] = 1
    for n in range(length):
        turned = _turn(state, where.second[:, n])
        after = np.where(
            where.again[:, n, None, None],
            np.einsum("bij,iy->byj", turned, repeated),
            np.einsum("bij,ijy->byj", turned, changed),
        )
        predicted[n] = after
        state = np.zeros_like(state)
        state[:, :COUNT] = _scaled(after * evidence[:, n, :, None])
        state = _turn(state, where.second[:, n])

    messages = np.empty((count, length, COUNT))
    future = np.ones((count, COUNT + 1, COUNT + 1))  # P(later evidence | the pair of last emotions)
    for n in reversed(range(length)):
        turned = _turn(future, where.second[:, n])[:, :COUNT]
        messages[:, n] = _scaled((predicted[n] * turned).sum(-1))
        gain = evidence[:, n, :, None] * turned
        before = np.where(
            where.again[:, n, None, None],
            np.einsum("byj,iy->bij", gain, repeated),
            np.einsum("byj,ijy->bij", gain, changed),
        )
        future = _turn(_scaled(before), where.second[:, n])
    out = np.empty((where.rows, COUNT))
    out[where.row[where.row >= 0]] = messages[where.row >= 0]
    return out


def marginals(transitions: np.ndarray, where: Layout) -> np.ndarray:
    """P(label_i | speakers) under the process, without any cue: (U, 7)."""
    return context_messages(transitions, np.ones((where.rows, COUNT)), where)


def combine(message: np.ndarray, likelihood: np.ndarray) -> np.ndarray:
    """The posterior from a prior or context message and the utterance's own likelihood: (U, 7)."""
    return _scaled(message * (likelihood / likelihood.max(-1, keepdims=True)))


def posteriors(transitions: np.ndarray, likelihoods: np.ndarray, where: Layout) -> np.ndarray:
    """P(label_i | all evidence of the dialogue): (U, 7)."""
    return combine(context_messages(transitions, likelihoods, where), likelihoods)
