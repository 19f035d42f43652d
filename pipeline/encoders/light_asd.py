"""Light-ASD: hears a voice, sees a face, and says whether the voice is the face's, picture by picture.

The network of Liao et al. (CVPR 2023). Their repository publishes the weights (MIT licence) as files of
torch; its code is not imported. Two are there: `finetuning_TalkSet.model`, made for films of any kind, and
`pretrain_AVA_CVPR.model`.
"""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors.torch import save_file
from scipy.fft import dct
from torch import Tensor, nn

from pipeline.core import artefacts, media
from pipeline.encoders.loading import fitted, saved_state, torch_state

WHOSE = "Light-ASD"
RATE = 25  # pictures a second
SIDE = 112  # px of a face
WIDTHS = (32, 64, 128)
MEAN, SPREAD = 0.4161, 0.1688  # of grey values between 0 and 1
# of its sound: frames a picture, samples of a frame and from one to the next, points of a spectrum, mel
# bands, and cepstral coefficients
FRAMES, WINDOW, HOP, POINTS, BANDS, CEPSTRA = 4, 400, 160, 512, 26, 13
EMPHASIS, LIFTER = 0.97, 22
FULL = 32768.0  # it was trained on sound of 16 bits
LONGEST = 10.0  # s that it is shown at once, about as long as what it was trained on

PUBLISHED = re.compile(r"model\.(visual|audio)Encoder\.block(\d)\.(bn_)?(?:([smt])_(\d)|last)\.(\w+)")
NAMES = {"model.GRU.gru_forward": "forwards", "model.GRU.gru_backward": "backwards", "lossAV.FC": "verdict"}
LEFT_OUT = "lossV."  # what training says of the face alone


def step(
    inputs: int, outputs: int, kernel: tuple[int, ...], stride: tuple[int, ...] | int = 1
) -> nn.Sequential:
    """A convolution of two or three axes that keeps their lengths, divides them by `stride`; norm; ReLU."""
    conv: Any = nn.Conv3d if len(kernel) == 3 else nn.Conv2d
    norm: Any = nn.BatchNorm3d if len(kernel) == 3 else nn.BatchNorm2d
    padding = tuple(size // 2 for size in kernel)
    return nn.Sequential(
        conv(inputs, outputs, kernel, stride, padding, bias=False), norm(outputs, eps=1e-3), nn.ReLU()
    )


class Block(nn.Module):
    """Two paths, of 3 and of 5 places: across a picture (or the cepstra), then along time; and their sum."""

    def __init__(self, inputs: int, outputs: int, picture: bool, stride: tuple[int, ...] | int = 1) -> None:
        super().__init__()
        kernels = [((1, size, size), (size, 1, 1)) if picture else ((size, 1), (1, size)) for size in (3, 5)]
        self.paths = nn.ModuleList(
            nn.Sequential(step(inputs, outputs, across, stride), step(outputs, outputs, along))
            for across, along in kernels
        )
        self.last = step(outputs, outputs, (1, 1, 1) if picture else (1, 1))

    def forward(self, values: Tensor) -> Tensor:
        return self.last(sum(path(values) for path in self.paths))


def encoder(picture: bool) -> nn.Sequential:
    """Three blocks; between them pictures lose half of their sides, sound half of its times."""
    pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)) if picture else nn.MaxPool2d((1, 3), (1, 2), (0, 1))
    blocks = [
        Block(inputs, outputs, picture, (1, 2, 2) if picture and inputs == 1 else 1)
        for inputs, outputs in pairwise((1, *WIDTHS))
    ]
    return nn.Sequential(blocks[0], pool, blocks[1], pool, blocks[2])


class Network(nn.Module):
    """Faces and cepstra to the logit of each picture's face speaking, over that of its not speaking."""

    def __init__(self) -> None:
        super().__init__()
        self.visual, self.audio = encoder(picture=True), encoder(picture=False)
        self.forwards = nn.GRU(WIDTHS[-1], WIDTHS[-1], batch_first=True)
        self.backwards = nn.GRU(WIDTHS[-1], WIDTHS[-1], batch_first=True)
        self.verdict = nn.Linear(WIDTHS[-1], 2)

    def forward(
        self, faces: Float[Tensor, "n t side side"], cepstra: Float[Tensor, "n frames bands"]
    ) -> Float[Tensor, "n t"]:
        """faces: grey, 0 to 1; cepstra: FRAMES a picture."""
        seen = self.visual(((faces - MEAN) / SPREAD).unsqueeze(1)).amax((3, 4))
        heard = self.audio(cepstra.transpose(1, 2).unsqueeze(1)).mean(2)
        both = (seen + heard).transpose(1, 2)
        both = nn.functional.gelu(self.forwards(both)[0]).flip(1)
        both = nn.functional.gelu(self.backwards(both)[0].flip(1))
        logits = self.verdict(both)
        return logits[..., 1] - logits[..., 0]


def cepstra(sound: Float[np.ndarray, " samples"], pictures: int) -> Float[np.ndarray, "frames bands"]:
    """Cepstra of a sound that begins with the first of so many pictures, FRAMES each; silence after its end.

    float32; the first of them is the logarithm of the frame's energy. Frames are not windowed, and the cosine
    transform is orthonormal and liftered: what the network was trained on.
    """
    frames = FRAMES * pictures
    least = (frames - 1) * HOP + WINDOW
    loud = np.zeros(least)
    loud[: len(sound)] = np.asarray(sound[:least], np.float64) * FULL
    loud[1:] -= EMPHASIS * loud[:-1].copy()
    parts = np.lib.stride_tricks.sliding_window_view(loud, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(parts, POINTS)) ** 2 / POINTS
    tiny = np.finfo(float).eps
    bands = np.log(np.maximum(power @ filters().T, tiny))
    found = dct(bands, type=2, axis=1, norm="ortho")[:, :CEPSTRA]
    found *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(CEPSTRA) / LIFTER)
    found[:, 0] = np.log(np.maximum(power.sum(1), tiny))
    return found.astype(np.float32)


def filters() -> Float[np.ndarray, "bands points"]:
    """Triangles of height 1, evenly spaced in mels, their corners on points of the spectrum."""
    mels = np.linspace(0, 2595 * np.log10(1 + media.SAMPLE_RATE / 2 / 700), BANDS + 2)
    corners = np.floor((POINTS + 1) * 700 * (10 ** (mels / 2595) - 1) / media.SAMPLE_RATE)
    points = np.arange(POINTS // 2 + 1)
    rising = [(points - low) / (high - low) for low, high in pairwise(corners)]
    return np.stack([np.clip(np.minimum(up, 1 - down), 0, None) for up, down in pairwise(rising)])


class SpeakingNetwork:
    """A network on its device."""

    def __init__(self, network: Network, device: torch.device) -> None:
        self.network, self.device = network.to(device).eval(), device

    @torch.inference_mode()
    def log_odds(
        self, faces: UInt8[np.ndarray, "t side side"], sound: Float[np.ndarray, " samples"]
    ) -> Float[np.ndarray, " t"]:
        """Logarithm of the odds that each face speaks: float32 (t,).

        faces: grey, SIDE px, RATE a second; sound: 16 kHz, from the time at which the first face begins to be
        shown. More than LONGEST is seen in equal parts of at most that.
        """
        heard = torch.from_numpy(cepstra(sound, len(faces)))
        parts = max(1, -(-len(faces) // round(LONGEST * RATE)))
        edges = np.linspace(0, len(faces), parts + 1).round().astype(int).tolist()
        found = []
        for low, high in pairwise(edges):
            seen = torch.from_numpy(faces[low:high].astype(np.float32) / 255)
            own = heard[low * FRAMES : high * FRAMES]
            found.append(self.network(seen[None].to(self.device), own[None].to(self.device))[0])
        return torch.cat(found).cpu().numpy()


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published parameters by the names of `Network`; names that are not known stay."""
    found = {}
    for published, value in state.items():
        name = published
        match = PUBLISHED.fullmatch(name)
        if match:
            kind, number, norm, way, size, rest = match.groups()
            path = f"paths.{'35'.index(size)}.{int(way == 't')}" if way else "last"
            name = f"{kind}.{2 * int(number) - 2}.{path}.{int(bool(norm))}.{rest}"
        for former, own in NAMES.items():
            name = re.sub(rf"^{re.escape(former)}\b", own, name)
        found[name] = value
    return found


def convert(path: Path, target: Path) -> None:
    """Save the published weights as config.json and model.safetensors in `target`.

    Raises PipelineError if the file is another.
    """
    state = {
        str(name): value.contiguous()
        for name, value in torch_state(path).items()
        if isinstance(value, Tensor) and not str(name).startswith(LEFT_OUT)
    }
    kept = renamed(state)
    fitted(Network(), kept, path, WHOSE)
    save_file(kept, str(target / "model.safetensors"))
    artefacts.save_json(target / "config.json", {"model_type": "light_asd", "source": path.name}, seal=False)


def load(folder: Path, device: torch.device) -> SpeakingNetwork:
    """Load a local folder; raises PipelineError if its weights do not fit."""
    path = folder / "model.safetensors"
    return SpeakingNetwork(fitted(Network(), saved_state(path), path, WHOSE), device)
