"""Speech encoders of the wav2vec 2.0 family.

Encoders with layer norm after their convolutions give the same features under padding if they see a mask.
Those with group norm (wav2vec2-base) take its mean and deviation over all time, padding included: there,
inputs of equal length share a batch, or the norm is told where each of them ends (`MaskedNorm`).
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AutoConfig, AutoFeatureExtractor, PreTrainedModel

from pipeline.core import media
from pipeline.core.device import fetched, fitting, onto
from pipeline.core.errors import PipelineError
from pipeline.encoders.loading import (
    by_length,
    checked_layers,
    from_folder,
    hidden_states,
    mean_layers,
    model_from_folder,
)
from pipeline.settings.encoders import AudioSettings


def windows(samples: int, most: int) -> list[tuple[int, int]]:
    """Equal windows (first, last sample) of at most `most` samples that cover all of them once."""
    edges = np.linspace(0, samples, -(-samples // most) + 1).round().astype(int)
    return [(int(low), int(high)) for low, high in pairwise(edges)]


class MaskedNorm(nn.Module):
    """The group norm of one channel a group over the true frames of each sound, without its padding."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm
        self.frames: Tensor | None = None  # of each sound of the batch

    def forward(self, values: Float[Tensor, "n c t"]) -> Float[Tensor, "n c t"]:
        """Normalised values; what lies behind a sound's frames says nothing."""
        if self.frames is None:
            return self.norm(values)
        values, frames = values.float(), self.frames[:, None, None]
        true = torch.arange(values.shape[2], device=values.device) < frames
        shifted = values - (values * true).sum(2, keepdim=True) / frames
        power = (shifted.square() * true).sum(2, keepdim=True) / frames
        result = shifted * torch.rsqrt(power + self.norm.eps)
        return result * self.norm.weight[:, None] + self.norm.bias[:, None]


def masked_norm(model: nn.Module) -> MaskedNorm | None:
    """Put a `MaskedNorm` in the place of the model's only group norm; None if there is not just one."""
    extractor = getattr(model, "feature_extractor", None)
    norms = [part for part in model.modules() if isinstance(part, nn.GroupNorm)]
    first: Any = extractor.conv_layers[0] if extractor is not None else None
    found = getattr(first, "layer_norm", None)
    if len(norms) != 1 or found is not norms[0] or found.num_groups != found.num_channels:
        return None
    first.layer_norm = masked = MaskedNorm(found)
    return masked


class AudioEncoder:
    """Frame features of sounds."""

    def __init__(
        self,
        extractor: Callable[..., Any],
        model: PreTrainedModel,
        settings: AudioSettings,
        device: torch.device,
    ) -> None:
        self.extractor, self.model = extractor, model
        self.settings, self.device = settings, device
        self.dimension = int(model.config.hidden_size)
        self.layers = checked_layers(
            settings.layers, model.config.num_hidden_layers + 1, "encoders.audio.layers"
        )
        self.masked = getattr(model.config, "feat_extract_norm", None) == "layer"
        self.norm: MaskedNorm | None = None
        self.budget: int | None = None  # samples of a forward pass; None: it takes `batch` sounds
        if device.type == "cuda":
            self.fill(settings.seconds)

    def fill(self, seconds: float) -> None:
        """From now on a forward pass takes sounds of any length, of at most so many seconds with padding."""
        self.budget = round(seconds * media.SAMPLE_RATE)
        self.norm = None if self.masked else masked_norm(self.model)

    @property
    def shortest(self) -> int:
        """The fewest samples that give one frame."""
        samples = 1
        kernels, strides = self.model.config.conv_kernel, self.model.config.conv_stride
        for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
            samples = (samples - 1) * stride + kernel
        return samples

    def batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Which of the sounds of these lengths (samples) share a forward pass."""
        equal = not self.masked and self.norm is None
        if self.budget is None:
            return by_length(lengths, self.settings.batch, equal)
        return by_length(lengths, None, equal, budget=self.budget)

    def _first(self, samples: Tensor) -> Tensor:
        """Frames that the first convolution makes of so many samples each."""
        return (samples - self.model.config.conv_kernel[0]) // self.model.config.conv_stride[0] + 1

    def _frames(self, samples: int) -> int:
        """Frames that the convolutions make of so many samples."""
        for kernel, stride in zip(self.model.config.conv_kernel, self.model.config.conv_stride, strict=True):
            samples = (samples - kernel) // stride + 1
        return samples

    @torch.inference_mode()
    def encode(self, sounds: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Float32 (frames, dimension) of each sound (16 kHz mono float32, at least `shortest` samples).

        A sound longer than the configured window is normalised as a whole and encoded in equal windows: the
        mean over its frames weighs all of it alike, and no padding is in it.
        """
        most = round(self.settings.window * media.SAMPLE_RATE)
        pieces: list[np.ndarray] = []
        owners: list[int] = []
        for owner, sound in enumerate(sounds):
            values = self.extractor(sound, sampling_rate=media.SAMPLE_RATE, return_tensors="np").input_values[
                0
            ]
            for low, high in windows(len(values), most):
                pieces.append(np.asarray(values[low:high], np.float32))
                owners.append(owner)
        encoded: dict[int, np.ndarray] = {}
        lengths = [len(piece) for piece in pieces]
        begun = ((places, self._begun([pieces[p] for p in places])) for places in self.batches(lengths))
        for places, pooled in fetched(begun):
            for place, row in zip(places, pooled, strict=True):
                encoded[place] = row[: self._frames(lengths[place])]
        return [
            np.concatenate([encoded[place] for place, own in enumerate(owners) if own == owner])
            for owner in range(len(sounds))
        ]

    def _begun(self, pieces: Sequence[np.ndarray]) -> Tensor:
        """Features (n, frames, d) of pieces that may share a batch, as the device computes them."""
        lengths = [len(piece) for piece in pieces]
        values = torch.zeros(len(pieces), max(lengths))
        for row, piece in zip(values, pieces, strict=True):
            row[: len(piece)] = torch.from_numpy(piece)
        options = {}
        if self.norm is not None:
            self.norm.frames = self._first(torch.tensor(lengths, device=self.device))
        if self.masked or self.norm is not None:
            reach = torch.arange(values.shape[1])
            options["attention_mask"] = onto(self.device, (reach < torch.tensor(lengths)[:, None]).long())
        with fitting("encoders.audio.seconds"):
            output = self.model(onto(self.device, values), output_hidden_states=True, **options)
            return mean_layers(hidden_states(output, self.settings.final_norm), self.layers)


def load(folder: Path, settings: AudioSettings, device: torch.device) -> AudioEncoder:
    """Load a local folder in float32.

    Raises PipelineError if its parts do not fit each other, or it does not read 16 kHz waveforms.
    """
    config = from_folder(AutoConfig.from_pretrained, folder)
    extractor = from_folder(AutoFeatureExtractor.from_pretrained, folder)
    rate = getattr(extractor, "sampling_rate", None)
    if rate != media.SAMPLE_RATE or not hasattr(config, "conv_stride"):
        raise PipelineError(
            f"{folder}: expected an encoder of 16 kHz waveforms with a convolutional front (wav2vec 2.0, "
            f"HuBERT, WavLM, data2vec), found {config.model_type} at {rate} Hz."
        )
    if getattr(config, "add_adapter", False):
        raise PipelineError(
            f"{folder}: this encoder has an adapter behind its layers, so its output is that of no layer. "
            "Save the model without it (add_adapter: false), or take the weights that it was made from."
        )
    model = model_from_folder(folder, config.model_type)
    return AudioEncoder(extractor, model.to(device).eval(), settings, device)
