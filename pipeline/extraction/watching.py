"""One utterance followed through the pictures of its file: tracks, crops and patches, shot by shot."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.encoders.alignment import align
from pipeline.extraction.cuts import Shots
from pipeline.extraction.detection import Face
from pipeline.extraction.judging import Judge
from pipeline.extraction.looking import View
from pipeline.extraction.tracking import Crop, Track, Tracker
from pipeline.settings.faces import FacesSettings


@dataclass
class Watch:
    """One utterance being followed through its file."""

    row: dict[str, Any]
    settings: FacesSettings
    tracker: Tracker
    judge: Judge | None  # None: no face's patches are asked for
    waiting: list[View] = field(default_factory=list)
    sampled: int = 0
    found: int = 0
    corrupt: int = 0  # pictures that the decoder marks so, where faces were to be looked for
    detected: float | None = None  # time of the last picture in which faces were looked for
    shots: Shots = field(init=False)

    def __post_init__(self) -> None:
        self.shots = Shots(self.settings.cut)

    def look(self, view: View) -> None:
        """Keep a picture until the next detection tells where the faces are in it; a cut ends all tracks."""
        if self.waiting and self.waiting[-1].time >= view.time:
            return
        if self.settings.cut < 1 and self.shots.begins(view.palette):
            self.finish()
            self.tracker.cut()
        self.waiting.append(view)

    def detect(self, view: View, faces: list[Face]) -> None:
        """Continue the tracks, cut crops, and read the faces in the pictures that wait.

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
        """Add what the judge sees of `track` in a picture between its last two detections."""
        if self.judge is None:
            return
        already = track.patch_times and view.middle <= track.patch_times[-1]
        begins = track.times[-2] if len(track.times) > 1 else track.times[-1]
        if already or view.time < begins:
            return
        newer, older = track.faces[-1], track.faces[-2 if len(track.faces) > 1 else -1]
        gap = track.times[-1] - begins
        share = float(np.clip((view.time - begins) / gap, 0, 1)) if gap > 0 else 1.0
        box = (1 - share) * older.box + share * newer.box
        landmarks = (1 - share) * older.landmarks + share * newer.landmarks
        track.patch_times.append(view.middle)
        track.patches.append(self.judge.patch(view, Face(box, newer.probability, landmarks)))

    def finish(self) -> None:
        """Read the faces after the last detection of a shot, where they were last seen."""
        for track in self.tracker.of_shot():
            if self.waiting and track.times[-1] >= self.waiting[0].time - 1 / self.settings.rate:
                for waiting in self.waiting:
                    self._read_patch(track, waiting)
        self.waiting = []
