"""The structured network on decoupled states (docs/neighbours.md, DHMD).

Each modality's state is split into a part that one layer makes for all modalities and a part of its own; what
follows reads both. Beside them stands what the terms of the objective need: answers of each part, edges
between the modalities, and a dictionary of prototypes for the shared parts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from models import splitting
from models.batch import Batch
from models.modalities import MODALITIES
from models.network import Decoupled
from models.networks import structured

HEAT = 10.0  # what a cosine of 1 adds to the log-odds of a prototype


@dataclass(frozen=True)
class Shape(structured.Shape):
    """Everything that fixes the parameters of this network."""

    prototypes: int = 16
    matching: float = 0.5  # share of the epochs, the last ones, in which the dictionary is matched


class Split(nn.Module):
    """States (b, n, 3, h) -> their parts (b, n, 2, 3, h / 2), shared and own, and back."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        count, half = len(MODALITIES), hidden // 2
        self.shared = nn.Linear(hidden, half)
        self.own = nn.ModuleList(nn.Linear(hidden, half) for _ in range(count))
        self.back = nn.ModuleList(nn.Linear(2 * half, hidden) for _ in range(count))

    def forward(self, states: Float[Tensor, "b n 3 h"]) -> Float[Tensor, "b n 2 3 w"]:
        own = torch.stack([layer(states[:, :, index]) for index, layer in enumerate(self.own)], dim=2)
        return torch.stack([self.shared(states), own], dim=2)

    def rebuilt(self, together: Float[Tensor, "b n 3 h"]) -> Float[Tensor, "b n 3 h"]:
        """The states again, from both parts side by side."""
        return torch.stack([layer(together[:, :, index]) for index, layer in enumerate(self.back)], dim=2)


class Network(structured.Network):
    """The structured network whose fusion reads both parts of each state, side by side."""

    shape: Shape
    stage: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        half = shape.hidden // 2
        self.split = Split(shape.hidden)
        # what is shared has one meaning for all modalities; what is their own has one for each
        self.shared_head = nn.Linear(half, shape.outputs)
        self.own_heads = nn.ModuleList(nn.Linear(half, shape.outputs) for _ in MODALITIES)
        self.asks = nn.ModuleList(nn.Linear(half, half) for _ in range(2))
        self.tells = nn.ModuleList(nn.Linear(half, half) for _ in range(2))
        self.prototypes = nn.Parameter(torch.randn(shape.prototypes, half))
        self.register_buffer("stage", torch.tensor(0.0))

    def enter(self, done: float, last: Mapping[str, float]) -> None:
        self.stage.fill_(float(done >= 1 - self.shape.matching))

    def course(self) -> dict[str, float]:
        return {"matching": float(self.stage)}

    def forward(self, batch: Batch) -> Decoupled:
        states, evidence = self.read(batch)
        parts = self.split(states)
        together = torch.cat([parts[:, :, 0], parts[:, :, 1]], dim=-1)
        told = self.answer(batch, together, evidence)
        return Decoupled(
            **{field.name: getattr(told, field.name) for field in fields(told)},
            read=states,
            rebuilt=self.split.rebuilt(together),
            parts=parts,
            part_logits=self._answers(parts),
            edges=splitting.edges(self._match(parts), batch.available),
            matches=self._matches(parts[:, :, 0]),
            matching=self.stage.expand(batch.valid.shape),
        )

    def _answers(self, parts: Float[Tensor, "b n 2 3 w"]) -> Float[Tensor, "b n 2 3 c"]:
        dropped = self.dropout(parts)
        own = [layer(dropped[:, :, 1, index]) for index, layer in enumerate(self.own_heads)]
        return torch.stack([self.shared_head(dropped[:, :, 0]), torch.stack(own, dim=2)], dim=2)

    def _match(self, parts: Float[Tensor, "b n 2 3 w"]) -> Float[Tensor, "b n 2 3 3"]:
        """How well what each modality asks fits what each tells, part by part; a term teaches this alone."""
        still = parts.detach()
        found = []
        for part, (asks, tells) in enumerate(zip(self.asks, self.tells, strict=True)):
            asking, telling = asks(still[:, :, part]), tells(still[:, :, part])
            found.append(asking @ telling.transpose(-1, -2) * asking.shape[-1] ** -0.5)
        return torch.stack(found, dim=2)

    def _matches(self, shared: Float[Tensor, "b n 3 w"]) -> Float[Tensor, "b n 3 k"]:
        near = functional.normalize(shared, dim=-1) @ functional.normalize(self.prototypes, dim=-1).T
        return (HEAT * near).log_softmax(dim=-1)
