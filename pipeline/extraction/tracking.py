"""Faces followed over an utterance: boxes that overlap from one sampled picture to the next."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from pipeline.extraction.detection import Face


@dataclass(frozen=True)
class Crop:
    """An aligned crop and the detection it was cut from; pixels: uint8 (size, size, 3)."""

    time: float
    face: Face
    pixels: np.ndarray


@dataclass
class Track:
    """One face over time.

    `patches` holds what the judge of speakers sees of every picture looked at (uint8, grey), `patch_times`
    (s) the middle of the time for which it is shown. `crops` is thinned evenly, so that a long utterance
    needs no more memory.
    """

    number: int
    times: list[float] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)
    crops: list[Crop] = field(default_factory=list)
    patch_times: list[float] = field(default_factory=list)
    patches: list[np.ndarray] = field(default_factory=list)
    stride: int = 1

    def add_crop(self, crop: Crop, position: int, most: int) -> None:
        """Keep every `stride`-th crop; when there are twice `most`, drop every second one."""
        if position % self.stride:
            return
        self.crops.append(crop)
        if len(self.crops) > 2 * most:
            self.crops = self.crops[::2]
            self.stride *= 2

    def kept(self, most: int) -> list[Crop]:
        """At most `most` of the crops, evenly spaced."""
        if len(self.crops) <= most:
            return self.crops
        places = (np.arange(most) + 0.5) * len(self.crops) / most
        return [self.crops[int(place)] for place in places]

    def area(self) -> float:
        """Median box area (px^2) times the share of its life: what `largest` compares."""
        boxes = np.stack([face.box for face in self.faces])
        sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
        return float(np.median(sides.prod(1)) * len(self.faces))


def iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of float boxes (n, 4) and (m, 4): float (n, m), 0 for empty boxes."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(-1) for boxes in (one, other)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


class Tracker:
    """Assigns each detection to the track whose last box it overlaps most (optimal over a picture)."""

    def __init__(self, overlap: float, patience: float) -> None:
        self.overlap, self.patience = overlap, patience
        self.tracks: list[Track] = []
        self.ended = 0  # tracks of former shots, the first in `tracks`

    def cut(self) -> None:
        """End all tracks: the next picture is of another shot."""
        self.ended = len(self.tracks)

    def of_shot(self) -> list[Track]:
        """The tracks that began after the last cut."""
        return self.tracks[self.ended :]

    def add(self, time: float, faces: Sequence[Face]) -> list[tuple[Track, Face]]:
        """Take the detections of the picture at `time`; returns each with its track."""
        live = [track for track in self.of_shot() if time - track.times[-1] <= self.patience + 1e-9]
        taken: dict[int, Track] = {}
        if live and faces:
            last = np.stack([track.faces[-1].box for track in live])
            overlaps = iou(last, np.stack([face.box for face in faces]))
            for row, column in zip(*linear_sum_assignment(-overlaps), strict=True):
                if overlaps[row, column] >= self.overlap:
                    taken[int(column)] = live[row]
        pairs = []
        for column, face in enumerate(faces):
            track = taken.get(column)
            if track is None:
                track = Track(number=len(self.tracks))
                self.tracks.append(track)
            track.times.append(time)
            track.faces.append(face)
            pairs.append((track, face))
        return pairs
