"""One padded batch of whole dialogues: what the network reads and what the losses compare with."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from models.conditions import LETTERS, MODALITIES  # noqa: F401  (a batch is read with them)


@dataclass(frozen=True)
class Batch:
    """B dialogues, padded at the end to N utterances; three modalities in the order of `MODALITIES`.

    `available` is the view: a slot that is False there is absent, and whatever `features` holds in it
    (zeros, noise, NaN) is never read. Padding has available False, label -1, score NaN and row -1.
    """

    features: dict[str, Float[Tensor, "b n _"]]  # by modality, each with its own width
    available: Bool[Tensor, "b n 3"]  # what may be read
    speaker: Int[Tensor, "b n"]  # dialogue-relative, numbered by first appearance
    valid: Bool[Tensor, "b n"]  # False on padding
    label: Int[Tensor, "b n"]  # -1: unlabelled or padding
    score: Float[Tensor, "b n"]  # NaN: none
    row: Int[Tensor, "b n"]  # row of the dataset, -1 on padding

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        moved = {
            field.name: getattr(self, field.name).to(device)
            for field in fields(self)
            if field.name != "features"
        }
        return Batch(features={name: value.to(device) for name, value in self.features.items()}, **moved)

    def showing(self, available: Bool[Tensor, "b n 3"]) -> "Batch":
        """The same batch under another view; a view never shows more than this batch has."""
        return replace(self, available=self.available & available)

    def with_features(
        self, features: Mapping[str, Float[Tensor, "b n _"]], available: Bool[Tensor, "b n 3"]
    ) -> "Batch":
        """The same utterances with other contents (conflict views), available where `available` says."""
        return replace(self, features=dict(features), available=available & self.valid[..., None])

    @property
    def labelled(self) -> Bool[Tensor, "b n"]:
        """Utterances that a classification loss may count."""
        return self.valid & (self.label >= 0)

    @property
    def scored(self) -> Bool[Tensor, "b n"]:
        """Utterances that a regression loss may count."""
        return self.valid & torch.isfinite(self.score)
