"""Face encoders of the transformers library: pooled output of a convolutional or transformer image model."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedModel

from pipeline.core import artefacts
from pipeline.core.device import fetched, fitting, onto
from pipeline.core.errors import PipelineError
from pipeline.core.origins import ENCODER
from pipeline.encoders.loading import (
    checked_layers,
    from_folder,
    hidden_states,
    mean_layers,
    model_from_folder,
)
from pipeline.settings.encoders import VisualSettings


def side_of(size: int | dict) -> int:
    """The side of the square that a preprocessor's `size` asks for; 0 if it names none."""
    if isinstance(size, int):
        return size
    return int(size.get("height") or size.get("shortest_edge") or 0)


class VisualEncoder:
    """One feature vector a crop."""

    model: nn.Module
    mean: Tensor | float
    scale: Tensor | float

    def __init__(
        self, model: PreTrainedModel, side: int, facts: dict, settings: VisualSettings, device: torch.device
    ) -> None:
        self.model, self.settings, self.device = model, settings, device
        self.side = side
        self.mean = torch.tensor(facts["image_mean"]).view(3, 1, 1)
        self.scale = torch.tensor(facts["image_std"]).view(3, 1, 1)
        config = model.config
        self.dimension = int(
            config.hidden_sizes[-1] if hasattr(config, "hidden_sizes") else config.hidden_size
        )
        count = len(config.hidden_sizes) if hasattr(config, "hidden_sizes") else config.num_hidden_layers
        self.layers = checked_layers(settings.layers, count + 1, "encoders.visual.layers")
        if hasattr(config, "hidden_sizes") and settings.layers != [-1]:
            raise PipelineError(
                "config, key encoders.visual.layers: the layers of this encoder differ in width and cannot "
                "be averaged; use [-1]."
            )

    def inputs(self, crops: UInt8[np.ndarray, "n s s 3"]) -> Float[Tensor, "n 3 side side"]:
        """Crops as the encoder was trained to see them."""
        if crops.shape[1] != self.side:
            how = cv2.INTER_AREA if crops.shape[1] > self.side else cv2.INTER_LINEAR
            crops = np.stack([cv2.resize(crop, (self.side, self.side), interpolation=how) for crop in crops])
        pixels = torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float() / 255
        return (pixels - self.mean) / self.scale

    def _pooled(self, pixels: Float[Tensor, "n 3 side side"]) -> Float[Tensor, "n d"]:
        last = self.settings.layers == [-1] and self.settings.final_norm
        output = self.model(pixels, output_hidden_states=not last)
        if last:
            states = output.last_hidden_state
        else:
            states = mean_layers(hidden_states(output, self.settings.final_norm), self.layers)
        # (n, d, h, w) of a convolutional model, (n, tokens, d) of a transformer
        return states.mean((2, 3)) if states.ndim == 4 else states.mean(1)

    @torch.inference_mode()
    def encode(self, crops: UInt8[np.ndarray, "n s s 3"]) -> Float[np.ndarray, "n d"]:
        """Float32 features of crops, RGB."""
        pieces = [pooled for _, pooled in fetched(self._begun(crops))]
        return np.concatenate(pieces) if pieces else np.zeros((0, self.dimension), np.float32)

    def _begun(self, crops: UInt8[np.ndarray, "n s s 3"]) -> Iterator[tuple[int, Tensor]]:
        """Batch by batch its first crop and the features, as the device computes them."""
        for low in range(0, len(crops), self.settings.batch):
            with fitting("encoders.visual.crops"):
                pixels = onto(self.device, self.inputs(crops[low : low + self.settings.batch]))
                pooled = self._pooled(pixels).float()
            yield low, pooled


def load(folder: Path, settings: VisualSettings, device: torch.device) -> VisualEncoder:
    """Load a local folder in float32.

    Raises PipelineError if its preprocessor_config.json does not say size, mean and deviation.
    """
    path = folder / "preprocessor_config.json"
    facts = artefacts.load_json(path, ("size", "image_mean", "image_std"), source=ENCODER)
    side = side_of(facts["size"])
    if not side:
        raise PipelineError(
            f"{path}: its size names {', '.join(facts['size']) or 'nothing'}, and height or shortest_edge is "
            "needed. Save an image processor that scales to a square into this folder."
        )
    config = from_folder(AutoConfig.from_pretrained, folder)
    model = model_from_folder(folder, config.model_type)
    return VisualEncoder(model.to(device).eval(), side, facts, settings, device)
