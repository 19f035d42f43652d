"""Cuts: where one picture and the next are of different shots.

A shot is told by where in the picture which colours are. What moves within a shot changes a part of it; a cut
changes nearly all.
"""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

ROWS, COLUMNS = 4, 4  # parts of a picture, each with its own histograms
HEIGHT, WIDTH = 16, 24  # pixels that are read of a part
LEVELS = 8  # steps of each colour


def palette(picture: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "parts levels"]:
    """How often each level of red, green and blue occurs in each part of a picture: shares of its pixels.

    Some 6,000 pixels are read, however large the picture is (docs/speed.md says what it costs).
    """
    small = cv2.resize(picture, (COLUMNS * WIDTH, ROWS * HEIGHT), interpolation=cv2.INTER_NEAREST)
    steps = (small // (256 // LEVELS)).reshape(ROWS, HEIGHT, COLUMNS, WIDTH, 3).transpose(0, 2, 4, 1, 3)
    steps = steps.reshape(ROWS * COLUMNS * 3, HEIGHT * WIDTH).astype(np.int64)
    places = steps + LEVELS * np.arange(len(steps))[:, None]
    counts = np.bincount(places.ravel(), minlength=LEVELS * len(steps)).reshape(len(steps), LEVELS)
    return counts / steps.shape[1]


def change(one: Float[np.ndarray, "parts levels"], other: Float[np.ndarray, "parts levels"]) -> float:
    """The share of the pixels whose colours differ between two palettes: 0 (the same) to 1."""
    return float(0.5 * np.abs(one - other).sum(1).mean())


class Shots:
    """Told of pictures in their order, says which of them begin a new shot.

    A cut changes at least the share `least` of the pixels, and twice as much as the step before it did, for
    the steps of a camera that turns quickly are all large. `least` of 1: there are no cuts.
    """

    def __init__(self, least: float) -> None:
        self.least = least
        self.last: np.ndarray | None = None  # palette of the last picture
        self.former = 0.0  # the change from the picture before it
        self.cuts = 0

    def begins(self, colours: Float[np.ndarray, "parts levels"]) -> bool:
        """Whether the picture with this `palette` is the first after a cut."""
        if self.last is None:
            self.last = colours
            return False
        changed = change(self.last, colours)
        cut = self.least < 1 and changed >= self.least and changed >= 2 * self.former
        self.last, self.former = colours, 0.0 if cut else changed
        self.cuts += cut
        return cut
