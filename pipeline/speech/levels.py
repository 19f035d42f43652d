"""How loud a sound is, and where it is quiet."""

import librosa
import numpy as np
from jaxtyping import Float

from pipeline.core import media

HOP, WINDOW = 160, 400  # 10 and 25 ms of 16 kHz
STEP = HOP / media.SAMPLE_RATE
READ = 6000  # frames worked on at once: a minute
SMOOTH = 31  # levels that a quiet place is made of

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


def quiet_pieces(sound: np.ndarray, longest: float, seek: float) -> list[tuple[int, int]]:
    """First and last + 1 sample of every piece, of at most `longest` s, that together are the whole sound.

    sound: float32 (samples,), 16 kHz, may lie on disk. A piece ends where its last `seek` s are quietest.
    """
    rate = media.SAMPLE_RATE
    borders = [0]
    while len(sound) - borders[-1] > longest * rate:
        high = borders[-1] + round(longest * rate)
        low = high - round(seek * rate)
        smooth = np.convolve(levels(np.asarray(sound[low:high])), np.ones(SMOOTH) / SMOOTH, mode="valid")
        borders.append(low + (int(np.argmin(smooth)) + SMOOTH // 2) * HOP)
    return list(zip(borders, [*borders[1:], len(sound)], strict=True)) if len(sound) else []
