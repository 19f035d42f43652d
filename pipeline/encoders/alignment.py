"""Where a face stands in a crop: a similarity transform from five landmarks to fixed places.

The crop holds the whole face with some forehead and chin, as the face encoders were trained to see it.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

# left eye, right eye, nose, left and right corner of the mouth (as seen), as shares of the crop's side
CANONICAL = np.array(
    [(0.335, 0.385), (0.665, 0.385), (0.5, 0.565), (0.365, 0.735), (0.635, 0.735)], dtype=np.float64
)


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The least-squares similarity (rotation, one scale, shift) from source to target points.

    source, target: float (points, 2). Returns float64 (2, 3), so that target = matrix @ (x, y, 1).
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    centre, aim = source.mean(0), target.mean(0)
    # a similarity of the plane is one complex factor: target = factor * source
    z = (source - centre) @ np.array([1, 1j])
    w = (target - aim) @ np.array([1, 1j])
    spread = float(np.sum(np.abs(z) ** 2))
    factor = np.sum(np.conj(z) * w) / spread if spread > 0 else 1.0 + 0j
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([turn, aim - turn @ centre])


def align(picture: np.ndarray, landmarks: np.ndarray, size: int) -> np.ndarray:
    """The aligned crop of one face: uint8 (size, size, 3).

    picture: uint8 (height, width, 3); landmarks: float (5, 2) in pixels, in the order of CANONICAL.
    Places outside the picture repeat its border.
    """
    matrix = similarity(landmarks, CANONICAL * size)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.4:
        # averaging first keeps a large face from being sampled with holes
        times = min(math.ceil(0.5 / scale), *picture.shape[:2])
        near, corner = _surroundings(picture.shape, matrix, size, times)
        shrunk = cv2.resize(picture[near], None, fx=1 / times, fy=1 / times, interpolation=cv2.INTER_AREA)
        # pixel centres: x' + .5 = (x + .5) / times
        picture, landmarks = shrunk, (np.asarray(landmarks) - corner + 0.5) / times - 0.5
        matrix = similarity(landmarks, CANONICAL * size)
    return cv2.warpAffine(
        picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _surroundings(
    shape: Sequence[int], matrix: np.ndarray, size: int, times: int
) -> tuple[tuple[slice, slice], np.ndarray]:
    """The part of a picture (rows, columns) that a crop is sampled from, in whole squares of `times` pixels.

    matrix: from the picture to the crop, as of `similarity`. Also gives the part's corner (x, y) in pixels.
    """
    corners = np.array([(0, 0), (size, 0), (0, size), (size, size)]) - matrix[:, 2]
    places = corners @ np.linalg.inv(matrix[:, :2]).T
    squares = np.array(shape[1::-1]) // times
    first = np.floor(places.min(0) / times - 2).clip(0, squares - 1).astype(int)
    last = np.ceil(places.max(0) / times + 2).clip(first + 1, squares).astype(int)
    (left, top), (right, bottom) = first * times, last * times
    return (slice(top, bottom), slice(left, right)), first * times


def middle_patch(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The middle of an aligned face from below the eyes to the lower lip: uint8 (34, 28), grey.

    Arguments as for `align`. NOSE and MOUTH are its upper and lower part.
    """
    face = align(picture, landmarks, 64)
    return cv2.GaussianBlur(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), (3, 3), 0)[22:56, 18:46]


NOSE = (slice(None), slice(0, 16), slice(None))
MOUTH = (slice(None), slice(18, 34), slice(2, 26))
