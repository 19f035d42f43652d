"""The structured network whose fusion balances features and modalities (docs/neighbours.md, Ada2I).

Learnt weights of features and of modalities, and beside them the pace: a weight of each modality that follows
how far its own loss has come, so that the strongest does not starve the others in training.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.batch import Batch
from models.modalities import MODALITIES
from models.network import Balanced
from models.networks import structured

FARTHEST = 5.0  # nats, or units of the loss of scores


@dataclass(frozen=True)
class Shape(structured.Shape):
    """Everything that fixes the parameters of this network."""

    strength: float = 1.0  # exponent by which a modality that lags is favoured


class Fusion(nn.Module):
    """The shown states, their features weighed, mixed by shares; all weights begin equal.

    An utterance with nothing to read has a learnt null state.
    """

    pace: Tensor

    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__()
        count = len(MODALITIES)
        self.null = nn.Parameter(torch.zeros(hidden))
        self.norm = nn.LayerNorm(hidden)
        self.features = nn.ModuleList(nn.Linear(2 * hidden, hidden) for _ in range(count))
        self.amount = nn.ModuleList(nn.Linear(hidden, 1) for _ in range(count))
        self.value = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(count))
        for layer in (*self.features, *self.amount):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.before_dense = nn.LayerNorm(hidden)
        self.dense = nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.GELU(), nn.Linear(2 * hidden, hidden))
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("pace", torch.ones(count))

    def feature_weights(
        self, states: Float[Tensor, "b n 3 h"], available: Bool[Tensor, "b n 3"]
    ) -> Float[Tensor, "b n 3 h"]:
        """Weights of the features of each state, from it and the mean of the others shown; they sum to H."""
        shown = torch.where(available[..., None], states, 0.0)
        told = []
        for index, layer in enumerate(self.features):
            others = shown.sum(dim=2) - shown[:, :, index]
            count = available.sum(dim=2) - available[:, :, index].long()
            read = torch.cat([states[:, :, index], others / count.clamp(min=1)[..., None]], dim=-1)
            told.append(layer(read).softmax(dim=-1) * states.shape[-1])
        return torch.stack(told, dim=2)

    def shares(
        self, states: Float[Tensor, "b n 3 h"], available: Bool[Tensor, "b n 3"]
    ) -> Float[Tensor, "b n 3"]:
        """What each shown modality counts: they sum to 1 where any is shown, 0 elsewhere; of a hidden one 0.

        A modality that training lacks has no pace, and counts as hidden.
        """
        there = available & (self.pace > 0)
        amount = torch.cat([layer(states[:, :, index]) for index, layer in enumerate(self.amount)], dim=-1)
        pulled = amount + self.pace.clamp(min=1e-6).log()
        # a row of nothing but -inf would be NaN
        some = there.any(dim=-1, keepdim=True)
        return torch.where(there, pulled.masked_fill(~there & some, -torch.inf).softmax(dim=-1), 0.0)

    def forward(
        self, states: Float[Tensor, "b n 3 h"], available: Bool[Tensor, "b n 3"]
    ) -> Float[Tensor, "b n h"]:
        states = self.norm(states)
        weighed = self.feature_weights(states, available) * states
        values = torch.stack([layer(weighed[:, :, index]) for index, layer in enumerate(self.value)], dim=2)
        share = self.shares(states, available)
        fused = (share[..., None] * values).sum(dim=2)
        fused = torch.where((share > 0).any(dim=-1, keepdim=True), fused, self.null)
        dense: Tensor = self.dropout(self.dense(self.before_dense(fused)))
        return fused + dense


class Network(structured.Network):
    """The structured network with such a fusion; the pace is set before each epoch."""

    shape: Shape
    fusion: Fusion

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.fusion = Fusion(shape.hidden, shape.dropout)

    @torch.no_grad()
    def begin(self, training: Iterable[Batch]) -> None:
        batches = list(training)
        super().begin(batches)
        there = torch.stack([batch.available.flatten(0, 1).any(dim=0) for batch in batches]).any(dim=0)
        self.fusion.pace.copy_(there.float())

    @torch.no_grad()
    def enter(self, done: float, last: Mapping[str, float]) -> None:
        """The pace of the modalities whose own losses the last epoch told; of the others it stays.

        (A modality that training lacks, or that the variant never sees, told a loss of exactly 0.)
        """
        own = {index: last.get(f"own_{name}", 0.0) for index, name in enumerate(MODALITIES)}
        told = [index for index, loss in own.items() if loss > 0 and self.fusion.pace[index] > 0]
        weights = pace([own[index] for index in told], self.shape.strength)
        for index, weight in zip(told, weights, strict=True):
            self.fusion.pace[index] = weight

    def course(self) -> dict[str, float]:
        return {f"pace_{name}": float(self.fusion.pace[index]) for index, name in enumerate(MODALITIES)}

    def forward(self, batch: Batch) -> Balanced:
        told = super().forward(batch)
        own = {field.name: getattr(told, field.name) for field in fields(told)}
        return Balanced(**own, pace=self.fusion.pace.expand(*batch.valid.shape, -1))


def pace(own: list[float], strength: float) -> list[float]:
    """Weights of M modalities from their own losses; they sum to M.

    A modality has come as far as exp(-loss), of labels the geometric mean of the probability of the truth.
    Its disparity is that over the mean of the others, its weight the disparity to the power of -`strength`.
    A lag of more than `FARTHEST` behind the first counts as that, so that no weight becomes 0.
    """
    if len(own) < 2:
        return [1.0] * len(own)
    come = [math.exp(max(min(own) - loss, -FARTHEST)) for loss in own]
    others = [(sum(come) - mine) / (len(come) - 1) for mine in come]
    raw = [(mine / rest) ** -strength for mine, rest in zip(come, others, strict=True)]
    return [len(raw) * one / sum(raw) for one in raw]
