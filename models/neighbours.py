"""The terms of the published neighbours, on one pass of the student (docs/neighbours.md)."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from models import losses, splitting
from models.modalities import MODALITIES
from models.network import Anchored, Balanced, Decoupled
from models.passes import Pass, task_of


def anchor(seen: Pass) -> Float[Tensor, ""]:
    """Pull of the fused states to the anchors of their classes, where the view shows anything."""
    view = seen.view
    among = view.labelled & view.available.any(dim=-1)
    return losses.anchor_pull(
        seen.output.fused, _anchors(seen), view.label, among, seen.options.anchor_temperature
    )


def anchor_angle(seen: Pass) -> Float[Tensor, ""]:
    """How near the anchors of different classes lie to each other."""
    return losses.anchor_angle(_anchors(seen))


def _anchors(seen: Pass) -> Float[Tensor, "k h"]:
    if not isinstance(seen.output, Anchored):
        raise ValueError("anchor: this network has no anchors")
    return seen.output.anchors[0, 0]


def own(seen: Pass, index: int) -> Float[Tensor, ""]:
    """Task loss of one modality by itself where the view shows it; its gradient is weighed by its pace."""
    if not isinstance(seen.output, Balanced):
        raise ValueError("own: this network does not weigh its modalities")
    told = task_of(seen, seen.output.modality_logits[:, :, index], seen.view.available[..., index])
    return losses.paced(told, seen.output.pace[0, 0, index])


def parts(seen: Pass) -> Float[Tensor, ""]:
    """Task loss of both parts of each modality where the view shows it, mean over parts and modalities."""
    told, shown = _split(seen).part_logits, seen.view.available
    return torch.stack(
        [task_of(seen, told[:, :, part, index], shown[..., index]) for part in range(2) for index in range(3)]
    ).mean()


def apart(seen: Pass) -> Float[Tensor, ""]:
    """How far the shared part of a state and its own part are from right angles."""
    return splitting.apart(_split(seen).parts, seen.view.available)


def rebuilt(seen: Pass) -> Float[Tensor, ""]:
    """Squared error of the states made from their parts, mean over the modalities that the view shows."""
    told = _split(seen)
    return losses.modality(told.rebuilt, told.read, seen.view.available, "mse")


def graph(seen: Pass) -> Float[Tensor, ""]:
    """Distillation between the shown modalities on either part, and what teaches its edges whom to ask."""
    told, options = _split(seen), seen.options
    asked = splitting.asked(told.part_logits, told.edges, options.regression)
    learns = told.edges.sum(dim=-1) > 0
    taught = torch.stack(
        [task_of(seen, asked[:, :, p, m], learns[:, :, p, m]) for p in range(2) for m in range(3)]
    )
    pull = splitting.taught(told.part_logits, asked, learns, options.regression)
    return pull + taught.mean()


def dictionary(seen: Pass) -> Float[Tensor, ""]:
    """Agreement of the shown modalities' matches with the prototypes; 0 before the second stage."""
    told = _split(seen)
    stage = told.matching[0, 0]
    return stage * splitting.matched(told.matches, seen.view.available)


def _split(seen: Pass) -> Decoupled:
    if not isinstance(seen.output, Decoupled):
        raise ValueError("parts: this network does not split its states")
    return seen.output


# what computes their terms
COMPUTE: dict[str, Callable[[Pass], Float[Tensor, ""]]] = {
    "anchor": anchor,
    "anchor_angle": anchor_angle,
    **{f"own_{name}": partial(own, index=index) for index, name in enumerate(MODALITIES)},
    "parts": parts,
    "apart": apart,
    "rebuilt": rebuilt,
    "graph": graph,
    "dictionary": dictionary,
}
