"""Modality encoders, gated fusion and attention over the dialogue (docs/method.md, Network)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models import network
from models.batch import Batch
from models.fusion import GatedFusion
from models.modalities import MODALITIES
from models.network import Output
from models.temporal import TemporalEncoder, positions


@dataclass(frozen=True)
class Shape(network.Shape):
    """Everything that fixes the parameters of this network."""

    hidden: int = 64
    layers: int = 1  # temporal layers of each modality
    context_layers: int = 1  # temporal layers over the fused states
    heads: int = 4
    dropout: float = 0.2
    feature_dropout: float = 0.1
    speakers: int = 8  # speakers told apart by an embedding; later ones share the last
    reach: int = 8  # utterances; distances beyond it count as this far


class ModalityEncoder(nn.Module):
    """Features of one modality -> modality-specific states h, through the dialogue."""

    def __init__(self, dimension: int, shape: Shape) -> None:
        super().__init__()
        self.dropout = nn.Dropout(shape.feature_dropout)
        self.project = nn.Sequential(nn.Linear(dimension, shape.hidden), nn.LayerNorm(shape.hidden))
        # zeros, so that a network which never saw an absence treats one as a zero-filled slot
        self.absent = nn.Parameter(torch.zeros(shape.hidden))
        self.speaker = nn.Embedding(shape.speakers, shape.hidden)
        nn.init.normal_(self.speaker.weight, std=0.02)
        self.place = nn.Parameter(torch.tensor(0.1))
        self.temporal = TemporalEncoder(shape.hidden, shape.layers, shape.heads, shape.dropout, shape.reach)

    def forward(
        self,
        features: Float[Tensor, "b n d"],
        available: Bool[Tensor, "b n"],
        speaker: Int[Tensor, "b n"],
        valid: Bool[Tensor, "b n"],
    ) -> Float[Tensor, "b n h"]:
        there = available[..., None]
        # the contents of an absent slot go before anything touches them: a NaN times 0 is still NaN
        features = torch.where(there, features, 0.0)
        x = torch.where(there, self.project(self.dropout(features)), self.absent)
        x = x + self.speaker(speaker.clamp(0, self.speaker.num_embeddings - 1))
        x = x + self.place * positions(x.shape[1], x.shape[2], like=x)
        states: Tensor = self.temporal(x, speaker, valid)
        return states


class Network(network.Network):
    """Modality encoders, gated fusion, a dialogue-level temporal layer, a head and auxiliary heads.

    An utterance with nothing to read is judged from its context.
    """

    shape: Shape

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.encoders = nn.ModuleDict(
            {name: ModalityEncoder(shape.dimensions[name], shape) for name in MODALITIES}
        )
        self.fusion = GatedFusion(shape.hidden, shape.heads, shape.dropout)
        self.context = TemporalEncoder(
            shape.hidden, shape.context_layers, shape.heads, shape.dropout, shape.reach
        )
        self.dropout = nn.Dropout(shape.dropout)
        self.head = nn.Linear(shape.hidden, shape.outputs)
        self.modality_heads = nn.ModuleDict(
            {name: nn.Linear(shape.hidden, shape.outputs) for name in MODALITIES}
        )

    @property
    def width(self) -> int:
        return self.shape.hidden

    def forward(self, batch: Batch) -> Output:
        states = torch.stack(
            [
                self.encoders[name](
                    batch.features[name], batch.available[..., index], batch.speaker, batch.valid
                )
                for index, name in enumerate(MODALITIES)
            ],
            dim=2,
        )
        fused = self.context(self.fusion(states, batch.available), batch.speaker, batch.valid)
        modality_logits = torch.stack(
            [
                self.modality_heads[name](self.dropout(states[:, :, index]))
                for index, name in enumerate(MODALITIES)
            ],
            dim=2,
        )
        return Output(self.head(self.dropout(fused)), fused, states, modality_logits)
