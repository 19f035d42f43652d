"""What the encoders share: loading a local folder, the average of layers, pieces of a batch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers.utils import logging

from pipeline.core.errors import PipelineError

logging.disable_progress_bar()  # of weights that load in a moment; it would tear the job's log


def from_folder(loader: Callable[..., Any], folder: Path, **options: Any) -> Any:
    """`loader(folder)`, of local files only; raises PipelineError if the folder lacks what it needs."""
    try:
        return loader(str(folder), local_files_only=True, **options)
    except (OSError, ValueError, KeyError) as error:
        raise PipelineError(
            f"{folder}: cannot be loaded ({str(error).splitlines()[0]}). It must be a folder as "
            "save_pretrained writes it; delete it and rerun the stage standins or weights."
        ) from error


def checked_layers(layers: Sequence[int], count: int, key: str) -> list[int]:
    """Layer numbers as indices into `count` hidden states; raises PipelineError if one does not exist."""
    for layer in layers:
        if not -count <= layer < count:
            raise PipelineError(
                f"config, key {key}: there is no layer {layer}; this encoder has {count} hidden states "
                f"(0 ... {count - 1}, or -1 for the last)."
            )
    return list(layers)


def mean_layers(states: Sequence[Float[Tensor, "..."]], layers: Sequence[int]) -> Float[Tensor, "..."]:
    """The mean of the chosen hidden states, in float32."""
    return torch.stack([states[layer].float() for layer in layers]).mean(0)


def by_length(lengths: Sequence[int], most: int, equal: bool) -> list[list[int]]:
    """Places of inputs grouped into batches of at most `most`, of similar (or equal) length.

    Sorting by length keeps padding small; ties keep their order, so that the grouping is repeatable.
    """
    order = sorted(range(len(lengths)), key=lambda place: lengths[place])
    batches: list[list[int]] = []
    for place in order:
        last = batches[-1] if batches else []
        fits = 0 < len(last) < most and not (equal and lengths[last[0]] != lengths[place])
        if fits:
            last.append(place)
        else:
            batches.append([place])
    return batches
