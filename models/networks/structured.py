"""Evidence of each modality, what they say together, and a chain of labels (docs/method.md, Network).

An utterance's log-odds are the sum of what each modality's own features say (exactly nothing where they are
absent), what that modality says through the dialogue (exactly nothing where the dialogue never shows it), and
a residual for what they say only together. The last layer is a chain over the labels of the dialogue, begun
from training counts and learnt on; its marginals are the answer. Of scores it is a chain of Gaussians.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from models import network
from models.batch import Batch
from models.chain import Potentials, count_labels, marginals, score_posterior
from models.fusion import GatedFusion
from models.modalities import MODALITIES
from models.network import Chained
from models.temporal import TemporalEncoder

CONTAGION = 0.5  # share of the counted link between speakers that training begins with


@dataclass(frozen=True)
class Shape(network.Shape):
    """Everything that fixes the parameters of this network."""

    hidden: int = 64
    dropout: float = 0.5
    feature_dropout: float = 0.5
    heads: int = 4
    speakers: int = 8  # speakers told apart by an embedding; later ones share the last
    reach: int = 8  # of attention, in utterances; distances beyond it count as this far
    chain: str = "own"  # own: a speaker's own labels; pairs: with the last label of anybody else
    through: str = "lstm"  # what carries states through the dialogue: lstm, or attention
    evidence: bool = True  # whether the answer sums what each modality says by itself


def through(shape: Shape) -> nn.Module:
    """A layer (x, speaker, valid) -> x that reads the dialogue; padding is never read."""
    if shape.through == "attention":
        return TemporalEncoder(shape.hidden, 1, shape.heads, shape.dropout, shape.reach)
    return Recurrent(shape.hidden)


class Recurrent(nn.Module):
    """x plus what a recurrent layer in each direction makes of its dialogue."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        # LSTMs over padded sequences: on a CPU four times as fast as GRUs or packed ones
        self.ahead = nn.LSTM(hidden, hidden // 2, batch_first=True)
        self.back = nn.LSTM(hidden, hidden // 2, batch_first=True)

    def forward(
        self, x: Float[Tensor, "b n h"], speaker: Int[Tensor, "b n"], valid: Bool[Tensor, "b n"]
    ) -> Float[Tensor, "b n h"]:
        read = torch.where(valid[..., None], x, 0.0)
        # each direction begins at its own end of a dialogue, so that padding comes last
        places = torch.arange(x.shape[1], device=x.device)
        turned = (valid.sum(dim=1, keepdim=True) - 1 - places).clamp(min=0)[..., None].expand_as(x)
        ahead = self.ahead(read)[0]
        back = self.back(read.gather(1, turned))[0]
        return x + torch.cat([ahead, back.gather(1, turned[..., : back.shape[-1]])], dim=-1)


class Modality(nn.Module):
    """Features of one modality -> states through the dialogue, and its evidence."""

    def __init__(self, dimension: int, shape: Shape) -> None:
        super().__init__()
        self.feature_dropout = nn.Dropout(shape.feature_dropout)
        self.dropout = nn.Dropout(shape.dropout)
        self.direct = nn.Linear(dimension, shape.outputs, bias=False)
        self.project = nn.Sequential(nn.Linear(dimension, shape.hidden), nn.LayerNorm(shape.hidden))
        self.absent = nn.Parameter(torch.zeros(shape.hidden))
        self.speaker = nn.Embedding(shape.speakers, shape.hidden)
        nn.init.normal_(self.speaker.weight, std=0.02)
        self.through = through(shape)
        self.evidence = nn.Linear(shape.hidden, shape.outputs, bias=False)
        # nothing is said before something is learnt: features in thousands say much by chance
        for layer in (self.direct, self.evidence):
            nn.init.zeros_(layer.weight)

    def forward(
        self,
        features: Float[Tensor, "b n d"],
        available: Bool[Tensor, "b n"],
        speaker: Int[Tensor, "b n"],
        valid: Bool[Tensor, "b n"],
        trust: Float[Tensor, "b n"] | None = None,
    ) -> tuple[Float[Tensor, "b n h"], Float[Tensor, "b n c"]]:
        """trust: how much of a slot is read, between 0, as if it were absent, and 1; None: all of it."""
        there = available[..., None]
        # the contents of an absent slot go before anything touches them: a NaN times 0 is still NaN
        seen = self.feature_dropout(torch.where(there, features, 0.0))
        read, direct, shown = self.project(seen), self.direct(seen), available
        if trust is not None:
            share, shown = trust[..., None], available & (trust > 0)
            read, direct = share * read + (1 - share) * self.absent, share * direct
        x = torch.where(there, read, self.absent)
        x = x + self.speaker(speaker.clamp(0, self.speaker.num_embeddings - 1))
        states = self.through(x, speaker, valid)
        told = torch.where(shown.any(dim=1)[:, None, None], self.evidence(self.dropout(states)), 0.0)
        return states, torch.where(there, direct, 0.0) + told


class Network(network.Network):
    """Evidence by modality, a fused residual, and a chain as the last layer.

    An utterance with nothing to read is judged by its chain and its neighbours.
    """

    shape: Shape

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        classes = shape.outputs
        self.modalities = nn.ModuleDict(
            {name: Modality(shape.dimensions[name], shape) for name in MODALITIES}
        )
        self.fusion: nn.Module = GatedFusion(shape.hidden, shape.heads, shape.dropout)
        self.through = through(shape)
        self.dropout = nn.Dropout(shape.dropout)
        self.residual: nn.Module = nn.Linear(shape.hidden, classes)
        # vectors, for what decays (matrices do) would forget what was counted
        self.start = nn.Parameter(torch.zeros(classes))
        self.own = nn.Parameter(torch.zeros(classes * classes))
        self.other = nn.Parameter(torch.zeros(classes * classes)) if shape.chain == "pairs" else None
        # of scores: the training mean, and what is known before anything is read
        self.centre = nn.Parameter(torch.zeros(1))
        self.pull = nn.Parameter(torch.zeros(1))
        self.precision = nn.Parameter(torch.zeros(len(MODALITIES) + 2))

    @property
    def width(self) -> int:
        return self.shape.hidden

    @torch.no_grad()
    def begin(self, training: Iterable[Batch]) -> None:
        """Count which labels follow which; of scores their mean. An unlabelled utterance breaks a pair."""
        batches = list(training)
        if self.shape.outputs == 1:
            known = torch.cat([batch.score[batch.scored] for batch in batches])
            self.centre.fill_(known.mean() if len(known) else 0.0)
            return
        counts = [table + 1.0 for table in count_labels(batches, self.shape.outputs)]
        start, own, other = [(table / table.sum(dim=-1, keepdim=True)).log() for table in counts]
        self.start.copy_(start)
        self.own.copy_(own.flatten())
        if self.other is not None:
            self.other.copy_(CONTAGION * (other - start).flatten())

    def forward(self, batch: Batch) -> Chained:
        return self.answer(batch, *self.read(batch))

    def trusting(self, batch: Batch, trust: Float[Tensor, "b n 3"]) -> Chained:
        """The answer where each slot is trusted so much: 1 wherever it is read as ever, 0 as if absent."""
        return self.answer(batch, *self.read(batch, trust), trust)

    def read(
        self, batch: Batch, trust: Float[Tensor, "b n 3"] | None = None
    ) -> tuple[Float[Tensor, "b n 3 h"], Float[Tensor, "b n 3 c"]]:
        """States of the modalities through the dialogue, and what each says by itself."""
        parts = [
            self.modalities[name](
                batch.features[name],
                batch.available[..., index],
                batch.speaker,
                batch.valid,
                None if trust is None else trust[..., index],
            )
            for index, name in enumerate(MODALITIES)
        ]
        states = torch.stack([own for own, _ in parts], dim=2)
        evidence = torch.stack([own for _, own in parts], dim=2)
        return states, evidence

    def answer(
        self,
        batch: Batch,
        states: Float[Tensor, "b n 3 h"],
        evidence: Float[Tensor, "b n 3 c"],
        trust: Float[Tensor, "b n 3"] | None = None,
    ) -> Chained:
        """What follows from states and evidence."""
        # (networks that exchange the fusion for another know of no trust)
        fuse = self.fusion if trust is None else partial(self.fusion, trust=trust)
        fused = self.through(fuse(states, batch.available), batch.speaker, batch.valid)
        unary = self.residual(self.dropout(fused))
        if self.shape.evidence:
            unary = unary + evidence.sum(dim=2)
        # a token has met the other modalities by what the dialogue says of all of them
        met = states + fused[:, :, None]
        # sums over a whole dialogue lose too much in bfloat16
        with torch.autocast(unary.device.type, enabled=False):
            wide = unary.to(torch.promote_types(unary.dtype, torch.float32))
            if self.shape.outputs == 1:
                answer, beliefs = self._scores(wide, batch, trust)
            else:
                answer, beliefs = self._labels(wide, batch)
        return Chained(answer, fused, met, evidence, beliefs)

    def _labels(
        self, unary: Float[Tensor, "b n c"], batch: Batch
    ) -> tuple[Float[Tensor, "b n c"], Float[Tensor, "b n c"]]:
        """Log marginals, and what they are without an utterance's own evidence."""
        classes = self.shape.outputs
        other = None if self.other is None else self.other.view(classes, classes)
        potentials = Potentials(self.start, self.own.view(classes, classes), other)
        answer = marginals(unary, potentials, batch.speaker, batch.valid)
        beliefs = torch.where(batch.valid[..., None], answer - unary, 0.0)
        return answer, beliefs.log_softmax(dim=-1)

    def _scores(
        self, unary: Float[Tensor, "b n 1"], batch: Batch, trust: Float[Tensor, "b n 3"] | None
    ) -> tuple[Float[Tensor, "b n 1"], Float[Tensor, "b n 1"]]:
        """Posterior means under a chain of Gaussians, and what they are without an utterance's own evidence.

        The more is shown (and trusted), the surer an utterance is.
        """
        mean = unary[..., 0]
        sure = functional.softplus(self.precision)
        shown = batch.available if trust is None else batch.available * trust
        precision = sure[0] + (shown * sure[1:-1]).sum(dim=-1)
        pull = 0.95 * torch.sigmoid(self.pull)[0]
        found, variance = score_posterior(mean, precision, pull, sure[-1], batch.speaker, batch.valid)
        whole = 1 / torch.where(batch.valid, variance, 1.0)
        rest = (whole * found - precision * mean) / (whole - precision).clamp(min=1e-6)
        answer, beliefs = (
            torch.where(batch.valid, value + self.centre, 0.0)[..., None] for value in (found, rest)
        )
        return answer, beliefs
