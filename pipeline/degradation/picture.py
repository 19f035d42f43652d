"""What is done to the crops of a face, in three strengths, and its measure. Strength 0 is the identity.

Crops are uint8 (n, s, s, 3), aligned by `encoders.alignment`, so mouth and eyes have fixed places.
"""

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import UInt8

from pipeline.encoders.alignment import CANONICAL

Crops = UInt8[np.ndarray, "n s s 3"]

# by strength 1, 2, 3
SIGMA = (0.0125, 0.025, 0.05)  # of the blur, as a share of the crop's side
LIGHT = (0.5, 0.25, 0.1)  # what is left of each pixel's value
QUALITY = (30, 10, 3)  # of the JPEG
SMALLER = (3, 6, 12)  # times fewer pixels a side
# half the width and height of what covers the mouth, and the eyes, as shares of the side
MOUTH = ((0.12, 0.06), (0.20, 0.11), (0.30, 0.16))
EYES = ((0.22, 0.05), (0.28, 0.09), (0.36, 0.15))
COVERED = ("mouth", "eyes")


def each(crops: Crops, change: Callable[[np.ndarray], np.ndarray]) -> Crops:
    """The crops, each changed by itself."""
    return np.stack([change(crop) for crop in crops]) if len(crops) else crops


def blur(crops: Crops, strength: int, rng: np.random.Generator) -> Crops:
    sigma = SIGMA[strength - 1] * crops.shape[1]
    return each(crops, lambda crop: cv2.GaussianBlur(crop, (0, 0), sigma))


def darkness(crops: Crops, strength: int, rng: np.random.Generator) -> Crops:
    return np.rint(crops * np.float32(LIGHT[strength - 1])).astype(np.uint8)


def jpeg(crops: Crops, strength: int, rng: np.random.Generator) -> Crops:
    def through(crop: np.ndarray) -> np.ndarray:
        _, file = cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY[strength - 1]])
        return np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR))[..., ::-1]

    return each(crops, through)


def low_resolution(crops: Crops, strength: int, rng: np.random.Generator) -> Crops:
    side = crops.shape[1]
    few = max(1, round(side / SMALLER[strength - 1]))

    def through(crop: np.ndarray) -> np.ndarray:
        small = cv2.resize(crop, (few, few), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR)

    return each(crops, through)


def covered(crops: Crops, middle: np.ndarray, half: tuple[float, float], rng: np.random.Generator) -> Crops:
    """A grey rectangle over a part of every crop; its shade is that of the utterance."""
    side = crops.shape[1]
    low = np.rint((middle - half) * side).astype(int).clip(0, side)
    high = np.rint((middle + half) * side).astype(int).clip(0, side)
    changed = crops.copy()
    changed[:, low[1] : high[1], low[0] : high[0]] = rng.integers(32, 224, dtype=np.uint8)
    return changed


def mouth(crops: Crops, strength: int, rng: np.random.Generator) -> Crops:
    return covered(crops, CANONICAL[3:].mean(0), MOUTH[strength - 1], rng)


def eyes(crops: Crops, strength: int, rng: np.random.Generator) -> Crops:
    return covered(crops, CANONICAL[:2].mean(0), EYES[strength - 1], rng)


# (crops, strength 1 to 3, generator) -> crops
KINDS: dict[str, Callable[[Crops, int, np.random.Generator], Crops]] = {
    "blur": blur,
    "darkness": darkness,
    "jpeg": jpeg,
    "low_resolution": low_resolution,
    "mouth": mouth,
    "eyes": eyes,
}


def degraded(kind: str, crops: Crops, strength: int, rng: np.random.Generator) -> Crops:
    """The crops of an utterance under a kind and strength; themselves at strength 0."""
    return KINDS[kind](crops, strength, rng) if strength else crops


def realised(kind: str, clean: Crops, changed: Crops) -> float:
    """Share of the pixels that are covered; of all other kinds the PSNR (dB), infinite for equal crops.

    A covered pixel that had the very grey before does not count.
    """
    if kind in COVERED:
        return float((clean != changed).any(axis=-1).mean()) if len(clean) else 0.0
    error = float(np.mean(np.square(clean.astype(np.float64) - changed))) if len(clean) else 0.0
    return 10 * float(np.log10(255**2 / error)) if error > 0 else float("inf")
