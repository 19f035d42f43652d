"""Whether lips are in step with the voice, where heads move and listeners are no statues.

A mouth that opens is dark within. What else makes it darker or lighter (the head moves, turns, comes into
another light) is seen beside the mouth, too, and is taken out. What is left has to go with the loudness of
the voice, no more than a picture early or late.
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from pipeline.core import media
from pipeline.encoders.alignment import NOSE
from pipeline.extraction.judging import MouthJudge
from pipeline.extraction.speaking import correlation, envelope
from pipeline.extraction.tracking import Track

INSIDE = (slice(None), slice(20, 34), slice(8, 20))  # of a patch: the middle of the mouth
DARK = 0.25  # share of its pixels that are inside an open mouth
SLOW = 0.5  # Hz; slower changes are no speech
FACE = 3  # ways in which the rest of the face changes that are taken out
LATE = 0.07  # s that lips may be early or late, a picture at least
FREE = 3.0  # independent looks a second
TAKEN = 3  # independent looks that are used up by what is taken out
# The border of speakers and listeners, set on 20 films of `benchmarks/filmed_speakers.py` (seeds 0 to 19).
BORDER = 0.25
MOST_SHIFT = 4.0  # px of a patch by which a face is at most aside of where its landmarks say


def steadied(
    patches: UInt8[np.ndarray, "times 34 28"],
) -> tuple[Float[np.ndarray, "times 34 28"], Float[np.ndarray, "times 2"]]:
    """The patches with the nose in one place, and by how much (px) each was shifted.

    Landmarks are found in every fifth picture or so; in between, the head moves otherwise than they tell.
    """
    values = patches.astype(np.float32)
    upper = values[NOSE]
    mean, window = upper.mean(0), cv2.createHanningWindow(upper.shape[:0:-1], cv2.CV_32F)
    mean = mean - mean.mean()
    shifts = np.zeros((len(values), 2))
    for place, own in enumerate(upper):
        found, _ = cv2.phaseCorrelate(mean, own - own.mean(), window)
        shifts[place] = np.clip(found, -MOST_SHIFT, MOST_SHIFT)
    size, how = patches.shape[:0:-1], cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    held = [
        cv2.warpAffine(
            own, np.array([[1, 0, x], [0, 1, y]]), size, flags=how, borderMode=cv2.BORDER_REPLICATE
        )
        for own, (x, y) in zip(values, shifts, strict=True)
    ]
    return np.stack(held), shifts


def drift(count: int, seconds: float) -> Float[np.ndarray, "count waves"]:
    """Cosines below SLOW over `count` pictures that take so many seconds."""
    waves = np.arange(1, max(1, int(2 * SLOW * seconds)) + 1)
    return np.cos(np.pi * waves * (np.arange(count)[:, None] + 0.5) / count)


def without(series: Float[np.ndarray, " times"], causes: Float[np.ndarray, "times n"]) -> np.ndarray:
    """What least squares leave of a series, its mean included."""
    own, _ = np.linalg.qr(causes - causes.mean(0))
    series = series - series.mean()
    return series - own @ (own.T @ series)


def in_step(opening: np.ndarray, voice: np.ndarray, most: int) -> float:
    """The largest correlation of two equally long series that are moved by at most `most` places."""
    moved = [
        correlation(
            opening[max(0, by) : len(opening) + min(0, by)], voice[max(0, -by) : len(voice) + min(0, -by)]
        )
        for by in range(-most, most + 1)
    ]
    return max(moved)


def lip_score(track: Track, sound: np.ndarray, start: float, end: float) -> float:
    """Evidence that this face speaks, -2 ... 2; above 0: more like a speaker than like a listener.

    Twice the distance of Fisher's z of the correlation from that of BORDER, in standard errors: a face that
    is seen for a moment is near 0. sound: the whole file's, 16 kHz; start, end: of the utterance (s).
    """
    times = np.asarray(track.patch_times)
    if len(times) < 2:
        return 0.0
    step = float(np.median(np.diff(times)))
    seconds = len(times) * step
    slow = drift(len(times), seconds)
    if len(times) < slow.shape[1] + FACE + 6:
        return 0.0
    first, last = media.span(sound, start, end)
    voice = envelope(sound[first:last], first / media.SAMPLE_RATE, times, float(np.clip(step, 0.04, 0.1)))
    held, shifts = steadied(np.stack(track.patches))
    inside = np.sort(held[INSIDE].reshape(len(held), -1), axis=1)
    dark = -inside[:, : round(DARK * inside.shape[1])].mean(1)
    upper = held[NOSE].reshape(len(held), -1).astype(np.float64)
    ways = np.linalg.svd(upper - upper.mean(0), full_matrices=False)[0][:, :FACE]
    opening = without(dark.astype(np.float64), np.concatenate([slow, ways, shifts], axis=1))
    found = in_step(opening, without(voice, slow), max(1, round(LATE / step)))
    looks = max(FREE * seconds - TAKEN, 1.0)
    distance = np.arctanh(np.clip(found, -0.95, 0.95)) - np.arctanh(BORDER)
    return float(np.clip(2 * distance * np.sqrt(looks), -2, 2))


class LipJudge(MouthJudge):
    """Asks whether lips are in step with the voice."""

    def score(self, track: Track, sound: np.ndarray, start: float, end: float) -> float:
        """As `lip_score`."""
        return lip_score(track, sound, start, end)


def load(folder: Path | None, device: torch.device) -> LipJudge:
    """The judge; it needs no weights."""
    return LipJudge()
