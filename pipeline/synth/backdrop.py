"""The room behind a person: a soft gradient with a few blurred shapes and a little grain."""

import cv2
import numpy as np


def room(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """A background (height, width, 3) float32 in 0..255."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    base = (rng.uniform(90, 190) + rng.uniform(-22, 22, 3)).astype(np.float32) * 0.75 + 35
    side = float(rng.choice([-1, 1]))
    falloff = 1.08 - 0.25 * (rows / height) + 0.12 * side * (columns / width - 0.5)
    picture: np.ndarray = np.ascontiguousarray(base * falloff[..., None], np.float32)
    for _ in range(4):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, max(1, int(height * 0.8))))
        across = int(rng.integers(max(1, width // 10), max(2, width // 3)))
        down = int(rng.integers(max(1, height // 8), max(2, height // 2)))
        colour = base * (rng.uniform(0.65, 1.2) + rng.uniform(-0.12, 0.12, 3))
        cv2.rectangle(picture, (x, y), (x + across, y + down), tuple(float(c) for c in colour), -1)
    picture = cv2.GaussianBlur(picture, (0, 0), width / 90.0)
    grain = cv2.GaussianBlur(rng.standard_normal((height, width, 3)).astype(np.float32), (0, 0), 1.0)
    return picture + 2 * grain
