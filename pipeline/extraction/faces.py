"""The faces of the utterances of media files: each file is decoded once for all its utterances.

A file that cannot be read, or an utterance without a face, is a row with its reason and never an error.
"""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import polars as pl
import torch

from pipeline.core import absence, media
from pipeline.core.beside import prefetched
from pipeline.core.registries.choices import LARGEST
from pipeline.extraction.casting import Casting, casting
from pipeline.extraction.choosing import choose
from pipeline.extraction.detection import Detector, Face
from pipeline.extraction.looking import Seen, View, in_parts, seen, unlooked
from pipeline.extraction.people import Person, apart
from pipeline.extraction.tracking import Track, Tracker
from pipeline.extraction.watching import Watch
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


def absent(row: dict[str, Any], reason: str, **found: Any) -> dict[str, Any]:
    """The utterance row of a missing face."""
    nothing: dict[str, Any] = dict.fromkeys(("frames", "found", "cuts", "faces", "people", "crops"), 0)
    nothing |= {"track": None, "score": None}
    return nothing | found | {"utterance": row["utterance"], "reason": reason}


class Found(NamedTuple):
    """What is known of one utterance's face."""

    facts: dict[str, Any]  # a row of UTTERANCES
    rows: list[dict[str, Any]]  # rows of CROPS
    crops: list[np.ndarray]  # uint8 (size, size, 3), one a row
    path: list[dict[str, Any]]  # every detection of the chosen face, as rows of CROPS


def followed(name: str, person: Person, corner: np.ndarray) -> list[dict[str, Any]]:
    """All detections of one person as rows of CROPS."""
    return [
        _crop_row(name, time, face, track, corner)
        for track in person.tracks
        for time, face in zip(track.times, track.faces, strict=True)
    ]


def _crop_row(name: str, time: float, face: Face, track: Track, corner: np.ndarray) -> dict[str, Any]:
    x0, y0, x1, y1 = face.box + np.tile(corner, 2)
    place = {"utterance": name, "time": time, "x0": x0, "y0": y0, "x1": x1, "y1": y1}
    return place | {"probability": face.probability, "track": track.number}


def conclude(watch: Watch, sound: np.ndarray | None, corner: np.ndarray, cast: Casting) -> Found:
    """Choose the speaker among the people of an utterance."""
    watch.finish()
    row, settings = watch.row, watch.settings
    tracks = watch.tracker.tracks
    counts = {"frames": watch.sampled, "found": watch.found, "cuts": watch.shots.cuts, "faces": len(tracks)}
    if watch.sampled == 0 and watch.corrupt:
        return Found(absent(row, absence.UNDECODABLE), [], [], [])
    if watch.sampled == 0:
        return Found(absent(row, absence.OUT_OF_RANGE), [], [], [])
    if not tracks:
        return Found(absent(row, absence.NO_FACE, **counts), [], [], [])
    people = cast.link(tracks) if cast.link and watch.shots.cuts and len(tracks) > 1 else apart(tracks)
    counts["people"] = len(people)
    chosen, score = choose(people, sound, row["start"], row["end"], settings, cast.judge)
    if chosen is None:
        return Found(absent(row, absence.NO_SPEAKING_FACE, score=score, **counts), [], [], [])
    kept, name = chosen.kept(settings.max_crops), row["utterance"]
    rows = [_crop_row(name, crop.time, crop.face, track, corner) for track, crop in kept]
    facts = {"utterance": name, "track": chosen.number, "score": score, "reason": None}
    facts |= counts | {"crops": len(kept)}
    return Found(facts, rows, [crop.pixels for _, crop in kept], followed(name, chosen, corner))


def sound_of(path: Path, settings: FacesSettings, reading: MediaSettings) -> np.ndarray | None:
    """The sound that a speaker is chosen by; None if the settings do not ask for it or the file has none."""
    if settings.choice == LARGEST:
        return None
    try:
        return media.hear(path, track=reading.track, most=reading.megabytes).samples
    except media.MediaAbsence as lack:
        log.info("%s: no sound to choose a speaker by (%s)", path, lack.reason)
        return None


class Following:
    """The utterances of one file on their way from pictures to faces."""

    def __init__(
        self,
        rows: list[dict[str, Any]],
        sound: np.ndarray | None,
        settings: FacesSettings,
        cast: Casting,
    ) -> None:
        self.rows, self.sound, self.cast = rows, sound, cast
        self.watches = {
            which: Watch(row, settings, Tracker(settings.overlap, settings.patience), cast.judge)
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
                watch = self.watches.pop(look.which)
                yield conclude(watch, self.sound, self.corners[look.which], self.cast)

    def rest(self) -> Iterator[Found]:
        """The utterances that the file did not reach the end of."""
        for which in sorted(self.watches, key=lambda which: (self.rows[which]["end"], which)):
            yield conclude(self.watches[which], self.sound, self.corners[which], self.cast)


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
    cast: Casting | None = None,
) -> Iterator[Found]:
    """The faces of all utterances of one media file, in order of their ends.

    sound: as from `sound_of`; most: MB of a picture; desk: where faces are looked for, here if it is left
    out; cast: who is who and who speaks, by the settings alone if it is left out. Raises media.MediaAbsence
    before the first if the file gives no picture.
    """
    desk = desk or OneByOne(detector)
    cast = cast or casting(detector.settings, torch.device("cpu"))
    following = Following(rows, sound, detector.settings, cast)
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
    rows: list[dict[str, Any]],
    detector: Detector,
    reading: MediaSettings,
    desk: Desk | None = None,
    cast: Casting | None = None,
) -> FileFaces:
    """The faces of one media file; one that cannot be read is absences."""
    utterances: dict[str, dict] = {}
    boxes: list[dict] = []
    crops: list[np.ndarray] = []
    try:
        sound = sound_of(Path(rows[0]["media"]), detector.settings, reading)
        for found in of_file(rows, sound, detector, reading.megabytes, desk, cast):
            utterances[found.facts["utterance"]] = found.facts
            boxes += found.rows
            crops += found.crops
    except media.MediaAbsence as lack:
        log.info("%s", lack)
        for row in rows:
            utterances.setdefault(row["utterance"], absent(row, lack.reason))
    return FileFaces(list(utterances.values()), boxes, crops)
