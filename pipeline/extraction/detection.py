"""What a detector of faces is given and what it gives; the detectors are modules of their own."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.settings.faces import FacesSettings


@dataclass(frozen=True)
class Face:
    """One detection, in pixels.

    box: float64 (4,) x0, y0, x1, y1; landmarks: float64 (5, 2), ordered as encoders.alignment.CANONICAL.
    """

    box: np.ndarray
    probability: float
    landmarks: np.ndarray


class Detector(ABC):
    """Finds faces in pictures at reduced size; a kind of detector has `find`.

    batches: whether it is faster to look at pictures of many files together (`find_all`).
    """

    batches = False

    def __init__(self, settings: FacesSettings) -> None:
        self.settings = settings

    @abstractmethod
    def find(self, small: np.ndarray) -> list[Face]:
        """The faces of a picture (uint8 RGB (H, W, 3)) in its own pixels, in any order."""

    def find_all(self, pictures: np.ndarray) -> list[list[Face]]:
        """As `find`, of several pictures of one size: uint8 RGB (n, H, W, 3)."""
        return [self.find(picture) for picture in pictures]

    def reduced(self, picture: np.ndarray) -> tuple[np.ndarray, float]:
        """The picture as detection sees it, and its size relative to the whole one."""
        scale = self.settings.detection_side / max(picture.shape[:2])
        if scale >= 1:
            return picture, 1.0
        return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), scale

    def __call__(self, small: np.ndarray, scale: float) -> list[Face]:
        """The faces of a reduced picture that are probable enough, best first, in pixels of the whole one."""
        return self.whole(self.find(small), scale)

    def whole(self, found: Iterable[Face], scale: float) -> list[Face]:
        """Those of a picture's faces that are probable enough, best first, in pixels of the whole one."""
        faces = [
            Face(face.box / scale, face.probability, face.landmarks / scale)
            for face in found
            if face.probability >= self.settings.probability
        ]
        return sorted(faces, key=lambda face: -face.probability)
