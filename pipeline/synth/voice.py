"""A small source-filter speech synthesiser: phones -> formant tracks -> sound, coloured by an emotion.

All of it is this project's own work (no licence question) and every draw comes from the given generator.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import fft
from scipy.signal import lfilter

from pipeline.synth.phones import DIPHTHONGS, PAUSE, PHONES, SILENCE, STOPS, phones

RATE = 16_000
HOP = 80  # samples in one step of the formant tracks: 5 ms
STEP_MS = 1000 * HOP / RATE
BLOCK = 640  # samples for which a 5 ms block of excitation may ring
DELAY = np.exp(-2j * np.pi * np.arange(BLOCK // 2 + 1) / BLOCK).astype(np.complex64)[None, :]
LOUDNESS = 0.055  # root mean square of a neutral voice


class Prosody(NamedTuple):
    """How an emotion sounds, against a neutral voice."""

    pitch: float  # factor on the fundamental
    range: float  # factor on the pitch movements
    tempo: float
    gain: float  # dB
    jitter: float
    breath: float
    tilt: float  # above 0: brighter
    slope: float  # rise (or fall) at the end
    tremor: float


PROSODIES = {
    "neutral": Prosody(1.00, 1.0, 1.00, 0.0, 0.006, 0.04, 0.0, -0.25, 0.0),
    "joy": Prosody(1.28, 1.8, 1.10, 3.0, 0.008, 0.04, 0.25, 0.25, 0.0),
    "sadness": Prosody(0.88, 0.45, 0.78, -7.0, 0.010, 0.26, -0.6, -0.45, 0.0),
    "anger": Prosody(1.18, 1.6, 1.16, 7.0, 0.030, 0.02, 0.8, -0.55, 0.0),
    "surprise": Prosody(1.45, 2.0, 1.00, 3.0, 0.010, 0.08, 0.15, 0.95, 0.0),
    "fear": Prosody(1.42, 0.8, 1.30, -1.0, 0.022, 0.20, -0.05, 0.10, 0.05),
    "disgust": Prosody(0.80, 0.8, 0.84, 1.0, 0.040, 0.05, 0.30, -0.60, 0.0),
}


@dataclass(frozen=True)
class Voice:
    """A speaker's voice: fundamental (Hz) and formant factor (above 1: a shorter vocal tract)."""

    fundamental: float
    tract: float


def make_voice(speaker: int, seed: int) -> Voice:
    """The voice of a speaker; odd numbers are feminine, as their faces are."""
    return draw_voice(np.random.default_rng([seed, 4242, speaker]), speaker % 2 == 1)


def draw_voice(rng: np.random.Generator, feminine: bool, spread: float = 0.0) -> Voice:
    """A random voice; `spread` (Hz) widens the range of fundamentals on both sides."""
    low, high, short, long = (175, 225, 1.12, 1.20) if feminine else (95, 135, 0.96, 1.04)
    return Voice(float(rng.uniform(low - spread, high + spread)), float(rng.uniform(short, long)))


def prosody(emotion: str, intensity: float) -> Prosody:
    """The prosody between neutral (intensity 0) and the emotion's own (1); `flat` is neutral."""
    neutral = np.array(PROSODIES["neutral"])
    full = np.array(PROSODIES["neutral" if emotion == "flat" else emotion])
    return Prosody(*(neutral + (full - neutral) * intensity))


@dataclass(frozen=True)
class Speech:
    """Sound (samples,) float32 at 16 kHz, its fundamental (Hz) every 5 ms, and how it was spoken."""

    sound: np.ndarray
    pitch: np.ndarray
    manner: Prosody


def speak(text: str, voice: Voice, emotion: str, intensity: float, rng: np.random.Generator) -> Speech:
    """Speak a text in the manner of an emotion; a person's manner varies by 5 % from one time to the next."""
    manner = Prosody(*(np.array(prosody(emotion, intensity)) * (1 + 0.05 * rng.standard_normal(9))).tolist())
    tracks = _formant_tracks(phones(text) or ["AX"], voice, manner, rng)
    pitch = _pitch_track(len(tracks), voice, manner, rng)
    excitation, hiss = _source(tracks, pitch, manner, rng)
    sound = _finish(_filter(tracks, voice, manner, excitation, hiss), manner)
    return Speech(sound, pitch.astype(np.float32), manner)


def _formant_tracks(spoken: list[str], voice: Voice, manner: Prosody, rng: np.random.Generator) -> np.ndarray:
    """One row (F1, F2, F3, voicing, noise, noise centre, noise band) each 5 ms: (steps, 7)."""
    units: list[tuple[str, float]] = []
    for said in spoken:
        units += [(half, 0.62) for half in DIPHTHONGS[said]] if said in DIPHTHONGS else [(said, 1.0)]
    rest = (*SILENCE[:3], *SILENCE[4:])
    rows = [rest] * 8
    for index, (name, share) in enumerate(units):
        if name == PAUSE:
            rows += [rest] * int(SILENCE.length / manner.tempo / STEP_MS)
            continue
        phone = PHONES[name]
        longer = 1.35 if index > len(units) - 4 else 1.0  # speech slows down at the end
        vary = 1 + 0.12 * rng.standard_normal()
        steps = max(3, round(phone.length * share / manner.tempo / STEP_MS * vary * longer))
        row = (*phone[:3], *phone[4:])
        closed = int(steps * 0.55) if name in STOPS else 0
        rows += [(*phone[:3], phone.voiced * 0.4, 0.0, *phone[6:])] * closed + [row] * (steps - closed)
    tracks = np.array(rows + [rest] * 8, float)
    kernel = np.hanning(9) / np.hanning(9).sum()
    for column in range(3):  # formants glide from phone to phone
        tracks[:, column] = np.convolve(np.pad(tracks[:, column], 4, "edge"), kernel, "valid") * voice.tract
    for column in (3, 4):
        smooth = [0.1, 0.25, 0.3, 0.25, 0.1]
        tracks[:, column] = np.convolve(np.pad(tracks[:, column], 2, "edge"), smooth, "valid")
    return tracks


def _pitch_track(steps: int, voice: Voice, manner: Prosody, rng: np.random.Generator) -> np.ndarray:
    """The fundamental (Hz): declination, a few accents, a final movement, tremor and drift."""
    time = np.linspace(0, 1, steps)
    places = np.sort(rng.uniform(0.05, 0.9, max(2, steps // 90)))
    accents = sum(rng.uniform(0.4, 1.0) * np.exp(-(((time - place) / 0.07) ** 2)) for place in places)
    final = np.clip((time - 0.72) / 0.28, 0, 1) ** 1.5
    octaves = manner.range * (0.16 * accents - 0.10) - 0.12 * time + manner.slope * 0.55 * final
    tremor = manner.tremor * np.sin(2 * np.pi * 6.5 * np.arange(steps) * STEP_MS / 1000)
    drift = 0.012 * lfilter([0.1], [1, -0.9], rng.standard_normal(steps))
    return voice.fundamental * manner.pitch * 2**octaves * (1 + tremor + drift)


def _stretch(track: np.ndarray) -> np.ndarray:
    """A 5 ms track at the rate of the samples."""
    steps = len(track)
    return np.interp(np.arange(steps * HOP) / HOP, np.arange(steps) + 0.5, track)


def _source(
    tracks: np.ndarray, pitch: np.ndarray, manner: Prosody, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Glottal excitation with breath, and the noise of fricatives and bursts; (samples,) each."""
    frequency = np.clip(_stretch(pitch), 50, 600)
    phase = np.cumsum(frequency / RATE)
    cycle = phase.astype(int)
    jitter = rng.standard_normal(cycle[-1] + 2)
    shimmer = 1 + 3 * manner.jitter * rng.standard_normal(cycle[-1] + 2)
    part = np.clip(phase - cycle + manner.jitter * 0.5 * jitter[cycle], 0, 1)
    open_part = 0.62 - 0.12 * manner.tilt  # a pressed voice closes faster
    pulse = np.where(part < open_part, part**2 * (open_part - part), 0) / (open_part**3 * 0.148)
    flow = np.diff(pulse * shimmer[cycle], prepend=0) * (RATE / frequency) * 0.08
    pole = np.clip(0.25 - 0.3 * manner.tilt, 0, 0.6)
    flow = lfilter([1 - pole], [1, -pole], flow)
    low = lfilter([0.12], [1, -0.88], flow)
    flow = low + (flow - low) * 10 ** (manner.tilt / 2)  # pressed: brighter; soft: duller
    noise = rng.standard_normal(len(phase))
    breath = manner.breath * 0.55 * noise * (0.4 + 0.6 * (part < open_part))
    excitation = _stretch(tracks[:, 3]) * (flow + breath)
    aspirated = (tracks[:, 5] < 1800) & (tracks[:, 3] < 0.05)
    excitation += _stretch(aspirated * tracks[:, 4]) * noise * 0.20
    return excitation, _stretch(tracks[:, 4]) * noise


def _resonance(centre: np.ndarray, band: float | np.ndarray) -> np.ndarray:
    """Frequency response (steps, bins) of one resonator a step, with unit gain at zero frequency."""
    radius = np.exp(-np.pi * np.asarray(band) / RATE)
    first = 2 * radius * np.cos(2 * np.pi * np.minimum(centre, 7600) / RATE)
    second = -radius * radius
    gain, first, second = (
        np.atleast_1d(part).astype(np.float32)[:, None] for part in (1 - first - second, first, second)
    )
    return gain / (1 - first * DELAY - second * DELAY**2)


def _filter(
    tracks: np.ndarray, voice: Voice, manner: Prosody, excitation: np.ndarray, hiss: np.ndarray
) -> np.ndarray:
    """Vocal tract: five resonators in cascade, and one for the noise; each 5 ms block rings out in its own.

    A block's answer is cut off after BLOCK samples, where even the narrowest resonator has died away.
    """
    cascade = _resonance(tracks[:, 0], 70 + 160 * manner.breath)
    cascade *= _resonance(tracks[:, 1], 95)
    cascade *= _resonance(tracks[:, 2], 140)
    cascade *= _resonance(np.array(3500 * voice.tract), 220) * _resonance(np.array(4500 * voice.tract), 300)
    answer = fft.rfft(excitation.reshape(-1, HOP).astype(np.float32), BLOCK) * cascade
    noisy = np.flatnonzero(np.any(hiss.reshape(-1, HOP), axis=1))
    noise = fft.rfft(hiss.reshape(-1, HOP)[noisy].astype(np.float32), BLOCK)
    answer[noisy] += np.float32(0.22) * noise * _resonance(tracks[noisy, 5], tracks[noisy, 6])
    blocks = fft.irfft(answer, BLOCK).reshape(len(tracks), -1, HOP)
    sound = np.zeros((len(tracks) + blocks.shape[1], HOP), np.float32)
    for late in range(blocks.shape[1]):
        sound[late : late + len(tracks)] += blocks[:, late]
    return sound[: len(tracks)].ravel()


def _finish(sound: np.ndarray, manner: Prosody) -> np.ndarray:
    """Radiation from the lips, loudness, soft limit."""
    sound = np.diff(sound, prepend=0) * 0.5 + sound * 0.5
    loud = sound[np.abs(sound) > 1e-4]
    level = np.sqrt(np.mean(loud**2)) if loud.size else 0.0
    sound = sound * (LOUDNESS / (level + 1e-9) * 10 ** (manner.gain / 20))
    return np.tanh(sound * 1.1).astype(np.float32)
