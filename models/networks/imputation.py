"""The imputation baseline: an autoencoder fills absent features, and another network reads them.

This is the family of methods that the source argues against (docs/method.md, Variants): it is here to be
compared with, and only the variant `imputation` uses it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models import network
from models.batch import Batch
from models.modalities import MODALITIES
from models.network import Imputed
from models.networks import attention, structured
from models.temporal import TemporalEncoder

READERS = {"attention": attention, "structured": structured}


@dataclass(frozen=True)
class Shape(attention.Shape):
    """What fixes the network that reads; the imputer has its width, heads, dropout and reach."""

    reader: str = "attention"  # the network that reads
    chain: str = "own"  # of a structured reader, like what follows
    through: str = "lstm"
    evidence: bool = True


class Imputer(nn.Module):
    """Guesses all three feature vectors of every utterance from what the view shows of the dialogue."""

    def __init__(
        self, dimensions: Mapping[str, int], hidden: int, heads: int, dropout: float, reach: int
    ) -> None:
        super().__init__()
        self.encode = nn.ModuleDict({name: nn.Linear(dimensions[name], hidden) for name in MODALITIES})
        self.flags = nn.Linear(3, hidden)
        self.temporal = TemporalEncoder(hidden, 1, heads, dropout, reach)
        self.decode = nn.ModuleDict({name: nn.Linear(hidden, dimensions[name]) for name in MODALITIES})

    def forward(self, batch: Batch) -> tuple[Batch, dict[str, Float[Tensor, "b n _"]]]:
        """The batch with every absent slot of a real utterance filled, and the guesses for all slots."""
        x = self.flags(batch.available.to(self.flags.weight.dtype))
        for index, name in enumerate(MODALITIES):
            there = batch.available[..., index, None]
            x = x + torch.where(there, self.encode[name](torch.where(there, batch.features[name], 0.0)), 0.0)
        x = self.temporal(x, batch.speaker, batch.valid)
        guesses = {name: self.decode[name](x) for name in MODALITIES}
        filled = {
            name: torch.where(batch.available[..., index, None], batch.features[name], guesses[name])
            for index, name in enumerate(MODALITIES)
        }
        return batch.with_features(filled, torch.ones_like(batch.available)), guesses


class Network(network.Network):
    """An imputer, and a network that reads what it filled as if it had been there."""

    shape: Shape

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.imputer = Imputer(shape.dimensions, shape.hidden, shape.heads, shape.dropout, shape.reach)
        module = READERS[shape.reader]
        own = {field.name: getattr(shape, field.name) for field in fields(module.Shape)}
        self.reader: network.Network = module.Network(module.Shape(**own))

    @property
    def width(self) -> int:
        return self.reader.width

    def begin(self, training: Iterable[Batch]) -> None:
        self.reader.begin(training)

    @property
    def heir(self) -> network.Network:
        return self.reader

    def forward(self, batch: Batch) -> Imputed:
        filled, guesses = self.imputer(batch)
        told = self.reader(filled)
        return Imputed(told.logits, told.fused, told.states, told.modality_logits, guesses)
