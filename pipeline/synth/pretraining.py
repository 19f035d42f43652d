"""Pretraining of the audio and the visual stand-in, on the material of `exercises`.

No target is an emotion label, but manner and face parameters are near to one (`exercises` says how).
"""

import logging
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.functional import melscale_fbanks
from transformers import ResNetModel, Wav2Vec2Model

from pipeline.core.progress import progress
from pipeline.settings.standins import AudioStandinSettings, VisualStandinSettings
from pipeline.synth.exercises import FaceExercise, VoiceExercise
from pipeline.synth.face_expression import KEYS
from pipeline.synth.voice import HOP, RATE

log = logging.getLogger("pipeline")

STRIDE, FIELD = 320, 400  # samples from one wav2vec2 frame to the next, and under one frame
WINDOW = 512
MELS = 24
PITCH_WEIGHT = 2.0
MANNER_WEIGHT = 1.0
FACE_SCALE = 3.0  # face parameters are below 1 and most are 0; larger targets train faster


def pretrain_audio(
    network: Wav2Vec2Model,
    exercises: Sequence[VoiceExercise],
    settings: AudioStandinSettings,
    seed: int,
    device: torch.device,
) -> None:
    """Every 20 ms frame learns to say its own log-mel spectrum and, where it is loud, its pitch.

    The mean over an excerpt learns to say the manner in which it was spoken.
    """
    rng = np.random.default_rng([seed, 5])
    samples = int(settings.excerpt * RATE) // STRIDE * STRIDE + FIELD - STRIDE
    frames = (samples - FIELD) // STRIDE + 1
    torch.manual_seed(seed)
    width = MELS + 1 + len(exercises[0].manner)
    head = nn.Linear(network.config.hidden_size, width).to(device)
    banks = melscale_fbanks(WINDOW // 2 + 1, 0.0, RATE / 2, MELS, RATE, norm="slaney", mel_scale="slaney")

    def loss() -> Tensor:
        chosen = [exercises[index] for index in rng.integers(0, len(exercises), settings.batch)]
        pieces = [_excerpt(exercise, samples, frames, rng) for exercise in chosen]
        sound = torch.from_numpy(np.stack([piece[0] for piece in pieces]))
        pitch = torch.from_numpy(np.stack([piece[1] for piece in pieces])).to(device)
        manner = torch.from_numpy(np.stack([exercise.manner for exercise in chosen])).to(device)
        spectrum = _log_mel(sound, banks).to(device)
        level = spectrum.mean(-1)
        loud = (level > level.mean(1, keepdim=True)).float()
        said = head(network(sound.to(device)).last_hidden_state)
        miss = ((said[..., MELS] - pitch) ** 2 * loud).sum() / loud.sum().clamp(min=1)
        spoken = functional.smooth_l1_loss(said[..., MELS + 1 :].mean(1), manner)
        return functional.mse_loss(said[..., :MELS], spectrum) + PITCH_WEIGHT * miss + MANNER_WEIGHT * spoken

    _fit("audio", network, head, loss, steps=settings.steps, rate=settings.rate)


def _excerpt(
    exercise: VoiceExercise, samples: int, frames: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A random piece of one voice (samples,) and its pitch in the middle of each frame (frames,)."""
    steps = len(exercise.pitch)
    start = int(rng.integers(0, max(1, steps - samples // HOP)))
    sound = exercise.sound[start * HOP : start * HOP + samples]
    places = np.minimum(start + (np.arange(frames) * STRIDE + FIELD // 2) // HOP, steps - 1)
    return np.pad(sound, (0, samples - len(sound))), exercise.pitch[places]


def _log_mel(sound: Tensor, banks: Tensor) -> Tensor:
    """Log-mel spectra (b, frames, MELS), centred where wav2vec2's frames are."""
    side = (WINDOW - FIELD) // 2
    padded = functional.pad(sound, (side, side))
    power = torch.stft(
        padded, WINDOW, STRIDE, window=torch.hann_window(WINDOW), center=False, return_complex=True
    )
    return (torch.log(power.abs().square().transpose(1, 2) @ banks + 1e-3) + 1) / 3


def pretrain_visual(
    network: ResNetModel,
    exercises: Sequence[FaceExercise],
    settings: VisualStandinSettings,
    seed: int,
    device: torch.device,
) -> None:
    """Every crop learns to say the parameters that its face was drawn with."""
    crops = torch.from_numpy(np.stack([exercise.crop for exercise in exercises])).permute(0, 3, 1, 2)
    parameters = torch.from_numpy(np.stack([exercise.parameters for exercise in exercises]))
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    head = nn.Linear(4 * settings.width, len(KEYS)).to(device)
    order = _Order(len(exercises), settings.batch, generator)

    def loss() -> Tensor:
        chosen = order.next()
        inputs = crops[chosen].to(device).float().div(127.5).sub(1)
        if torch.rand((), generator=generator) < 0.5:
            inputs = inputs.flip(3)
        said = head(network(inputs).pooler_output.flatten(1))
        return functional.mse_loss(said, FACE_SCALE * parameters[chosen].to(device))

    _fit("visual", network, head, loss, steps=settings.steps, rate=settings.rate)


class _Order:
    """Batches that go through all items before any comes twice."""

    def __init__(self, items: int, batch: int, generator: torch.Generator):
        self.items, self.batch, self.generator = items, min(batch, items), generator
        self.waiting = torch.zeros(0, dtype=torch.long)

    def next(self) -> Tensor:
        while len(self.waiting) < self.batch:
            self.waiting = torch.cat([self.waiting, torch.randperm(self.items, generator=self.generator)])
        chosen, self.waiting = self.waiting[: self.batch], self.waiting[self.batch :]
        return chosen


def _fit(
    name: str, network: nn.Module, head: nn.Module, loss: Callable[[], Tensor], *, steps: int, rate: float
) -> None:
    """Minimise `loss()`, which draws its own batch, over both modules; the network ends in eval mode."""
    network.train()
    parameters = [*network.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.2)
    trace = []
    for _ in progress(range(steps), f"steps of {name}"):
        value = loss()
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        trace.append(value.item())
    first, last = np.mean(trace[:10]), np.mean(trace[-10:])
    log.info("%s: loss %.3f -> %.3f in %d steps", name, first, last, steps)
    network.eval()
