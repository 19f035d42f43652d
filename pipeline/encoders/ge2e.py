"""Resemblyzer's encoder of voices: an LSTM over mel bands, trained with the generalised end-to-end loss.

The package (Apache licence 2.0) ships the weights in its wheel. It is not imported: beside the weights this
needs 40 mel bands and the network below, and the package needs a compiler to be installed.
"""

from pathlib import Path

import librosa
import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor, nn

from pipeline.core import artefacts, media
from pipeline.encoders.loading import fitted, saved_state, torch_state

DISTANCE = 0.32  # measured: docs/annotate.md, Who speaks
WHOSE = "Resemblyzer's encoder"
FILE = "pretrained.pt"
LEVEL = -30.0  # dB, at which the network heard what it was trained on
BANDS, WIDTH = 40, 256
WINDOW, HOP = 400, 160  # samples: 25 and 10 ms
PARTIAL, STEP = 160, 77  # frames that the network hears at once, and from one such part to the next
COVERED = 0.75  # share of the last part that has to be there, if there are others


class Network(nn.Module):
    """Mel bands of a part to a vector of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(BANDS, WIDTH, num_layers=3, batch_first=True)
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, bands: Float[Tensor, "n t bands"]) -> Float[Tensor, "n d"]:
        hidden = self.lstm(bands)[1][0][-1]
        return nn.functional.normalize(torch.relu(self.linear(hidden)), dim=1)


class VoiceEncoder:
    """One vector of length 1 a sound: the mean of those of its parts of 1.6 s."""

    def __init__(self, network: Network, device: torch.device) -> None:
        self.network, self.device = network.to(device).eval(), device

    @torch.inference_mode()
    def encode(self, sound: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " d"]:
        """Float32 (256,) of a sound (16 kHz, not silent); its level does not matter.

        What is shorter than a part is heard again until it fills one.
        """
        sound = np.asarray(sound, np.float32)
        sound = sound * np.float32(10 ** ((LEVEL - media.level(sound)) / 20))
        first = starts(len(sound))
        least = (first[-1] + PARTIAL) * HOP
        if len(sound) < least:
            sound = np.pad(sound, (0, least - len(sound)), mode="wrap")
        bands = librosa.feature.melspectrogram(
            y=sound, sr=media.SAMPLE_RATE, n_fft=WINDOW, hop_length=HOP, n_mels=BANDS
        ).T.astype(np.float32)
        parts = torch.from_numpy(np.stack([bands[low : low + PARTIAL] for low in first]))
        mean = self.network(parts.to(self.device)).mean(0)
        return nn.functional.normalize(mean, dim=0).cpu().numpy()


def starts(samples: int) -> list[int]:
    """The first frames of the parts of a sound; the last is left out if too little of it is there."""
    frames = -(-(samples + 1) // HOP)
    first = list(range(0, max(1, frames - PARTIAL + STEP + 1), STEP))
    if len(first) > 1 and samples / HOP - first[-1] < COVERED * PARTIAL:
        first.pop()
    return first


def convert(path: Path, target: Path) -> None:
    """Save the published weights as config.json and model.safetensors in `target`.

    Raises PipelineError if the file is another.
    """
    state = torch_state(path).get("model_state")
    kept = {
        str(name): value.contiguous()
        for name, value in (state.items() if isinstance(state, dict) else ())
        if str(name).startswith(("lstm.", "linear."))
    }
    fitted(Network(), kept, path, WHOSE)
    save_file(kept, str(target / "model.safetensors"))
    artefacts.save_json(target / "config.json", {"model_type": "ge2e", "source": path.name}, seal=False)


def load(folder: Path, device: torch.device) -> VoiceEncoder:
    """Load a local folder; raises PipelineError if its weights do not fit."""
    path = folder / "model.safetensors"
    state = saved_state(path)
    return VoiceEncoder(fitted(Network(), state, path, WHOSE), device)
