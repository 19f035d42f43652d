"""The structured network with an anchor for each class (docs/neighbours.md, EACL).

While states are learnt, a linear layer answers, and terms of the objective pull fused states to their anchor
and keep the anchors apart. In the last share of the epochs all else stands still: the anchors adapt to the
states, and the nearest one answers.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from models.batch import Batch
from models.modalities import MODALITIES
from models.network import Anchored
from models.networks import structured

HEAT = 10.0  # at the start; what a cosine of 1 adds to a log-odds


@dataclass(frozen=True)
class Shape(structured.Shape):
    """Everything that fixes the parameters of this network."""

    evidence: bool = False
    adaptation: float = 0.25  # share of the epochs, the last ones, in which the anchors adapt and answer


class Answer(nn.Module):
    """What fused states say of the classes: a linear layer, or, once `adapting`, how near each anchor is."""

    adapting: Tensor

    def __init__(self, hidden: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden, classes)
        self.anchors = nn.Parameter(torch.randn(classes, hidden))
        self.heat = nn.Parameter(torch.tensor(math.log(HEAT)))
        self.register_buffer("adapting", torch.tensor(0.0))

    def forward(self, fused: Float[Tensor, "b n h"]) -> Float[Tensor, "b n c"]:
        if self.adapting > 0:
            near = functional.normalize(fused, dim=-1) @ functional.normalize(self.anchors, dim=-1).T
            return self.heat.exp() * near
        told: Tensor = self.linear(fused)
        return told


class Network(structured.Network):
    """The structured network whose residual may be answered by the nearest anchor.

    Anchors begin as what the network, at its random start, makes of the label's name as text; without such
    names, of the mean text of the class in training; of a class without any text, at random.
    """

    shape: Shape
    residual: Answer

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.residual = Answer(shape.hidden, shape.outputs)

    def begin(self, training: Iterable[Batch]) -> None:
        batches = list(training)
        super().begin(batches)
        if self.shape.outputs > 1:
            self._begin_at(*_class_means(batches, self.shape.outputs))

    def name_classes(self, names: Float[Tensor, "c d"]) -> None:
        self._begin_at(names, torch.ones(len(names), dtype=torch.bool))

    @torch.no_grad()
    def _begin_at(self, vectors: Tensor, known: Tensor) -> None:
        """Anchors of the classes that are `known` (C,) at what the text's projection makes of `vectors`."""
        text = cast(structured.Modality, self.modalities[MODALITIES[0]])
        self.residual.anchors[known] = text.project(vectors[known])

    def enter(self, done: float, last: Mapping[str, float]) -> None:
        adapting = done >= 1 - self.shape.adaptation
        self.residual.adapting.fill_(float(adapting))
        kept = {id(self.residual.anchors), id(self.residual.heat)}
        for value in self.parameters():
            value.requires_grad_(not adapting or id(value) in kept)

    def course(self) -> dict[str, float]:
        return {"adapting": float(self.residual.adapting)}

    def forward(self, batch: Batch) -> Anchored:
        told = super().forward(batch)
        own = {field.name: getattr(told, field.name) for field in fields(told)}
        anchors: Tensor = self.residual.anchors
        if self.residual.adapting > 0:
            # the answers alone move them
            anchors = anchors.detach()
        return Anchored(**own, anchors=anchors.expand(*batch.valid.shape, *anchors.shape))


def _class_means(batches: list[Batch], classes: int) -> tuple[Tensor, Tensor]:
    """Mean text features of each class (C, D), and which classes have any (C,)."""
    text = MODALITIES[0]
    said = [batch.labelled & batch.available[..., 0] for batch in batches]
    label = torch.cat([batch.label[there] for batch, there in zip(batches, said, strict=True)])
    features = torch.cat([batch.features[text][there] for batch, there in zip(batches, said, strict=True)])
    count = torch.bincount(label, minlength=classes)
    total = features.new_zeros(classes, features.shape[1]).index_add_(0, label, features)
    return total / count.clamp(min=1)[:, None], count > 0
