"""One padded batch of whole dialogues: what the network reads and what the losses compare with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

# what stands on padding
PADDING: dict[str, bool | int | float] = {
    "available": False,
    "speaker": 0,
    "valid": False,
    "label": -1,
    "score": torch.nan,
    "row": -1,
}


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

    @staticmethod
    def cat(batches: Iterable["Batch"]) -> "Batch":
        """All dialogues of one or more batches of one device, in order, padded to the longest.

        Raises ValueError if there is no batch.
        """
        parts = list(batches)
        if not parts:
            raise ValueError("no batch was given, so there is nothing to join")
        width = max(part.row.shape[1] for part in parts)

        def joined(
            tensors: Iterable[Shaped[Tensor, "_ _ ..."]], fill: bool | int | float
        ) -> Shaped[Tensor, "_ _ ..."]:
            return torch.cat([_widened(tensor, width, fill) for tensor in tensors])

        return Batch(
            features={
                name: joined([part.features[name] for part in parts], 0.0) for name in parts[0].features
            },
            **{name: joined([getattr(part, name) for part in parts], fill) for name, fill in PADDING.items()},
        )

    def take(self, dialogues: Int[Tensor, "k"]) -> "Batch":
        """Some dialogues, any number of times each, without padding that none of them needs."""
        width = int(self.valid[dialogues].sum(dim=1).max())
        return Batch(
            features={name: value[dialogues, :width] for name, value in self.features.items()},
            **{name: getattr(self, name)[dialogues, :width] for name in PADDING},
        )

    @property
    def labelled(self) -> Bool[Tensor, "b n"]:
        """Utterances that a classification loss may count."""
        return self.valid & (self.label >= 0)

    @property
    def scored(self) -> Bool[Tensor, "b n"]:
        """Utterances that a regression loss may count."""
        return self.valid & torch.isfinite(self.score)


def _widened(
    tensor: Shaped[Tensor, "b n ..."], width: int, fill: bool | int | float
) -> Shaped[Tensor, "b w ..."]:
    if tensor.shape[1] == width:
        return tensor
    extra = tensor.new_full((tensor.shape[0], width - tensor.shape[1], *tensor.shape[2:]), fill)
    return torch.cat([tensor, extra], dim=1)
