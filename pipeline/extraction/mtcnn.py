"""MTCNN as a detector of faces (facenet-pytorch, weights from its wheel)."""

import numpy as np
import torch
from facenet_pytorch import MTCNN

from pipeline.extraction.detection import Detector, Face
from pipeline.settings.faces import FacesSettings


class MtcnnDetector(Detector):
    """MTCNN behind one method."""

    def __init__(self, settings: FacesSettings, device: torch.device) -> None:
        super().__init__(settings)
        mtcnn = MTCNN(keep_all=True, min_face_size=settings.min_face, device=device).eval()
        # on a CPU the small convolutions and poolings of MTCNN take two thirds of the time in this layout
        self.mtcnn = mtcnn.to(memory_format=torch.channels_last)

    def find(self, small: np.ndarray) -> list[Face]:
        """The faces of a picture of at least `min_face` pixels on either side."""
        # the pyramid of MTCNN begins at 12 / min_face of the shorter side
        if min(small.shape[:2]) < self.settings.min_face:
            return []
        with torch.inference_mode():
            boxes, probabilities, landmarks = self.mtcnn.detect(small, landmarks=True)
        if boxes is None:
            return []
        return [
            Face(np.asarray(box, np.float64), float(sure), np.asarray(points, np.float64))
            for box, sure, points in zip(boxes, probabilities, landmarks, strict=True)
        ]


def load(settings: FacesSettings, device: torch.device) -> MtcnnDetector:
    """The network, ready on its device."""
    return MtcnnDetector(settings, device)
