"""Which of the faces in view speaks: the mouth that opens and shuts with the voice.

The score of a track is r + motion: `r` is the correlation of the mouth's opening with the loudness of the
voice, `motion` the mouth's movement relative to what is usual for a speaker, both described below.
"""

import numpy as np

from pipeline import media


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
