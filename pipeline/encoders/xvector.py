"""Networks of the transformers library for speaker verification (x-vectors), such as WavLM's."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn
from transformers import AutoConfig, AutoFeatureExtractor, AutoModelForAudioXVector

from pipeline.core import media
from pipeline.core.device import onto
from pipeline.core.errors import PipelineError
from pipeline.encoders.loading import from_folder, model_from_folder

DISTANCE = 0.14  # by the card of microsoft/wavlm-base-plus-sv: a cosine of .86
LEAST = media.SAMPLE_RATE  # samples; spread over time is one of its features, so it needs some


class VoiceEncoder:
    """One vector of length 1 a sound."""

    def __init__(self, extractor: Any, model: Any, device: torch.device) -> None:
        self.extractor, self.model, self.device = extractor, model.to(device).eval(), device

    @torch.inference_mode()
    def encode(self, sound: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " d"]:
        """Float32 (d,) of a sound (16 kHz, not silent); what is shorter than 1 s is heard again."""
        sound = np.asarray(sound, np.float32)
        if len(sound) < LEAST:
            sound = np.pad(sound, (0, LEAST - len(sound)), mode="wrap")
        values = self.extractor(sound, sampling_rate=media.SAMPLE_RATE, return_tensors="pt").input_values
        vector = self.model(onto(self.device, values)).embeddings[0].float()
        return nn.functional.normalize(vector, dim=0).cpu().numpy()


def convert(source: Path, target: Path) -> None:
    """Save a published network the way `load` reads it; raises PipelineError if it is another kind."""
    _model(source).save_pretrained(target)
    _extractor(source).save_pretrained(target)


def _model(folder: Path) -> Any:
    kind = from_folder(AutoConfig.from_pretrained, folder).model_type
    return model_from_folder(folder, kind, AutoModelForAudioXVector)


def _extractor(folder: Path) -> Any:
    extractor = from_folder(AutoFeatureExtractor.from_pretrained, folder)
    rate = getattr(extractor, "sampling_rate", None)
    if rate != media.SAMPLE_RATE or extractor.model_input_names[0] != "input_values":
        raise PipelineError(
            f"{folder}: expected a network of 16 kHz waveforms, and its preprocessor reads "
            f"{extractor.model_input_names[0]} at {rate} Hz. Name another one in speakers.weights."
        )
    return extractor


def load(folder: Path, device: torch.device) -> VoiceEncoder:
    """Load a local folder in float32; raises PipelineError if its parts do not fit each other."""
    return VoiceEncoder(_extractor(folder), _model(folder), device)
