"""What the microphone adds to a voice: the room's echo, its gain and its noise."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve

from pipeline.synth.voice import LOUDNESS, RATE

ECHO_SECONDS = 0.15
HISS = 0.0008  # noise floor of the recorder, also heard between utterances


@dataclass(frozen=True)
class Room:
    """Acoustics of one dialogue: impulse response of unit energy, and a gain factor."""

    echo: np.ndarray
    gain: float


def draw_room(rng: np.random.Generator) -> Room:
    """A random small room."""
    samples = np.arange(int(ECHO_SECONDS * RATE))
    echo = rng.standard_normal(len(samples)) * np.exp(-samples / (rng.uniform(0.015, 0.04) * RATE))
    echo[0] = 6.0
    return Room((echo / np.sqrt(np.sum(echo**2))).astype(np.float32), float(10 ** (rng.normal(0, 2) / 20)))


def record(voice: np.ndarray, room: Room, snr: float, rng: np.random.Generator) -> np.ndarray:
    """The voice as recorded, float32 of the same length; `snr` (dB) is against a neutral voice."""
    sound = fftconvolve(voice, room.echo)[: len(voice)] * room.gain
    noise = np.convolve(rng.standard_normal(len(voice)), [0.3, 0.4, 0.3], "same")
    return (sound + noise * (0.82 * LOUDNESS * 10 ** (-snr / 20))).astype(np.float32)


def hiss(samples: int, rng: np.random.Generator) -> np.ndarray:
    """The recorder's own noise, float32."""
    return rng.standard_normal(samples, dtype=np.float32) * np.float32(HISS)
