"""Faces of one picture: MTCNN (facenet-pytorch, weights from its wheel) at reduced size."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from facenet_pytorch import MTCNN

from pipeline.settings.faces import FacesSettings


@dataclass(frozen=True)
class Face:
    """One detection, in pixels of the whole picture.

    box: float64 (4,) x0, y0, x1, y1; landmarks: float64 (5, 2), ordered as faces_align.CANONICAL.
    """

    box: np.ndarray
    probability: float
    landmarks: np.ndarray


class Detector:
    """MTCNN behind one method."""

    def __init__(self, settings: FacesSettings, device: torch.device) -> None:
        self.settings = settings
        mtcnn = MTCNN(keep_all=True, min_face_size=settings.min_face, device=device).eval()
        # on a CPU the small convolutions and poolings of MTCNN take two thirds of the time in this layout
        self.mtcnn = mtcnn.to(memory_format=torch.channels_last)

    def reduced(self, picture: np.ndarray) -> tuple[np.ndarray, float]:
        """The picture as detection sees it, and its size relative to the whole one."""
        scale = self.settings.detection_side / max(picture.shape[:2])
        if scale >= 1:
            return picture, 1.0
        return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), scale

    def __call__(self, small: np.ndarray, scale: float) -> list[Face]:
        """The faces of a reduced picture (uint8 RGB), best first, in pixels of the whole picture."""
        # the pyramid of MTCNN begins at 12 / min_face of the shorter side
        if min(small.shape[:2]) < self.settings.min_face:
            return []
        with torch.inference_mode():
            boxes, probabilities, landmarks = self.mtcnn.detect(small, landmarks=True)
        if boxes is None:
            return []
        faces = [
            Face(np.asarray(box, np.float64) / scale, float(sure), np.asarray(points, np.float64) / scale)
            for box, sure, points in zip(boxes, probabilities, landmarks, strict=True)
            if sure >= self.settings.probability
        ]
        return sorted(faces, key=lambda face: -face.probability)
