"""Where somebody speaks, by the energy of the sound: utterances of a video without a transcript.

The level (RMS of 25 ms every 10 ms, by librosa) is compared with a border between the noise floor and the
loud parts of its surroundings, so a recording may grow louder or noisier on the way. Energy cannot tell
speech from other sound that comes and goes; a steady tone or noise is not taken for speech.
"""

import logging
from collections.abc import Iterator

import librosa
import numpy as np
from jaxtyping import Bool, Float

from pipeline.core import media
from pipeline.settings.annotate import SpeechSettings

log = logging.getLogger("pipeline")

HOP, WINDOW = 160, 400  # 10 and 25 ms of 16 kHz
STEP = HOP / media.SAMPLE_RATE
BLOCK = 10.0  # seconds over which floor and loudness are measured
AROUND = 3  # blocks on either side that they are taken from
READ = 6000  # frames worked on at once: a minute

Span = tuple[float, float]


def levels(sound: np.ndarray) -> Float[np.ndarray, "frames"]:
    """Level in dB (at least -120) around k * STEP s. sound: float32 (samples,), 16 kHz, may lie on disk."""
    count = -(-len(sound) // HOP)
    result = np.empty(count, np.float32)
    for first in range(0, count, READ):
        last = min(first + READ, count)
        low = first * HOP - WINDOW // 2
        piece = np.asarray(sound[max(0, low) : (last - 1) * HOP + WINDOW // 2])
        before, wanted = max(0, -low), (last - first - 1) * HOP + WINDOW
        piece = np.pad(piece, (before, wanted - before - len(piece)))
        rms = librosa.feature.rms(y=piece, frame_length=WINDOW, hop_length=HOP, center=False)[0]
        result[first:last] = 20 * np.log10(np.maximum(rms[: last - first], 1e-6))
    return result


def borders(level: Float[np.ndarray, "frames"], settings: SpeechSettings) -> Float[np.ndarray, "frames"]:
    """The level (dB) above which each frame is speech; infinite where the sound hardly changes."""
    size = round(BLOCK / STEP)
    blocks = max(1, round(len(level) / size))
    edges = np.linspace(0, len(level), blocks + 1).round().astype(int)
    border = np.empty(blocks)
    for block in range(blocks):
        near = level[edges[max(0, block - AROUND)] : edges[min(blocks, block + AROUND + 1)]]
        quiet, loud = np.percentile(near, (5, 95))
        enough = loud - quiet >= settings.least_range
        border[block] = quiet + settings.threshold * (loud - quiet) if enough else np.inf
    return np.maximum(np.repeat(border, np.diff(edges)), settings.floor)


def runs(active: Bool[np.ndarray, "frames"]) -> list[tuple[int, int]]:
    """First and last + 1 of every unbroken run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def utterances(sound: np.ndarray, settings: SpeechSettings) -> list[Span]:
    """Start and end (s) of every utterance, in order, without overlaps; empty where nobody speaks.

    sound: float32 (samples,) at 16 kHz. Bursts nearer than `pause` are one utterance, bursts shorter than
    `shortest` none; what is longer than `longest` is cut where it is quietest.
    """
    if not len(sound):
        return []
    level = levels(sound)
    joined: list[list[int]] = []
    for first, last in runs(level > borders(level, settings)):
        if joined and (first - joined[-1][1]) * STEP < settings.pause:
            joined[-1][1] = last
        else:
            joined.append([first, last])
    kept = [(first, last) for first, last in joined if (last - first) * STEP >= settings.shortest]
    pieces = [piece for span in kept for piece in _cut(level, *span, settings)]
    return list(_padded(pieces, len(sound) / media.SAMPLE_RATE, settings.padding))


def _cut(level: np.ndarray, first: int, last: int, settings: SpeechSettings) -> Iterator[tuple[int, int]]:
    """A run in pieces of at most `longest`, each border in the quietest place of its middle third."""
    if (last - first) * STEP <= settings.longest:
        yield first, last
        return
    low, high = first + (last - first) // 3, last - (last - first) // 3
    smooth = np.convolve(level[low:high], np.ones(9) / 9, mode="same")
    # the ends of the smoothed piece are not whole means
    border = low + 4 + int(np.argmin(smooth[4:-4])) if high - low > 16 else (low + high) // 2
    yield from _cut(level, first, border, settings)
    yield from _cut(level, border, last, settings)


def _padded(pieces: list[tuple[int, int]], duration: float, padding: float) -> Iterator[Span]:
    """The pieces in seconds, each with its padding, which never reaches beyond half-way to a neighbour."""
    for place, (first, last) in enumerate(pieces):
        before = pieces[place - 1][1] if place else 0
        after = pieces[place + 1][0] if place + 1 < len(pieces) else duration / STEP
        start = max(first * STEP - padding, (before + first) / 2 * STEP if place else 0.0, 0.0)
        end = min(last * STEP + padding, (last + after) / 2 * STEP if place + 1 < len(pieces) else duration)
        if end > start:
            yield round(start, 3), round(end, 3)


def windows(duration: float, length: float) -> list[Span]:
    """Equal pieces of at most `length` s that cover 0 ... duration (s); empty for no duration."""
    if duration <= 0:
        return []
    edges = np.linspace(0, duration, max(1, int(np.ceil(duration / length - 1e-9))) + 1)
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
