"""Temporal encoder of a dialogue: self-attention that knows order and who speaks."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


def positions(count: int, width: int, like: Float[Tensor, "..."]) -> Float[Tensor, "count width"]:
    """Sinusoids of the place in the dialogue, wavelengths from 2 pi to 1,000 utterances."""
    place = torch.arange(count, device=like.device, dtype=like.dtype)[:, None]
    rate = torch.exp(
        torch.arange(0, width, 2, device=like.device, dtype=like.dtype) * (-math.log(1e3) / width)
    )
    return torch.stack((torch.sin(place * rate), torch.cos(place * rate)), dim=-1).flatten(1)


class Attention(nn.Module):
    """Multi-head attention of a sequence with itself, under an additive bias."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.incoming = nn.Linear(hidden, 3 * hidden)
        self.outgoing = nn.Linear(hidden, hidden)

    def forward(
        self, x: Float[Tensor, "b n h"], bias: Float[Tensor, "#b #heads #n n"]
    ) -> Float[Tensor, "b n h"]:
        """`bias` is -inf where a key may not be read."""
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (b, heads, n, h / heads)
            for part in self.incoming(x).chunk(3, dim=-1)
        )
        # plain products: dialogues are short, where the fused kernel takes twice as long on a CPU
        weight = (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 + bias).softmax(dim=-1)
        mixed = weight @ value
        outgoing: Tensor = self.outgoing(mixed.transpose(1, 2).flatten(2))
        return outgoing


class Layer(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.before_attention, self.before_dense = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.attention = Attention(hidden, heads)
        self.dense = nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.GELU(), nn.Linear(2 * hidden, hidden))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "b n h"], bias: Float[Tensor, "#b #heads #n n"]
    ) -> Float[Tensor, "b n h"]:
        x = x + self.dropout(self.attention(self.before_attention(x), bias))
        dense: Tensor = self.dropout(self.dense(self.before_dense(x)))
        return x + dense


class TemporalEncoder(nn.Module):
    """Transformer over the utterances of a dialogue (docs/method.md, Network, 1).

    The attention bias depends on the distance between two utterances (clipped at `reach`) and on whether
    one person speaks both. Padding is never read; what comes out on padding is meaningless.
    """

    def __init__(self, hidden: int, layers: int, heads: int, dropout: float, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.bias = nn.Embedding(2 * (2 * reach + 1), heads)
        nn.init.zeros_(self.bias.weight)
        self.layers = nn.ModuleList(Layer(hidden, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)

    def attention_bias(
        self, speaker: Int[Tensor, "b n"], valid: Bool[Tensor, "b n"]
    ) -> Float[Tensor, "b heads n n"]:
        """Learned bias by distance and same-speaker, -inf on keys that are padding."""
        place = torch.arange(speaker.shape[1], device=speaker.device)
        distance = (place[None, :] - place[:, None]).clamp(-self.reach, self.reach) + self.reach
        same = (speaker[:, :, None] == speaker[:, None, :]).long()
        bias: Tensor = self.bias(distance + same * (2 * self.reach + 1))
        # a dialogue has at least one utterance, so no row of the softmax is empty
        return bias.permute(0, 3, 1, 2).masked_fill(~valid[:, None, None, :], -torch.inf)

    def forward(
        self, x: Float[Tensor, "b n h"], speaker: Int[Tensor, "b n"], valid: Bool[Tensor, "b n"]
    ) -> Float[Tensor, "b n h"]:
        if self.layers:
            bias = self.attention_bias(speaker, valid)
            for layer in self.layers:
                x = layer(x, bias)
        normed: Tensor = self.norm(x)
        return normed
