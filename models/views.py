"""Training views: incomplete ones, and nonverbal conflict views (docs/method.md, Objective).

All of it runs on the CPU under one generator, so that a view never depends on the device.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from models.batch import Batch
from models.masks import fixed_mask, random_masks
from models.modalities import CHANNELS, LETTERS, MODALITIES, has_letter

NONVERBAL = [index for index, letter in enumerate(LETTERS) if letter in CHANNELS]  # columns in `available`


def incomplete_view(
    available: Bool[Tensor, "b n 3"],
    fixed_share: float,
    subsets: Sequence[str],
    rates: Sequence[float],
    generator: torch.Generator,
) -> Bool[Tensor, "b n 3"]:
    """A view that hides slots of every dialogue, by a family drawn for the dialogue.

    With the chance `fixed_share` one of `subsets` (letters) covers the whole dialogue, so an utterance may
    be left with nothing; else one of `rates` is drawn and masks are drawn by utterance, with at least one
    really available modality kept. Dialogues that drew the same rate meet it together.
    """
    count = available.shape[0]
    is_fixed = torch.rand(count, generator=generator) < fixed_share
    subset = torch.randint(len(subsets), (count,), generator=generator)
    rate = torch.randint(len(rates), (count,), generator=generator)
    shown = available.clone()
    for index, letters in enumerate(subsets):
        chosen = is_fixed & (subset == index)
        shown[chosen] = fixed_mask(available[chosen], letters)
    for index, value in enumerate(rates):
        chosen = ~is_fixed & (rate == index)
        if chosen.any():
            shown[chosen] = random_masks(available[chosen], value, generator)
    return shown


@dataclass(frozen=True)
class Donors:
    """Utterances whose sound and picture may stand beside another utterance's language.

    Only rows of the training split belong here: the evaluation's donors are other people.
    """

    features: dict[str, Float[Tensor, "u _"]]  # audio and visual
    available: Bool[Tensor, "u 3"]
    value: Float[Tensor, "u"]  # class index as a number, or the score
    dialogue: Int[Tensor, "u"]


@dataclass(frozen=True)
class Conflict:
    """A conflict view of a batch, with what the donors were."""

    batch: Batch
    swapped: Bool[Tensor, "b n"]  # in conflict; the rest of the dialogue is clean
    other: Bool[Tensor, "b n"]  # swapped, and the donor's target differs
    donor: Float[Tensor, "b n"]  # the donor's target; NaN where clean
    channels: Int[Tensor, "b n"]  # index into CHANNELS; -1 where clean

    def to(self, device: torch.device | str) -> "Conflict":
        """The same view on another device."""
        return Conflict(*(getattr(self, field.name).to(device) for field in fields(self)))


@dataclass(frozen=True)
class ConflictRates:
    """How conflict views are drawn."""

    share: float = 0.3  # of the utterances of a dialogue
    same_share: float = 0.3  # of those: donors with the target's own label
    channels: tuple[str, ...] = CHANNELS
    gap: float = 0.0  # regression: least distance of another score (0: classes, "not equal")


def conflict_view(
    batch: Batch,
    dialogue: Int[Tensor, "b"],
    target: Float[Tensor, "b n"],
    donors: Donors,
    rates: ConflictRates,
    generator: torch.Generator,
) -> Conflict:
    """Put the sound, the picture or both of a donor beside an utterance's own language and target.

    `target` is the class index or the score of every utterance, NaN where there is none: those stay clean.
    So do utterances whose language is absent: nothing but the label would be left of them.
    A donor comes from another dialogue, has every channel that is taken from it, and has another target
    (or, for the share of same-label donors, the same one). An utterance without any such donor stays clean.
    Another score means at least `rates.gap` away; the same score means closer than that.
    """
    shape = target.shape
    picked = torch.rand(shape, generator=generator) < rates.share
    same = torch.rand(shape, generator=generator) < rates.same_share
    channel = torch.randint(len(rates.channels), shape, generator=generator)
    channel = torch.tensor([CHANNELS.index(name) for name in rates.channels])[channel]
    spoken = batch.available[..., 0]
    where = (picked & batch.valid & spoken & torch.isfinite(target)).nonzero()  # (targets, 2)
    row, column = where.unbind(1)
    chosen = _donor_of(
        target[row, column],
        same[row, column],
        channel[row, column],
        dialogue[row],
        donors,
        rates.gap,
        generator,
    )
    found = chosen >= 0
    row, column, chosen = row[found], column[found], chosen[found]

    swapped = torch.zeros(shape, dtype=torch.bool)
    swapped[row, column] = True
    donor = torch.full(shape, torch.nan)
    donor[row, column] = donors.value[chosen].to(donor.dtype)
    features, available = dict(batch.features), batch.available.clone()
    taken = _taken(channel[row, column])
    for index in NONVERBAL:
        name = MODALITIES[index]
        takes = taken[:, index]
        values = batch.features[name].clone()
        values[row[takes], column[takes]] = donors.features[name][chosen[takes]].to(values.dtype)
        features[name] = values
        available[row[takes], column[takes], index] = True
    other = torch.zeros(shape, dtype=torch.bool)
    other[row, column] = ~same[row, column]
    return Conflict(
        batch.with_features(features, available), swapped, other, donor, torch.where(swapped, channel, -1)
    )


def _donor_of(
    target: Float[Tensor, "k"],
    same: Bool[Tensor, "k"],
    channel: Int[Tensor, "k"],
    dialogue: Int[Tensor, "k"],
    donors: Donors,
    gap: float,
    generator: torch.Generator,
) -> Int[Tensor, "k"]:
    """A donor for each of K utterances, uniform over those that fit; -1 where none does."""
    has = (donors.available[None] | ~_taken(channel)[:, None]).all(dim=-1)  # (k, u)
    away = (donors.value[None] - target[:, None]).abs()
    differs = away >= gap if gap > 0 else away > 0
    fits = (
        has
        & (donors.dialogue[None] != dialogue[:, None])
        & (differs != same[:, None])
        & torch.isfinite(donors.value)[None]
    )
    order = torch.rand(fits.shape, generator=generator).masked_fill(~fits, -1.0)
    if order.numel() == 0:
        return torch.full(target.shape, -1)
    best, index = order.max(dim=1)
    return torch.where(best >= 0, index, -1)


def _taken(channel: Int[Tensor, "k"]) -> Bool[Tensor, "k 3"]:
    """Which modalities come from the donor, by the index into `CHANNELS`."""
    return torch.tensor([has_letter(letters) for letters in CHANNELS])[channel]
