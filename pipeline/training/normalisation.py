"""Normalisation of features: fitted on training utterances, applied wherever a network reads them.

Features are centred and scaled one by one. Those of a speech encoder stay dominated by a few directions even
then (channel, loudness, pitch of the voice), with what tells emotions apart in directions of small variance
that a regularised network hardly learns to read; such modalities are whitened too (docs/method.md, Training).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

# a feature that varies less than this (relative to one) is constant, and is only centred
LEAST_SCALE = 1e-6


@dataclass(frozen=True)
class Normalisation:
    """An affine map of one modality's features, float32."""

    mean: Float[np.ndarray, "d"]
    scale: Float[np.ndarray, "d"]
    whitening: Float[np.ndarray, "d d"] | None = None  # symmetric; None: scaling alone

    def __call__(
        self, features: Float[np.ndarray, "u d"], available: Bool[np.ndarray, "u"]
    ) -> Float[np.ndarray, "u d"]:
        """Normalised features, float32; zeros in absent slots, whatever they hold."""
        there = np.where(available[:, None], features, self.mean)
        result = ((there - self.mean) / self.scale).astype(np.float32)
        if self.whitening is not None:
            result = result @ self.whitening
        result[~available] = 0
        return result

    def arrays(self, modality: str) -> dict[str, np.ndarray]:
        """The arrays as they are stored, by name."""
        named = {f"{modality}_mean": self.mean, f"{modality}_scale": self.scale}
        return named if self.whitening is None else named | {f"{modality}_whitening": self.whitening}


def fit(
    features: Float[np.ndarray, "u d"], seen: Bool[np.ndarray, "u"], shrinkage: float | None = None
) -> Normalisation:
    """The normalisation of the `seen` rows; with a `shrinkage`, whitening too.

    Without any row the mean is 0 and the scale 1. Whitening multiplies the scaled features by the inverse
    square root of their correlation matrix, shrunk towards the identity by the share `shrinkage`: of all
    maps that decorrelate, the one that stays nearest to the features (ZCA). Directions without variance
    are so magnified by 1 / sqrt(shrinkage) at most.
    """
    rows = features[seen].astype(np.float64)
    mean = rows.mean(0) if len(rows) else np.zeros(features.shape[1])
    scale = rows.std(0) if len(rows) else np.ones(features.shape[1])
    scale = np.where(scale < LEAST_SCALE, 1.0, scale)
    whitening = None
    if shrinkage is not None:
        scaled = (rows - mean) / scale
        correlation = scaled.T @ scaled / max(1, len(rows))
        variance, directions = np.linalg.eigh(correlation)
        shrunk = (1 - shrinkage) * variance.clip(min=0) + shrinkage
        whitening = ((directions / np.sqrt(shrunk)) @ directions.T).astype(np.float32)
    return Normalisation(mean.astype(np.float32), scale.astype(np.float32), whitening)


def stored(arrays: Mapping[str, np.ndarray], modality: str) -> Normalisation:
    """What `Normalisation.arrays` stored; raises KeyError naming the array that is missing."""
    return Normalisation(
        arrays[f"{modality}_mean"], arrays[f"{modality}_scale"], arrays.get(f"{modality}_whitening")
    )
