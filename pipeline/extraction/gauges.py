"""How reliable words, sound and crops look: numbers that are cheap to measure, the same on degraded media.

None of them looks at a label. NaN: not known, or nothing to measure.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from pipeline.core import media

FRAME = 400  # samples: 25 ms
STEP = 160  # samples: 10 ms
TREBLE = 3600.0  # Hz, above the band of a telephone
FLOOR = 1e-10  # power below which all is silence: -100 dB
SIDE = 64  # pixels to which crops are brought, so that sharpness does not hang on their size
BLOCK = 8  # pixels: of a JPEG
EQUAL = 1  # grey values by which neighbours differ that count as equal


def decibels(power: Any) -> Any:
    """A power, or an array of them, in dB."""
    return 10 * np.log10(np.maximum(power, FLOOR))


class Pairs:
    """The pairs of neighbouring words of some texts, by the dialogue that has them."""

    def __init__(self, texts: Iterable[tuple[str, str]]) -> None:
        """`texts`: dialogue and text of each utterance."""
        self.holders: dict[tuple[str, str], set[str]] = {}
        for dialogue, text in texts:
            for pair in _pairs(text):
                self.holders.setdefault(pair, set()).add(dialogue)

    def known(self, dialogue: str, text: str) -> float:
        """The share of a text's pairs that another dialogue has, too; the ends count as words."""
        pairs = list(_pairs(text))
        return sum(bool(self.holders.get(pair, set()) - {dialogue}) for pair in pairs) / len(pairs)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    words = [word.strip(".,;:!?…\"'()").casefold() for word in text.split()]
    return zip(["", *words], [*words, ""], strict=True)


def of_text(
    dialogue: str, text: str, pairs: Pairs, confidence: float | None = None
) -> Float[np.ndarray, "3"]:
    """Of the words of an utterance: the logarithm of their number + 1, how usual their order is, and how sure
    the recogniser was of them (None: nobody recognised them)."""
    sure = np.nan if confidence is None else confidence
    return np.array([np.log1p(len(text.split())), pairs.known(dialogue, text), sure])


def of_sound(samples: Float[np.ndarray, "_"]) -> Float[np.ndarray, "5"]:
    """Of a sound at 16 kHz, in dB: its level; how far loud frames are above quiet ones (95th and 10th
    percentile: noise fills the pauses); the mean flatness of the spectrum (0 is flat), over frames that are
    not silent; peak over level (low where it was clipped); power above 3.6 kHz over all.

    NaN for fewer samples than a frame has.
    """
    if len(samples) < FRAME:
        return np.full(5, np.nan)
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::STEP].astype(np.float64)
    loud = decibels(np.square(frames).mean(1))
    spectrum = np.square(np.abs(np.fft.rfft(frames * np.hanning(FRAME), axis=1)))[:, 1:]
    heard = spectrum.mean(1) > FLOOR
    flatness = np.nan
    if heard.any():
        own = spectrum[heard] + FLOOR
        flatness = float((10 * (np.log10(own).mean(1) - np.log10(own.mean(1)))).mean())
    hertz = np.fft.rfftfreq(FRAME, 1 / media.SAMPLE_RATE)[1:]
    total, high = spectrum.sum(), spectrum[:, hertz > TREBLE].sum()
    treble = float(decibels(high / total)) if total > FLOOR else np.nan
    power = float(np.square(samples, dtype=np.float64).mean())
    peak = float(np.square(np.abs(samples).max(), dtype=np.float64))
    low, top = np.percentile(loud, [10, 95])
    level = float(decibels(power))
    return np.array([level, top - low, flatness, float(decibels(peak)) - level, treble])


def of_crops(crops: UInt8[np.ndarray, "n s s 3"]) -> Float[np.ndarray, "5"]:
    """Of the crops of an utterance, the mean over them: sharpness (the logarithm of the Laplacian's variance
    over that of the grey values), brightness and contrast (mean and deviation of the grey values, 0 to 1),
    the share of pixels that equal their neighbours, and how much larger steps are at the edges of 8-pixel
    blocks than within (logarithm). NaN without a crop.
    """
    if not len(crops):
        return np.full(5, np.nan)
    return np.mean([_of_crop(crop) for crop in crops], axis=0)


def _of_crop(crop: UInt8[np.ndarray, "s s 3"]) -> np.ndarray:
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    steps = np.abs(np.diff(grey.astype(np.float64), axis=1))
    # the grid of a JPEG begins at the crop's corner
    edge = np.arange(1, grey.shape[1]) % BLOCK == 0
    blocks = np.log((steps[:, edge].mean() + 0.1) / (steps[:, ~edge].mean() + 0.1)) if edge.any() else 0.0
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    sharp = np.log((cv2.Laplacian(small, cv2.CV_64F).var() + 1e-3) / (small.var() + 1e-3))
    flat = float((steps <= EQUAL).mean())
    return np.array([sharp, grey.mean() / 255, grey.std() / 255, flat, blocks])


def of_faces(
    probability: Sequence[float], score: float | None, crops: UInt8[np.ndarray, "n s s 3"]
) -> Float[np.ndarray, "7"]:
    """Of the chosen face of an utterance: how sure its detections were (mean over the crops), the score by
    which it was taken for the speaker's, and what its crops look like."""
    sure = float(np.mean(probability)) if len(probability) else np.nan
    return np.concatenate([[sure, np.nan if score is None else score], of_crops(crops)])
