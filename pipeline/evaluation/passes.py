"""Forward passes over the test split: clean views, and conflict views in which one utterance is swapped."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from models.batch import LETTERS, MODALITIES, Batch
from models.network import Network, Output


@dataclass(frozen=True)
class Swaps:
    """V conflict views: the dialogue and position of target and donor in one padded batch, on its device."""

    dialogue: Int[Tensor, "v"]
    position: Int[Tensor, "v"]
    donor_dialogue: Int[Tensor, "v"]
    donor_position: Int[Tensor, "v"]

    @classmethod
    def find(cls, batch: Batch, target: Int[Tensor, "v"], donor: Int[Tensor, "v"]) -> "Swaps":
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


def whole(batches: Iterator[Batch]) -> Batch:
    """All dialogues of several batches in one, padded to the longest."""
    parts = list(batches)
    width = max(part.row.shape[1] for part in parts)

    def joined(tensors: list[Tensor], fill: float) -> Tensor:
        return torch.cat([_widen(tensor, width, fill) for tensor in tensors])

    features = {name: joined([part.features[name] for part in parts], 0.0) for name in MODALITIES}
    fills = {"available": False, "speaker": 0, "valid": False, "label": -1, "score": torch.nan, "row": -1}
    return Batch(
        features=features,
        **{name: joined([getattr(part, name) for part in parts], fill) for name, fill in fills.items()},
    )


def _widen(tensor: Tensor, width: int, fill: float) -> Tensor:
    extra = tensor.new_full((tensor.shape[0], width - tensor.shape[1], *tensor.shape[2:]), fill)
    return torch.cat([tensor, extra], dim=1)


def take(batch: Batch, dialogues: Int[Tensor, "k"]) -> Batch:
    """Some dialogues of a batch (any number of times each), without padding that none of them needs."""
    width = int(batch.valid[dialogues].sum(dim=1).max())

    def part(tensor: Tensor) -> Tensor:
        return tensor[dialogues, :width]

    return Batch(
        features={name: part(value) for name, value in batch.features.items()},
        **{
            name: part(getattr(batch, name))
            for name in ("available", "speaker", "valid", "label", "score", "row")
        },
    )


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


def clean_logits(
    network: Network, batch: Batch, shown: Bool[Tensor, "b n 3"], budget: int
) -> Float[Tensor, "u c"]:
    """Logits of all valid utterances of a batch, in its order, under one view."""
    return _clean(network, batch, shown, budget, lambda output: output.logits)


def clean_states(
    network: Network, batch: Batch, shown: Bool[Tensor, "b n 3"], budget: int
) -> Float[Tensor, "u h"]:
    """Fused states of all valid utterances of a batch, in its order, under one view."""
    return _clean(network, batch, shown, budget, lambda output: output.fused)


@torch.inference_mode()
def _clean(
    network: Network,
    batch: Batch,
    shown: Bool[Tensor, "b n 3"],
    budget: int,
    read: Callable[[Output], Float[Tensor, "b n _"]],
) -> Float[Tensor, "u _"]:
    viewed = batch.showing(shown)
    lengths = batch.valid.sum(dim=1)
    result: Tensor | None = None
    for index in chunks(lengths, budget):
        values = read(network(take(viewed, index)))
        if result is None:
            result = values.new_zeros((*batch.row.shape, values.shape[-1]))
        result[index, : values.shape[1]] = values
    return result[batch.valid]


@torch.inference_mode()
def conflict_logits(
    network: Network, batch: Batch, swaps: Swaps, letters: str, *, shown: Bool[Tensor, "3"], budget: int
) -> Float[Tensor, "v c"]:
    """Logits of the target of each conflict view: one pass a view, the target's neighbours clean.

    `letters` name the modalities whose content comes from the donor; `shown` are those that the network
    may see at all.
    """
    lengths = batch.valid.sum(dim=1)[swaps.dialogue]
    swapped = [name for name, letter in zip(MODALITIES, LETTERS, strict=True) if letter in letters]
    result: Tensor | None = None
    for index in chunks(lengths, budget):
        view = take(batch, swaps.dialogue[index])
        place = (torch.arange(len(index), device=index.device), swaps.position[index])
        features = dict(view.features)
        for name in swapped:
            features[name] = features[name].clone()
            features[name][place] = batch.features[name][
                swaps.donor_dialogue[index], swaps.donor_position[index]
            ]
        logits = network(view.with_features(features, view.available & shown)).logits
        if result is None:
            result = logits.new_zeros((len(lengths), logits.shape[-1]))
        result[index] = logits[place]
    return result
