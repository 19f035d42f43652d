"""The faces of the utterances of media files: each file is decoded once for all its utterances.

A file that cannot be read, or an utterance without a face, is a row with its reason and never an error.
"""

import heapq
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from pipeline.core import absence, media
from pipeline.encoders.alignment import align, middle_patch
from pipeline.extraction.detection import Detector, Face
from pipeline.extraction.speaking import choose
from pipeline.extraction.tracking import Crop, Track, Tracker
from pipeline.settings.faces import FacesSettings
from pipeline.settings.media import MediaSettings

log = logging.getLogger("pipeline")


MOST_LOOKS = 10**12  # whatever end a table gives an utterance

CROPS = {
    "utterance": pl.String,
    "time": pl.Float64,
    "x0": pl.Float32,
    "y0": pl.Float32,
    "x1": pl.Float32,
    "y1": pl.Float32,
    "probability": pl.Float32,
    "track": pl.Int32,
}


@dataclass
class View:
    """One decoded picture as the detector sees it; `faces` once they have been looked for.

    `time` is when it begins to be shown, `middle` half-way to the next one.
    """

    time: float
    middle: float
    picture: np.ndarray
    small: np.ndarray
    scale: float
    faces: list[Face] | None = None


@dataclass
class Watch:
    """One utterance being followed through its file."""

    row: dict[str, Any]
    settings: FacesSettings
    tracker: Tracker
    waiting: list[View] = field(default_factory=list)
    sampled: int = 0
    found: int = 0
    corrupt: int = 0  # pictures that the decoder marks so, where faces were to be looked for
    detected: float | None = None  # time of the last picture in which faces were looked for

    def look(self, view: View) -> None:
        """Keep a picture until the next detection tells where the mouths are in it."""
        if not self.waiting or self.waiting[-1].time < view.time:
            self.waiting.append(view)

    def detect(self, view: View, faces: list[Face]) -> None:
        """Continue the tracks, cut crops, and read the mouths in the pictures that wait.

        A picture counts once, for a film slower than the looks shows it at several of them.
        """
        if view.time == self.detected:
            return
        self.detected = view.time
        self.sampled += 1
        self.found += bool(faces)
        for track, face in self.tracker.add(view.time, faces):
            crop = Crop(view.time, face, align(view.picture, face.landmarks, self.settings.crop_size))
            track.add_crop(crop, len(track.faces) - 1, self.settings.max_crops)
            for waiting in self.waiting:
                self._read_patch(track, waiting)
        self.waiting = [self.waiting[-1]] if self.waiting else []

    def _read_patch(self, track: Track, view: View) -> None:
        """Add the mouth of `track` in a picture between its last two detections."""
        already = track.patch_times and view.middle <= track.patch_times[-1]
        begins = track.times[-2] if len(track.times) > 1 else track.times[-1]
        if already or view.time < begins:
            return
        newer, older = track.faces[-1], track.faces[-2 if len(track.faces) > 1 else -1]
        gap = track.times[-1] - begins
        share = float(np.clip((view.time - begins) / gap, 0, 1)) if gap > 0 else 1.0
        landmarks = (1 - share) * older.landmarks + share * newer.landmarks
        track.patch_times.append(view.middle)
        track.patches.append(middle_patch(view.small, landmarks * view.scale))

    def finish(self) -> None:
        """Read the mouths after the last detection, where they were last seen."""
        for track in self.tracker.tracks:
            if self.waiting and track.times[-1] >= self.waiting[0].time - 1 / self.settings.rate:
                for waiting in self.waiting:
                    self._read_patch(track, waiting)
        self.waiting = []


def sample_times(start: float, end: float, settings: FacesSettings) -> Iterator[tuple[float, bool]]:
    """The times (s) at which an utterance is looked at, and whether faces are looked for there."""
    every = 1 if settings.choice == "largest" else max(1, round(settings.motion_rate / settings.rate))
    step = 1 / (settings.rate * every)
    start = max(0.0, start)
    # a table may end an utterance at 1e300 s; the file ends before so many looks
    end = min(end, start + MOST_LOOKS * step)
    count = max(1, round((end - start) / step))
    step = (end - start) / count
    middle = min(every // 2, count // 2)
    for k in range(count):
        yield start + (k + 0.5) * step, k % every == middle


def _region(picture: np.ndarray, crop: list[float] | None) -> tuple[np.ndarray, np.ndarray]:
    """The part of the picture that is looked at, and its upper left corner in pixels."""
    if crop is None:
        return picture, np.zeros(2)
    height, width = picture.shape[:2]
    x0, x1 = round(crop[0] * width), round(crop[2] * width)
    y0, y1 = round(crop[1] * height), round(crop[3] * height)
    return picture[y0:y1, x0:x1], np.array([x0, y0], np.float64)


def absent(row: dict[str, Any], reason: str, **found: Any) -> dict[str, Any]:
    """The utterance row of a missing face."""
    nothing = {"frames": 0, "found": 0, "faces": 0, "track": None, "score": None, "crops": 0}
    return nothing | found | {"utterance": row["utterance"], "reason": reason}


class Found(NamedTuple):
    """What is known of one utterance's face."""

    facts: dict[str, Any]  # a row of UTTERANCES
    rows: list[dict[str, Any]]  # rows of CROPS
    crops: list[np.ndarray]  # uint8 (size, size, 3), one a row
    path: list[dict[str, Any]]  # every detection of the chosen face, as rows of CROPS


def followed(name: str, track: Track, corner: np.ndarray) -> list[dict[str, Any]]:
    """All detections of one track as rows of CROPS."""
    return [
        _crop_row(name, time, face, track, corner)
        for time, face in zip(track.times, track.faces, strict=True)
    ]


def _crop_row(name: str, time: float, face: Face, track: Track, corner: np.ndarray) -> dict[str, Any]:
    x0, y0, x1, y1 = face.box + np.tile(corner, 2)
    place = {"utterance": name, "time": time, "x0": x0, "y0": y0, "x1": x1, "y1": y1}
    return place | {"probability": face.probability, "track": track.number}


def conclude(watch: Watch, sound: np.ndarray | None, corner: np.ndarray) -> Found:
    """Choose the speaker's face."""
    watch.finish()
    row, settings = watch.row, watch.settings
    tracks = watch.tracker.tracks
    counts = {"frames": watch.sampled, "found": watch.found, "faces": len(tracks)}
    if watch.sampled == 0 and watch.corrupt:
        return Found(absent(row, absence.UNDECODABLE), [], [], [])
    if watch.sampled == 0:
        return Found(absent(row, absence.OUT_OF_RANGE), [], [], [])
    if not tracks:
        return Found(absent(row, absence.NO_FACE, **counts), [], [], [])
    chosen, score = choose(tracks, sound, row["start"], row["end"], settings)
    if chosen is None:
        return Found(absent(row, absence.NO_SPEAKING_FACE, score=score, **counts), [], [], [])
    kept, name = chosen.kept(settings.max_crops), row["utterance"]
    rows = [_crop_row(name, crop.time, crop.face, chosen, corner) for crop in kept]
    facts = {"utterance": name, "track": chosen.number, "score": score, "reason": None}
    facts |= counts | {"crops": len(kept)}
    return Found(facts, rows, [crop.pixels for crop in kept], followed(name, chosen, corner))


def sound_of(path: Path, settings: FacesSettings, reading: MediaSettings) -> np.ndarray | None:
    """The sound that a speaker is chosen by; None if the settings do not ask for it or the file has none."""
    if settings.choice != "mouth_motion":
        return None
    try:
        return media.hear(path, track=reading.track, most=reading.megabytes).samples
    except media.MediaAbsence as lack:
        log.info("%s: no sound to choose a speaker by (%s)", path, lack.reason)
        return None


class Look(NamedTuple):
    """One time at which an utterance is looked at; in order of the times."""

    time: float  # s
    which: int  # the utterance
    looked_for: bool  # whether faces are
    last: bool  # whether it is the utterance's last


def looks(which: int, row: dict[str, Any], settings: FacesSettings) -> Iterator[Look]:
    """The looks at one utterance, made as they are needed."""
    times = sample_times(row["start"], row["end"], settings)
    time, looked_for = next(times)
    for later in times:
        yield Look(time, which, looked_for, last=False)
        time, looked_for = later
    yield Look(time, which, looked_for, last=True)


def of_file(
    rows: list[dict[str, Any]], sound: np.ndarray | None, detector: Detector, most: float = media.MOST
) -> Iterator[Found]:
    """The faces of all utterances of one media file, in order of their ends.

    sound: as from `sound_of`; most: MB of a picture. Raises media.MediaAbsence before the first if the file
    gives no picture.
    """
    settings = detector.settings
    path = Path(rows[0]["media"])
    watches = {
        which: Watch(row, settings, Tracker(settings.overlap, settings.patience))
        for which, row in enumerate(rows)
    }
    corners = [np.zeros(2) for _ in rows]
    asked: deque[Look] = deque()

    def times() -> Iterator[float]:
        # lazily, so that an end that a table puts hours behind the file costs nothing
        for look in heapq.merge(*(looks(which, row, settings) for which, row in enumerate(rows))):
            asked.append(look)
            yield look.time

    views: dict[tuple, View] = {}
    for frame in media.frames(path, times(), most=most):
        if frame is None:
            break  # the file has ended
        look = asked.popleft()
        watch, row = watches[look.which], rows[look.which]
        if isinstance(frame, media.Frame):
            region = tuple(row["crop"]) if row["crop"] is not None else None
            view = views.get((frame.time, region))
            if view is None:
                picture, corners[look.which] = _region(frame.picture, row["crop"])
                middle = (frame.time + frame.until) / 2
                view = View(frame.time, middle, picture, *detector.reduced(picture))
                # overlapping utterances share pictures; older ones are not asked for again
                views = {key: old for key, old in views.items() if key[0] == frame.time}
                views[frame.time, region] = view
            elif region is not None:
                corners[look.which] = _region(frame.picture, row["crop"])[1]
            watch.look(view)
            if look.looked_for:
                if view.faces is None:
                    view.faces = detector(view.small, view.scale)
                watch.detect(view, view.faces)
        else:
            watch.corrupt += look.looked_for
        if look.last:
            yield conclude(watches.pop(look.which), sound, corners[look.which])
    for which in sorted(watches, key=lambda which: (rows[which]["end"], which)):
        yield conclude(watches[which], sound, corners[which])


def of_files(
    files: list[list[dict[str, Any]]], detector: Detector, reading: MediaSettings
) -> tuple[list[dict], list[dict], list[np.ndarray]]:
    """Utterance rows, crop rows and crops of several media files; a file that cannot be read is absences."""
    utterances: dict[str, dict] = {}
    boxes: list[dict] = []
    crops: list[np.ndarray] = []
    for rows in files:
        try:
            sound = sound_of(Path(rows[0]["media"]), detector.settings, reading)
            for found in of_file(rows, sound, detector, reading.megabytes):
                utterances[found.facts["utterance"]] = found.facts
                boxes += found.rows
                crops += found.crops
        except media.MediaAbsence as lack:
            log.info("%s", lack)
            for row in rows:
                utterances.setdefault(row["utterance"], absent(row, lack.reason))
    return list(utterances.values()), boxes, crops
