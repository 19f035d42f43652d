"""The faces of the utterances of media files: each file is decoded once for all its utterances.

A file that cannot be read, or an utterance without a face, is a row with its reason and never an error.
"""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import polars as pl

from pipeline.core import absence, media
from pipeline.core.beside import prefetched
from pipeline.encoders.alignment import align, middle_patch
from pipeline.extraction.detection import Detector, Face
from pipeline.extraction.looking import Seen, View, in_parts, seen, unlooked
from pipeline.extraction.speaking import choose
from pipeline.extraction.tracking import Crop, Track, Tracker
from pipeline.settings.faces import FacesSettings
from pipeline.settings.media import MediaSettings

log = logging.getLogger("pipeline")

AHEAD = 4  # parts that a thread which decodes is ahead of the one that looks

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


class Following:
    """The utterances of one file on their way from pictures to faces."""

    def __init__(self, rows: list[dict[str, Any]], sound: np.ndarray | None, settings: FacesSettings) -> None:
        self.rows, self.sound = rows, sound
        self.watches = {
            which: Watch(row, settings, Tracker(settings.overlap, settings.patience))
            for which, row in enumerate(rows)
        }
        self.corners = [np.zeros(2) for _ in rows]

    def take(self, part: Sequence[Seen]) -> Iterator[Found]:
        """Follow the faces through pictures in which they have been looked for; gives what has ended."""
        for look, view, corner in part:
            watch = self.watches[look.which]
            if view is None or corner is None:
                watch.corrupt += look.looked_for
            else:
                self.corners[look.which] = corner
                watch.look(view)
                if look.looked_for:
                    watch.detect(view, view.faces or [])
            if look.last:
                yield conclude(self.watches.pop(look.which), self.sound, self.corners[look.which])

    def rest(self) -> Iterator[Found]:
        """The utterances that the file did not reach the end of."""
        for which in sorted(self.watches, key=lambda which: (self.rows[which]["end"], which)):
            yield conclude(self.watches[which], self.sound, self.corners[which])


@runtime_checkable
class Desk(Protocol):
    """Where faces are looked for; parts of a file are handed in and come back in that order."""

    detections: int  # pictures of a part in which faces are looked for, at most
    ahead: int  # parts that are decoded before the first of them is followed
    beside: bool  # whether a thread of its own decodes, while this one looks and follows

    def hand_in(self, views: list[View]) -> None:
        """Have faces looked for in the pictures of the file's next part."""

    def fetch(self) -> None:
        """Wait until the oldest part that was handed in has its faces."""


class OneByOne:
    """Looks for faces at once and in one picture at a time, which is the fastest way on a CPU."""

    detections, ahead, beside = 1, 0, False

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    def hand_in(self, views: list[View]) -> None:
        for view in views:
            view.faces = self.detector(view.small, view.scale)

    def fetch(self) -> None:
        pass


def of_file(
    rows: list[dict[str, Any]],
    sound: np.ndarray | None,
    detector: Detector,
    most: float = media.MOST,
    desk: Desk | None = None,
) -> Iterator[Found]:
    """The faces of all utterances of one media file, in order of their ends.

    sound: as from `sound_of`; most: MB of a picture; desk: where faces are looked for, here if it is left
    out. Raises media.MediaAbsence before the first if the file gives no picture.
    """
    desk = desk or OneByOne(detector)
    following = Following(rows, sound, detector.settings)
    parts = in_parts(seen(rows, detector.settings, detector.reduced, most), desk.detections)
    if desk.beside:
        parts = prefetched(parts, AHEAD)
    waiting: deque[list[Seen]] = deque()
    lack: media.MediaAbsence | None = None
    while True:
        try:
            part = next(parts, None)
        except media.MediaAbsence as error:
            part, lack = None, error
        if part is not None:
            desk.hand_in(unlooked(part))
            waiting.append(part)
        while waiting and (part is None or len(waiting) > desk.ahead):
            desk.fetch()
            yield from following.take(waiting.popleft())
        if part is None:
            break
    if lack is not None:
        raise lack
    yield from following.rest()


class FileFaces(NamedTuple):
    """What is known of the faces of one media file."""

    utterances: list[dict[str, Any]]
    boxes: list[dict[str, Any]]  # rows of CROPS
    crops: list[np.ndarray]  # uint8 (size, size, 3), one a row


def of_rows(
    rows: list[dict[str, Any]], detector: Detector, reading: MediaSettings, desk: Desk | None = None
) -> FileFaces:
    """The faces of one media file; one that cannot be read is absences."""
    utterances: dict[str, dict] = {}
    boxes: list[dict] = []
    crops: list[np.ndarray] = []
    try:
        sound = sound_of(Path(rows[0]["media"]), detector.settings, reading)
        for found in of_file(rows, sound, detector, reading.megabytes, desk):
            utterances[found.facts["utterance"]] = found.facts
            boxes += found.rows
            crops += found.crops
    except media.MediaAbsence as lack:
        log.info("%s", lack)
        for row in rows:
            utterances.setdefault(row["utterance"], absent(row, lack.reason))
    return FileFaces(list(utterances.values()), boxes, crops)
