"""Sound without weights: pitch, level, spectral shape and MFCC by librosa, and their functionals.

The frames are the sequence; the vector of an utterance are their functionals (mean, spread, tails, slope,
movement, and how voice and silence take turns), as hand-made features of speech have them. Nothing is learnt
and nothing fetched: the baseline of what a speech network adds.
"""

from collections.abc import Sequence
from pathlib import Path

import librosa
import numpy as np
import torch
from jaxtyping import Float

from pipeline.core import media
from pipeline.core.errors import PipelineError
from pipeline.encoders.audio import windows
from pipeline.settings.encoders import AudioSettings

HOP, WINDOW = 320, 1024  # 20 and 64 ms of 16 kHz
STEP = HOP / media.SAMPLE_RATE
LOWEST, HIGHEST = 65.0, 600.0  # Hz, of voices
CEPSTRA = 13
PITCH, VOICED = 0, 1  # columns
FRAMES = (
    "pitch (semitones above LOWEST; 0 where unvoiced)",
    "voiced (0 or 1)",
    "probability of voice",
    "level (dB)",
    "spectral centroid (kHz)",
    "spectral bandwidth (kHz)",
    "85 % roll-off (kHz)",
    "spectral flatness (dB)",
    "zero crossings (share of samples)",
    *(f"MFCC {number}" for number in range(CEPSTRA)),
)
FUNCTIONALS = ("mean", "standard deviation", "10th percentile", "90th percentile", "slope", "movement")
RHYTHM = ("voiced stretches a second", "mean length of a voiced stretch (s)")


class AcousticEncoder:
    """Frames of sounds, one every 20 ms, and the functionals that stand for an utterance."""

    shortest = WINDOW
    width = len(FRAMES)
    dimension = len(FRAMES) * len(FUNCTIONALS) + len(RHYTHM)

    def __init__(self, settings: AudioSettings) -> None:
        self.most = round(settings.window * media.SAMPLE_RATE)

    def encode(self, sounds: Sequence[np.ndarray]) -> list[Float[np.ndarray, "_ width"]]:
        """Float32 (frames, width) of each sound (16 kHz mono float32, at least `shortest` samples).

        A sound longer than the configured window is worked on in equal windows.
        """
        return [
            np.concatenate([frames(sound[low:high]) for low, high in windows(len(sound), self.most)])
            for sound in sounds
        ]

    def pooled(self, frames: Float[np.ndarray, "n width"]) -> Float[np.ndarray, " dimension"]:
        """The functionals of an utterance's frames: float32 (dimension,)."""
        return functionals(frames)


def frames(sound: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "n width"]:
    """What each 20 ms hold, columns as FRAMES: float32 (frames, width)."""
    sound, rate = np.asarray(sound, np.float32), media.SAMPLE_RATE
    power = np.abs(librosa.stft(sound, n_fft=WINDOW, hop_length=HOP)) ** 2
    pitch, voiced, probability = librosa.pyin(
        sound,
        fmin=LOWEST,
        fmax=HIGHEST,
        sr=rate,
        frame_length=WINDOW,
        hop_length=HOP,
        fill_na=LOWEST,
    )
    magnitude = np.sqrt(power)
    level = librosa.feature.rms(S=magnitude, frame_length=WINDOW)[0]
    mel = librosa.feature.melspectrogram(S=power, sr=rate, n_fft=WINDOW, n_mels=40)
    shape = [
        librosa.feature.spectral_centroid(S=magnitude, sr=rate, n_fft=WINDOW)[0] / 1000,
        librosa.feature.spectral_bandwidth(S=magnitude, sr=rate, n_fft=WINDOW)[0] / 1000,
        librosa.feature.spectral_rolloff(S=magnitude, sr=rate, n_fft=WINDOW)[0] / 1000,
        10 * np.log10(librosa.feature.spectral_flatness(S=magnitude, power=2)[0]),
        librosa.feature.zero_crossing_rate(sound, frame_length=WINDOW, hop_length=HOP)[0],
    ]
    rows = [
        12 * np.log2(pitch / LOWEST) * voiced,
        voiced,
        probability,
        20 * np.log10(np.maximum(level, 1e-6)),
        *shape,
        # a floor 80 dB below full scale, so that digital silence is no outlier
        *librosa.feature.mfcc(S=10 * np.log10(mel + 1e-8), n_mfcc=CEPSTRA),
    ]
    return np.stack(rows, axis=1).astype(np.float32)


def functionals(frames: Float[np.ndarray, "n width"]) -> Float[np.ndarray, " dimension"]:
    """Float32 (width * functionals + 2,): FUNCTIONALS of every column, one after the other, then RHYTHM.

    Those of the pitch are of the voiced frames; zeros if there is none.
    """
    frames = np.asarray(frames, np.float64)
    voiced = frames[:, VOICED] > 0
    times = np.arange(len(frames)) * STEP
    rows = [_of_column(frames[:, column], times) for column in range(frames.shape[1])]
    rows[PITCH] = _of_column(frames[voiced, PITCH], times[voiced])
    stretches = int(np.count_nonzero(np.diff(voiced.astype(np.int8), prepend=0) > 0))
    rhythm = [stretches / (len(frames) * STEP), voiced.sum() * STEP / max(stretches, 1)]
    return np.concatenate([*np.stack(rows, axis=1), rhythm]).astype(np.float32)


def _of_column(values: Float[np.ndarray, " n"], times: Float[np.ndarray, " n"]) -> list[float]:
    """FUNCTIONALS of one column; zeros for no frame, no slope and no movement for one."""
    if not len(values):
        return [0.0] * len(FUNCTIONALS)
    apart = times - times.mean()
    spread = float(apart @ apart)
    low, high = np.percentile(values, (10, 90))
    return [
        float(values.mean()),
        float(values.std()),
        float(low),
        float(high),
        float(apart @ values) / spread if spread > 0 else 0.0,
        float(np.abs(np.diff(values)).mean()) if len(values) > 1 else 0.0,
    ]


def load(folder: Path, settings: AudioSettings, device: torch.device) -> AcousticEncoder:
    """The encoder; it computes on the CPU, whatever the device.

    Raises PipelineError if layers are chosen, for there are none.
    """
    if settings.layers != [-1]:
        raise PipelineError(
            f"config, key encoders.audio.layers: {folder} holds measures of the sound and has no layers. "
            "Leave the key at [-1]."
        )
    return AcousticEncoder(settings)
