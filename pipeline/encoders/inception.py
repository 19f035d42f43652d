"""InceptionResnetV1 (facenet-pytorch, trained on VGGFace2) as an encoder folder.

The package knows no `from_pretrained`; the stage weights writes config.json and model.safetensors for it.
"""

from pathlib import Path

import torch
from facenet_pytorch import InceptionResnetV1
from jaxtyping import Float
from torch import Tensor

from pipeline.core.errors import PipelineError
from pipeline.encoders.loading import fitted, saved_state
from pipeline.encoders.visual import VisualEncoder
from pipeline.settings.encoders import VisualSettings

SIDE = 160


class InceptionEncoder(VisualEncoder):
    """512 features a crop, before the unit-length normalisation that identification wants."""

    def __init__(self, model: torch.nn.Module, settings: VisualSettings, device: torch.device) -> None:
        if settings.layers != [-1]:
            raise PipelineError(
                "config, key encoders.visual.layers: InceptionResnetV1 gives its last layer only."
            )
        self.model, self.settings, self.device = model.to(device).eval(), settings, device
        self.side, self.dimension = SIDE, 512
        # the fixed standardisation of facenet: (x - 127.5) / 128
        self.mean, self.scale = 127.5 / 255, 128 / 255

    def _pooled(self, pixels: Float[Tensor, "n 3 side side"]) -> Float[Tensor, "n d"]:
        return self.model(pixels)


def with_weights(state: dict[str, Tensor], path: Path) -> InceptionResnetV1:
    """The network with these parameters; raises PipelineError, naming `path`, if they do not fit."""
    return fitted(InceptionResnetV1(pretrained=None, classify=False), state, path, "InceptionResnetV1")


def load(folder: Path, settings: VisualSettings, device: torch.device) -> InceptionEncoder:
    """Load a local folder; raises PipelineError if its weights do not fit."""
    path = folder / "model.safetensors"
    state = saved_state(path)
    return InceptionEncoder(with_weights(state, path), settings, device)
