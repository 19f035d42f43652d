"""The structured network with a gate for each modality: how far its features are read (docs/unreliable.md).

The reliability inputs of a slot stand behind its features in `batch.features`, NaN where not known; a batch
without them is one of which nothing is known.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models import network
from models.batch import Batch
from models.modalities import MODALITIES
from models.network import Chained
from models.networks import structured

HIDDEN = 16  # width of a gate
UNKNOWN = 0.2  # chance that an input is withheld in training, and that all of a slot's are
FURTHEST = 5.0  # standard deviations beyond which all count alike
WIDER = 0.1  # how far a gate opens beyond what is read without one
LEAST = -4.0  # logit of the most closed gate


@dataclass(frozen=True)
class Shape(structured.Shape):
    """Everything that fixes the parameters of this network."""

    gauges: Mapping[str, int] = field(default_factory=dict)  # reliability inputs by modality


class Gate(nn.Module):
    """Reliability inputs of slots -> how far each is read: 0 not at all, 1 as ever.

    It begins at 1 for all, and is 1 whatever was learnt for a slot of which nothing is known.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(3 * inputs, HIDDEN)
        self.out = nn.Linear(HIDDEN, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, inputs: Float[Tensor, "b n k"], available: Bool[Tensor, "b n"]) -> Float[Tensor, "b n"]:
        """`inputs`: in standard deviations from the training mean, NaN where not known."""
        known = inputs.isfinite() & available[..., None]
        if self.training:
            kept = torch.rand(inputs.shape, device=inputs.device) >= UNKNOWN
            known = known & kept & (torch.rand(inputs.shape[:2], device=inputs.device) >= UNKNOWN)[..., None]
        seen = torch.where(known, inputs, 0.0).clamp(-FURTHEST, FURTHEST)
        read = torch.cat([seen, seen.abs(), known.to(seen.dtype)], dim=-1)
        logit = self.out(torch.nn.functional.gelu(self.hidden(read)))[..., 0].float()
        logit = torch.where(known.any(dim=-1), logit, 0.0).clamp(min=LEAST)
        # exactly 1 at 0, with a slope on both sides
        opened = torch.tanh(logit)
        return 1 + torch.where(logit > 0, WIDER * opened, opened)


class Network(network.Network):
    """A structured network, and a gate for every modality that has reliability inputs."""

    shape: Shape

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        own = {one.name: getattr(shape, one.name) for one in fields(structured.Shape)}
        # first, so that it begins as the structured network of the same seed
        self.reader = structured.Network(structured.Shape(**own))
        self.gates = nn.ModuleDict({name: Gate(count) for name, count in shape.gauges.items() if count})

    @property
    def width(self) -> int:
        return self.reader.width

    @property
    def heir(self) -> network.Network:
        return self.reader

    def begin(self, training: Iterable[Batch]) -> None:
        self.reader.begin(training)

    def trust(self, batch: Batch) -> Float[Tensor, "b n 3"]:
        """How far each slot is read; 1 for absent ones, where it means nothing."""
        told = []
        for index, name in enumerate(MODALITIES):
            inputs = batch.features[name][..., self.shape.dimensions[name] :]
            there = batch.available[..., index]
            if name in self.gates and inputs.shape[-1]:
                told.append(self.gates[name](inputs, there))
            else:
                told.append(torch.ones(there.shape, device=there.device))
        return torch.stack(told, dim=-1)

    def forward(self, batch: Batch) -> Chained:
        dimensions = self.shape.dimensions
        features = {name: values[..., : dimensions[name]] for name, values in batch.features.items()}
        return self.reader.trusting(replace(batch, features=features), self.trust(batch))
