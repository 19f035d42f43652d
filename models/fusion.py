"""Fusion of the modality-specific states of one utterance."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.temporal import Attention


class FewTokenAttention(Attention):
    """The same attention for a handful of tokens in each of very many sequences.

    Sums of elementwise products take half the time of as many tiny matrix products, forward and backward.
    """

    def forward(
        self, x: Float[Tensor, "b n h"], bias: Float[Tensor, "#b #heads #n n"]
    ) -> Float[Tensor, "b n h"]:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)) for part in self.incoming(x).chunk(3, dim=-1)
        )  # (b, n, heads, h / heads)
        match = (query[:, :, None] * key[:, None]).sum(dim=-1)  # (b, n, n, heads)
        weight = (match * query.shape[-1] ** -0.5 + bias.permute(0, 2, 3, 1)).softmax(dim=2)
        mixed = (weight[..., None] * value[:, None]).sum(dim=2)
        outgoing: Tensor = self.outgoing(mixed.flatten(2))
        return outgoing


class GatedFusion(nn.Module):
    """Gated cross-modal attention over the available states (docs/method.md, Network, 2).

    The states of an utterance and one null token attend to each other; a gate, one softmax over the
    tokens for each dimension, then mixes them. The null token is always available, so an utterance
    with nothing to read still has a fused state. Absent states get weight 0 in both places. A trust of a
    state multiplies what it weighs in both: 1 is nothing, and 0 as if it were absent.
    """

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.null = nn.Parameter(torch.zeros(hidden))
        self.kind = nn.Parameter(torch.randn(4, hidden) * 0.02)  # which modality, or the null token
        self.before_attention, self.before_gate = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.attention = FewTokenAttention(hidden, heads)
        self.gate, self.value = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.before_dense = nn.LayerNorm(hidden)
        self.dense = nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.GELU(), nn.Linear(2 * hidden, hidden))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        states: Float[Tensor, "b n 3 h"],
        available: Bool[Tensor, "b n 3"],
        trust: Float[Tensor, "b n 3"] | None = None,
    ) -> Float[Tensor, "b n h"]:
        b, n, _, h = states.shape
        null = self.null.expand(b, n, 1, h)
        tokens = (torch.cat((states, null), dim=2) + self.kind).flatten(0, 1)  # (b n, 4, h)
        open_ = torch.cat((available, available.new_ones(b, n, 1)), dim=2).flatten(0, 1)  # (b n, 4)
        bias = torch.zeros(open_.shape, device=states.device).masked_fill(~open_, -torch.inf)
        if trust is not None:
            bias[:, :3] += trust.flatten(0, 1).log()
        tokens = tokens + self.dropout(self.attention(self.before_attention(tokens), bias[:, None, None, :]))
        normed = self.before_gate(tokens)
        weight = (self.gate(normed) + bias[..., None]).softmax(dim=1)
        fused: Tensor = (weight * self.value(normed)).sum(dim=1)
        fused = fused + self.dropout(self.dense(self.before_dense(fused)))
        return fused.view(b, n, h)
