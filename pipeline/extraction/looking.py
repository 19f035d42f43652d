"""The pictures of a media file in which faces are looked for or followed, as detection sees them."""

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.core import media
from pipeline.core.registries.choices import LARGEST
from pipeline.extraction.cuts import palette
from pipeline.extraction.detection import Face
from pipeline.settings.faces import FacesSettings

MOST_LOOKS = 10**12  # whatever end a table gives an utterance
MOST_VIEWS = 48  # pictures that a part holds at most

Reduce = Callable[[np.ndarray], tuple[np.ndarray, float]]


@dataclass
class View:
    """One decoded picture as the detector sees it; `faces` once they have been looked for.

    `time` is when it begins to be shown, `middle` half-way to the next one; `reduced` makes the picture as
    detection sees it, and its scale, once and only where it is asked for.
    """

    time: float
    middle: float
    picture: np.ndarray
    reduced: Reduce
    faces: list[Face] | None = None

    @cached_property
    def _reduced(self) -> tuple[np.ndarray, float]:
        return self.reduced(self.picture)

    @cached_property
    def palette(self) -> np.ndarray:
        """By what a cut is told (`cuts.palette`)."""
        return palette(self.picture)

    @property
    def small(self) -> np.ndarray:
        """uint8 RGB (h, w, 3), as detection sees it."""
        return self._reduced[0]

    @property
    def scale(self) -> float:
        """Its size relative to the whole picture."""
        return self._reduced[1]


class Look(NamedTuple):
    """One time at which an utterance is looked at; in order of the times."""

    time: float  # s
    which: int  # the utterance
    looked_for: bool  # whether faces are
    last: bool  # whether it is the utterance's last


class Seen(NamedTuple):
    """What a look finds: a picture and the upper left corner (px) of what is looked at, or no picture."""

    look: Look
    view: View | None  # None where the decoder marks the picture as corrupt
    corner: np.ndarray | None


def sample_times(start: float, end: float, settings: FacesSettings) -> Iterator[tuple[float, bool]]:
    """The times (s) at which an utterance is looked at, and whether faces are looked for there."""
    every = 1 if settings.choice == LARGEST else max(1, round(settings.motion_rate / settings.rate))
    step = 1 / (settings.rate * every)
    start = max(0.0, start)
    # a table may end an utterance at 1e300 s; the file ends before so many looks
    end = min(end, start + MOST_LOOKS * step)
    count = max(1, round((end - start) / step))
    step = (end - start) / count
    middle = min(every // 2, count // 2)
    for k in range(count):
        yield start + (k + 0.5) * step, k % every == middle


def looks(which: int, row: dict[str, Any], settings: FacesSettings) -> Iterator[Look]:
    """The looks at one utterance, made as they are needed."""
    times = sample_times(row["start"], row["end"], settings)
    time, looked_for = next(times)
    for later in times:
        yield Look(time, which, looked_for, last=False)
        time, looked_for = later
    yield Look(time, which, looked_for, last=True)


def _region(picture: np.ndarray, crop: list[float] | None) -> tuple[np.ndarray, np.ndarray]:
    """The part of the picture that is looked at, and its upper left corner in pixels."""
    if crop is None:
        return picture, np.zeros(2)
    height, width = picture.shape[:2]
    x0, x1 = round(crop[0] * width), round(crop[2] * width)
    y0, y1 = round(crop[1] * height), round(crop[3] * height)
    return picture[y0:y1, x0:x1], np.array([x0, y0], np.float64)


def seen(rows: list[dict[str, Any]], settings: FacesSettings, reduced: Reduce, most: float) -> Iterator[Seen]:
    """All that is looked at in one file for its utterances, in order of the times, until the file ends.

    reduced: makes a picture as detection sees it, and its scale; most: MB of a picture. Raises
    media.MediaAbsence as `media.frames`.
    """
    asked: deque[Look] = deque()

    def times() -> Iterator[float]:
        # lazily, so that an end that a table puts hours behind the file costs nothing
        for look in heapq.merge(*(looks(which, row, settings) for which, row in enumerate(rows))):
            asked.append(look)
            yield look.time

    views: dict[tuple, tuple[View, np.ndarray]] = {}
    for frame in media.frames(Path(rows[0]["media"]), times(), most=most):
        if frame is None:
            return  # the file has ended
        look = asked.popleft()
        if not isinstance(frame, media.Frame):
            yield Seen(look, None, None)
            continue
        crop = rows[look.which]["crop"]
        key = frame.time, tuple(crop) if crop is not None else None
        if key not in views:
            picture, corner = _region(frame.picture, crop)
            view = View(frame.time, (frame.time + frame.until) / 2, picture, reduced)
            # overlapping utterances share pictures; older ones are not asked for again
            views = {other: old for other, old in views.items() if other[0] == frame.time}
            views[key] = view, corner
        if look.looked_for:
            _ = views[key][0].small  # made here, by the thread that decodes
        yield Seen(look, *views[key])


def in_parts(found: Iterator[Seen], detections: int) -> Iterator[list[Seen]]:
    """Consecutive pictures, of which faces are looked for in at most `detections`.

    Raises media.MediaAbsence as `found` does, after what came before it.
    """
    part: list[Seen] = []
    wanted = 0
    try:
        for item in found:
            part.append(item)
            wanted += item.look.looked_for
            if wanted >= detections or len(part) >= MOST_VIEWS:
                yield part
                part, wanted = [], 0
    except media.MediaAbsence:
        if part:
            yield part
        raise
    if part:
        yield part


def unlooked(part: list[Seen]) -> list[View]:
    """The pictures of a part in which faces are still to be looked for, each once."""
    wanted = (item.view for item in part if item.look.looked_for)
    return list({id(view): view for view in wanted if view is not None and view.faces is None}.values())
