"""MTCNN as a detector of faces (facenet-pytorch, weights from its wheel)."""

import numpy as np
import torch
from facenet_pytorch import MTCNN

from pipeline.extraction import pyramid
from pipeline.extraction.detection import Detector, Face
from pipeline.settings.faces import FacesSettings


class MtcnnDetector(Detector):
    """MTCNN behind one method; on a GPU it looks at many pictures together."""

    def __init__(self, settings: FacesSettings, device: torch.device) -> None:
        super().__init__(settings)
        self.device, self.batches = device, device.type == "cuda"
        mtcnn = MTCNN(keep_all=True, min_face_size=settings.min_face, device=device).eval()
        # on a CPU the small convolutions and poolings of MTCNN take two thirds of the time in this layout
        self.mtcnn = mtcnn.to(memory_format=torch.channels_last)

    def find(self, small: np.ndarray) -> list[Face]:
        """The faces of a picture of at least `min_face` pixels on either side."""
        if not self._large_enough(small.shape):
            return []
        with torch.inference_mode():
            boxes, probabilities, landmarks = self.mtcnn.detect(small, landmarks=True)
        if boxes is None:
            return []
        return _faces(boxes, probabilities, landmarks)

    def find_all(self, pictures: np.ndarray) -> list[list[Face]]:
        """As `find`; boxes agree with it but for rounding."""
        if not self._large_enough(pictures.shape[1:]):
            return [[] for _ in pictures]
        held = torch.from_numpy(pictures)
        if self.batches:
            held = held.pin_memory().to(self.device, non_blocking=True)
        found = pyramid.detect(self.mtcnn, held)
        return [_faces(boxes[:, :4], boxes[:, 4], landmarks) for boxes, landmarks in found]

    def _large_enough(self, shape: tuple[int, ...]) -> bool:
        # the pyramid of MTCNN begins at 12 / min_face of the shorter side
        return min(shape[:2]) >= self.settings.min_face


def _faces(boxes: np.ndarray, probabilities: np.ndarray, landmarks: np.ndarray) -> list[Face]:
    return [
        Face(np.asarray(box, np.float64), float(sure), np.asarray(points, np.float64))
        for box, sure, points in zip(boxes, probabilities, landmarks, strict=True)
    ]


def load(settings: FacesSettings, device: torch.device) -> MtcnnDetector:
    """The network, ready on its device."""
    return MtcnnDetector(settings, device)
