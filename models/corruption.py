"""Training views whose features are unreliable: mixed with others, noisy, or with dimensions left out.

All of it runs on the CPU under one generator, so that a view never depends on the device.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from models.batch import Batch
from models.modalities import MODALITIES
from models.terms import CORRUPTIONS, Corruption


@dataclass(frozen=True)
class Noises:
    """What features are made unreliable with, of training utterances alone."""

    features: Mapping[str, Float[Tensor, "u _"]]
    available: Bool[Tensor, "u 3"]
    roots: Mapping[str, Float[Tensor, "_ _"]]  # of each modality a root R of its covariance, R R^T

    @classmethod
    def of(cls, features: Mapping[str, Float[Tensor, "u _"]], available: Bool[Tensor, "u 3"]) -> "Noises":
        """Those of the utterances given; a modality that fewer than two of them have gets no noise."""
        roots = {}
        for column, name in enumerate(MODALITIES):
            seen = features[name][available[:, column]].double()
            if len(seen) < 2:
                roots[name] = torch.zeros(features[name].shape[1], features[name].shape[1])
                continue
            variance, directions = torch.linalg.eigh(torch.cov(seen.T).reshape(seen.shape[1], -1))
            roots[name] = (directions * variance.clamp(min=0).sqrt()).float()
        return cls(features, available, roots)


@dataclass(frozen=True)
class CorruptionRates:
    """How unreliable views are drawn."""

    share: float  # of the dialogues
    kinds: Sequence[Corruption]
    least: float  # bounds of the strength, drawn for a dialogue
    most: float


OUTLYING = 3.0  # standard deviations that strength 1 moves a reliability input by, on average over directions


def unreliable_view(
    batch: Batch,
    shown: Batch,
    noises: Noises,
    rates: CorruptionRates,
    generator: torch.Generator,
    gauges: Mapping[str, int] = MappingProxyType({}),
) -> Batch:
    """The views `shown`, but a share of the dialogues of `batch` is seen whole, with one modality unreliable.

    For each such dialogue a modality, a kind and a strength s are drawn; every slot x of that modality is
    then (1 - s) x + s x' (mix: x' that of any training utterance which has one), x + s R z (noise: z
    standard normal, R R^T the covariance of the training features), or x with dimensions set to their
    training mean, 0, with the chance s (dropout). With a share of 0 nothing is drawn.

    `gauges`: how many of a modality's last columns are reliability inputs. No medium was degraded here that
    could be measured again, so those of a changed slot only become unusual, each to a side drawn for it.
    """
    if rates.share <= 0:
        return shown
    count = batch.valid.shape[0]
    picked = torch.rand(count, generator=generator) < rates.share
    modality = torch.randint(len(MODALITIES), (count,), generator=generator)
    kind = torch.randint(len(rates.kinds), (count,), generator=generator)
    strength = rates.least + (rates.most - rates.least) * torch.rand(count, generator=generator)
    features = dict(shown.features)
    for column, name in enumerate(MODALITIES):
        clean = batch.features[name]
        changed, width = clean.clone(), clean.shape[-1] - gauges.get(name, 0)
        for number, what in enumerate(rates.kinds):
            own = picked & (modality == column) & (kind == number)
            slots = own[:, None] & batch.available[..., column]
            if slots.any():
                level = strength[:, None].expand(slots.shape)[slots]
                told = clean[slots]
                made = _corrupted(told[:, :width], level, what, column, noises, generator)
                if width < clean.shape[-1]:
                    inputs = told[:, width:]
                    moved = torch.randn(inputs.shape, generator=generator) * OUTLYING * level[:, None]
                    made = torch.cat([made, inputs + moved], dim=1)
                changed[slots] = made
        features[name] = torch.where(picked[:, None, None], changed, shown.features[name])
    return shown.with_features(features, torch.where(picked[:, None, None], batch.available, shown.available))


def _corrupted(
    clean: Float[Tensor, "k d"],
    level: Float[Tensor, "k"],
    kind: Corruption,
    column: int,
    noises: Noises,
    generator: torch.Generator,
) -> Float[Tensor, "k d"]:
    name, strength = MODALITIES[column], level[:, None]
    match kind:
        case "mix":
            holders = noises.available[:, column].nonzero()[:, 0]
            if not len(holders):
                return clean
            taken = holders[torch.randint(len(holders), (len(clean),), generator=generator)]
            return (1 - strength) * clean + strength * noises.features[name][taken].to(clean.dtype)
        case "noise":
            drawn = torch.randn(clean.shape, generator=generator)
            return clean + strength * (drawn @ noises.roots[name].T).to(clean.dtype)
        case "dropout":
            kept = torch.rand(clean.shape, generator=generator) >= strength
            return clean * kept
    raise ValueError(f"corruption {kind!r} is not one of {', '.join(CORRUPTIONS)}")
