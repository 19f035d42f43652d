"""The chain over targets, fitted by counting: how labels (or scores) follow each other in training dialogues.

Rows without a network are smoothed by it, and a network with a chain begins from it (docs/method.md).
Evidence and posterior are natural parameters, so that evidence adds up: log-probabilities of the C classes,
or of a score the precision and precision times mean. What an utterance's own evidence brought can be taken
away again (`swapped`), which makes a conflict view of one utterance cost nothing beside the clean one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.batch import Batch
from models.chain import Potentials, count_labels, last_own, marginals, score_posterior
from pipeline.training.dialogues import Dataset

SIZE = 64  # dialogues read at once
PULL = 0.95  # most that a score holds on to the speaker's last one


@runtime_checkable
class Chain(Protocol):
    """Turns the evidence for each utterance of some dialogues into its posterior, both natural parameters."""

    def __call__(self, evidence: Float[Tensor, "b n p"], batch: Batch) -> Float[Tensor, "b n p"]: ...

    def swapped(
        self, posterior: Float[Tensor, "v p"], old: Float[Tensor, "v p"], new: Float[Tensor, "v p"]
    ) -> Float[Tensor, "v p"]:
        """The posterior of single utterances whose own evidence is another one."""
        ...

    def choices(self) -> Iterator["Chain"]:
        """The same chain under other weights, for the validation split to choose from."""
        ...


@dataclass(frozen=True)
class Alone:
    """No chain: every utterance is judged by itself."""

    prior: Float[Tensor, "p"]  # what the evidence lacks of a posterior

    def __call__(self, evidence: Float[Tensor, "b n p"], batch: Batch) -> Float[Tensor, "b n p"]:
        return evidence + self.prior

    def swapped(
        self, posterior: Float[Tensor, "v p"], old: Float[Tensor, "v p"], new: Float[Tensor, "v p"]
    ) -> Float[Tensor, "v p"]:
        return new + self.prior

    def choices(self) -> Iterator["Chain"]:
        yield self


@dataclass(frozen=True)
class LabelChain:
    """Transitions counted on training labels, and how much they and the evidence weigh."""

    prior: np.ndarray  # (C,) log-shares
    own: np.ndarray  # (C, C) log-shares after the speaker's own last label (rows)
    other: np.ndarray  # (C, C) what the other speaker's last label adds to them
    emission: float = 1.0
    inertia: float = 1.0
    contagion: float = 0.0

    @staticmethod
    def count(data: Dataset, smoothing: float = 1.0) -> "LabelChain":
        """Count on the training dialogues, each count from `smoothing` on; unlabelled turns break a pair."""
        counts = count_labels(data.batches(["train"], SIZE), data.outputs)
        prior, own, other = (table.double().numpy() for table in counts)
        log_prior = np.log((prior + smoothing) / (prior + smoothing).sum())
        tables = [np.log(_shares(table + smoothing)) for table in (own, other)]
        return LabelChain(log_prior, tables[0], tables[1] - log_prior)

    def potentials(self) -> Potentials:
        """The log-potentials of models.chain; without contagion there is no link between speakers."""
        start, own, other = (torch.from_numpy(table) for table in (self.prior, self.own, self.other))
        return Potentials(start, self.inertia * own, self.contagion * other if self.contagion else None)

    def __call__(self, evidence: Float[Tensor, "b n p"], batch: Batch) -> Float[Tensor, "b n p"]:
        own = self.emission * (evidence - torch.from_numpy(self.prior))
        return marginals(own, self.potentials(), batch.speaker, batch.valid)

    def swapped(
        self, posterior: Float[Tensor, "v p"], old: Float[Tensor, "v p"], new: Float[Tensor, "v p"]
    ) -> Float[Tensor, "v p"]:
        return posterior + self.emission * (new - old)

    def choices(self) -> Iterator["LabelChain"]:
        for emission, inertia, contagion in product((0.5, 0.75, 1.0), (0.5, 0.75, 1.0), (0.0, 0.5, 1.0)):
            yield replace(self, emission=emission, inertia=inertia, contagion=contagion)


def _shares(counts: np.ndarray) -> np.ndarray:
    return counts / counts.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class ScoreChain:
    """Each speaker's scores as a stationary series around the training mean."""

    spread: float  # standard deviation of the training scores
    pull: float  # correlation with the speaker's own last score
    emission: float = 1.0

    @staticmethod
    def count(data: Dataset, centre: float, spread: float) -> "ScoreChain":
        """The correlation on training dialogues; unscored turns break a pair."""
        products, squares = 0.0, 0.0
        for batch in data.batches(["train"], SIZE):
            score = batch.score.numpy() - centre
            place = last_own(batch.speaker, batch.valid).numpy()
            earlier = np.take_along_axis(score, place.clip(min=0), axis=1)
            known = (place >= 0) & np.isfinite(score) & np.isfinite(earlier)
            products += float((earlier[known] * score[known]).sum())
            squares += float((earlier[known] ** 2).sum())
        return ScoreChain(spread, float(np.clip(products / squares if squares else 0.0, 0.0, PULL)))

    def __call__(self, evidence: Float[Tensor, "b n p"], batch: Batch) -> Float[Tensor, "b n p"]:
        precision = self.emission * evidence[..., 0]
        mean = torch.where(precision > 0, self.emission * evidence[..., 1] / precision, 0.0)
        pull = torch.tensor(self.pull, dtype=evidence.dtype)
        stiffness = 1 / (self.spread**2 * (1 - pull**2))
        mean, variance = score_posterior(mean, precision, pull, stiffness, batch.speaker, batch.valid)
        known = torch.where(batch.valid, 1 / variance, 1.0)
        return torch.stack([known, mean * known], dim=-1)

    def swapped(
        self, posterior: Float[Tensor, "v p"], old: Float[Tensor, "v p"], new: Float[Tensor, "v p"]
    ) -> Float[Tensor, "v p"]:
        return posterior + self.emission * (new - old)

    def choices(self) -> Iterator["ScoreChain"]:
        for emission, share in product((0.5, 0.75, 1.0), (0.0, 0.5, 0.75, 1.0)):
            yield replace(self, emission=emission, pull=share * self.pull)
