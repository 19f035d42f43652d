"""Forward passes over the test split: views of all utterances, and views in which one is swapped."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from models.batch import Batch
from models.modalities import modalities_of
from models.network import Network, Output
from pipeline.evaluation.protocol import View

DIALOGUES = 256  # of the test split, read at once


@dataclass(frozen=True)
class Places:
    """V conflict views: the dialogue and position of target and donor in one padded batch, on its device."""

    dialogue: Int[Tensor, "v"]
    position: Int[Tensor, "v"]
    donor_dialogue: Int[Tensor, "v"]
    donor_position: Int[Tensor, "v"]

    @classmethod
    def find(cls, batch: Batch, target: Int[Tensor, "v"], donor: Int[Tensor, "v"]) -> "Places":
        """Locate dataset rows in a batch; raises KeyError naming a row that it does not hold."""
        # a batch on a GPU, and rows that come from a table: they meet on the CPU
        flat, target, donor = batch.row.flatten().cpu(), target.cpu(), donor.cpu()
        places = torch.full((int(torch.cat([flat, target, donor]).max()) + 1,), -1)
        held = flat >= 0
        places[flat[held]] = torch.arange(len(flat))[held]
        found = torch.stack([places[target], places[donor]])
        if (found < 0).any():
            raise KeyError(int(torch.stack([target, donor])[found < 0][0]))
        found = found.to(batch.row.device)
        width = batch.row.shape[1]
        return cls(found[0] // width, found[0] % width, found[1] // width, found[1] % width)


def viewed(batch: Batch, view: View, may_see: Bool[Tensor, "3"]) -> Batch:
    """A batch under a view, on its own device; `may_see` are the modalities that the network may read."""
    row = batch.row.clamp(min=0)

    def laid_out(values: np.ndarray) -> Shaped[Tensor, "b n _"]:
        return torch.from_numpy(values).to(row.device)[row]

    features = {name: laid_out(values) for name, values in view.features.items()}
    return replace(batch, features=batch.features | features).showing(laid_out(view.shown) & may_see)


def chunks(lengths: Int[Tensor, "k"], budget: int) -> Iterator[Int[Tensor, "j"]]:
    """Indices in parts of like length; padded, a part holds at most `budget` utterances (or one dialogue)."""
    order = lengths.argsort(stable=True)
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and int(lengths[order[stop]]) * (stop + 1 - start) <= budget:
            stop += 1
        yield order[start:stop]
        start = stop


def clean_logits(network: Network, batch: Batch, budget: int) -> Float[Tensor, "u c"]:
    """Logits of all valid utterances of a batch, in its order."""
    return _clean(network, batch, budget, lambda output: output.logits)


def clean_states(network: Network, batch: Batch, budget: int) -> Float[Tensor, "u h"]:
    """Fused states of all valid utterances of a batch, in its order."""
    return _clean(network, batch, budget, lambda output: output.fused)


@torch.inference_mode()
def _clean(
    network: Network, batch: Batch, budget: int, read: Callable[[Output], Float[Tensor, "b n _"]]
) -> Float[Tensor, "u _"]:
    lengths = batch.valid.sum(dim=1)
    found = [(index, read(network(batch.take(index)))) for index in chunks(lengths, budget)]
    result = found[0][1].new_zeros((*batch.row.shape, found[0][1].shape[-1]))
    for index, values in found:
        result[index, : values.shape[1]] = values
    return result[batch.valid]


@torch.inference_mode()
def conflict_logits(
    network: Network, batch: Batch, places: Places, letters: str, *, shown: Bool[Tensor, "3"], budget: int
) -> Float[Tensor, "v c"]:
    """Logits of the target of each conflict view: one pass a view, the target's neighbours clean.

    `letters` name the modalities whose content comes from the donor; `shown` are those that the network
    may see at all.
    """
    lengths = batch.valid.sum(dim=1)[places.dialogue]
    found = []
    for index in chunks(lengths, budget):
        view = batch.take(places.dialogue[index])
        place = (torch.arange(len(index), device=index.device), places.position[index])
        features = dict(view.features)
        for name in modalities_of(letters):
            features[name] = features[name].clone()
            features[name][place] = batch.features[name][
                places.donor_dialogue[index], places.donor_position[index]
            ]
        logits = network(view.with_features(features, view.available & shown)).logits
        found.append((index, logits[place]))
    result = found[0][1].new_zeros((len(lengths), found[0][1].shape[-1]))
    for index, values in found:
        result[index] = values
    return result
