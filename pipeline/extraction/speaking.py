"""Which of the faces in view speaks: the mouth that opens and shuts with the voice.

A face has two kinds of evidence: how well the opening of its mouth follows the loudness of the voice, and
how much the mouth moves at all. A listener's mouth can do one by chance, hardly both.
"""

from pathlib import Path

import numpy as np
import torch

from pipeline.core import media
from pipeline.encoders.alignment import MOUTH, NOSE
from pipeline.extraction.judging import MouthJudge
from pipeline.extraction.tracking import Track

# The borders between speakers and listeners, set on 10 drawn dialogues: speakers (56) had a median fit of
# 0.86 (0.51 at least) and motion of 1.8, listeners (13) 0 (0.65 at most) and 0.5. Filmed speech was not
# at hand; two filmed faces that do not speak scored below -1.
BORDER_FIT = 0.55
BORDER_MOTION = 1.0
# Grey levels by which a nose that is held still seems to move.
STILL = 0.5


def envelope(sound: np.ndarray, begins: float, times: np.ndarray, width: float) -> np.ndarray:
    """Loudness of the voice around each time: float64 (times,), the root of the mean square.

    sound: float32 (samples,) at 16 kHz, its first sample at `begins` (s); width: window (s).
    """
    power = np.concatenate([[0.0], np.cumsum(np.square(sound, dtype=np.float64))])
    low = np.round((times - width / 2 - begins) * media.SAMPLE_RATE).astype(int).clip(0, len(sound))
    high = np.round((times + width / 2 - begins) * media.SAMPLE_RATE).astype(int).clip(0, len(sound))
    counts = np.maximum(high - low, 1)
    return np.sqrt(np.maximum(power[high] - power[low], 0) / counts)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's r of two equally long series; 0 if either is constant."""
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt(np.sum(one**2) * np.sum(other**2)))
    return float(np.sum(one * other) / scale) if scale > 1e-12 else 0.0


def opening(mouths: np.ndarray) -> np.ndarray:
    """The two strongest ways in which a mouth changes over time: float64 (times, 2), each of unit length.

    mouths: (times, height, width). What changes most in an aligned mouth that speaks is its opening.
    """
    flat = mouths.reshape(len(mouths), -1).astype(np.float64)
    left, sizes, _ = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    return left[:, :2] * (sizes[:2] > 1e-9)


def voice_fit(mouths: np.ndarray, voice: np.ndarray) -> float | None:
    """How well the opening of a mouth follows the loudness of the voice: 0 ... 1, None for too few pictures.

    mouths: (times, height, width); voice: float64 (times,). The multiple correlation of `voice` with the two
    series of `opening`, shrunk for the few independent pictures that an utterance has.
    """
    independent = len(mouths) / 2  # neighbouring pictures resemble each other
    if independent <= 4:
        return None
    explained = sum(correlation(series, voice) ** 2 for series in opening(mouths).T)
    shrunk = 1 - (1 - min(explained, 1.0)) * (independent - 1) / (independent - 3)
    return float(np.sqrt(max(shrunk, 0.0)))


def motion(patches: np.ndarray) -> float:
    """How much a mouth moves, relative to the nose above it, which moves with the head alone.

    patches: uint8 (times >= 2, 34, 28) as from faces_align.middle_patch.
    """
    changes = np.abs(np.diff(patches.astype(np.float32), axis=0))
    mouth, nose = (float(np.median(changes[part].mean((1, 2)))) for part in (MOUTH, NOSE))
    return mouth / (nose + STILL)


def speaking_score(track: Track, sound: np.ndarray, start: float, end: float) -> float:
    """Evidence that this face speaks, -2 ... 2; above 0: more like a speaker than like a listener.

    3 (fit - BORDER_FIT) + log2(motion / BORDER_MOTION), each within -1 ... 1.
    sound: the whole file's, as from media.audio; start, end: of the utterance (s).
    """
    times = np.asarray(track.patch_times)
    if len(times) < 2:
        return 0.0
    patches = np.stack(track.patches)
    width = float(np.clip(np.median(np.diff(times)), 0.04, 0.1))
    first, last = media.span(sound, start, end)
    voice = envelope(sound[first:last], first / media.SAMPLE_RATE, times, width)
    fit = voice_fit(patches[MOUTH], voice)
    followed = 0.0 if fit is None else float(np.clip(3 * (fit - BORDER_FIT), -1, 1))
    moved = np.log2(max(motion(patches), 1e-6) / BORDER_MOTION)
    return followed + float(np.clip(moved, -1, 1))


class MotionJudge(MouthJudge):
    """Asks how much a mouth moves, and how well it follows the voice."""

    def score(self, track: Track, sound: np.ndarray, start: float, end: float) -> float:
        """As `speaking_score`."""
        return speaking_score(track, sound, start, end)


def load(folder: Path | None, device: torch.device) -> MotionJudge:
    """The judge; it needs no weights."""
    return MotionJudge()
