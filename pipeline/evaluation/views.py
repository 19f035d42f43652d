"""The clean views of P1 to P3: which slots of the test split each of them shows."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from models.batch import Batch
from models.conditions import COMPLETE, FIXED, fixed_name
from models.masks import fixed_mask

DIALOGUES = 256  # of the test split, read at once

View = tuple[str, int, Bool[Tensor, "b n 3"]]


def clean_views(batch: Batch, masks: dict[str, np.ndarray], may_see: Bool[Tensor, "3"]) -> Iterator[View]:
    """Condition, draw and shown slots of every view of P1 to P3."""
    available = batch.available & may_see
    yield COMPLETE, 0, available
    for letters in FIXED:
        yield fixed_name(letters), 0, fixed_mask(available, letters)
    for name in sorted(masks):
        condition, draw = name.rsplit("/", 1)
        mask = torch.from_numpy(masks[name] > 0).to(batch.row.device)
        yield condition, int(draw), available & mask[batch.row.clamp(min=0)]
