"""What is drawn on a picture: the speaker's face box, and a band with verdict, timeline and probabilities."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import polars as pl

from models.modalities import MODALITIES
from pipeline.annotation.files import verdict

INK, DIM, GROUND, LINE = (240, 240, 240), (110, 115, 120), (24, 26, 30), (70, 74, 80)
COLOURS = (
    *((158, 164, 172), (245, 190, 65), (86, 140, 230), (226, 80, 70), (240, 130, 50)),
    *((155, 100, 205), (105, 175, 85), (230, 120, 180), (90, 190, 200), (170, 125, 90)),
)
FACE_NAMES = {"text": "words", "audio": "voice", "visual": "face"}
# a box stays for so long (s) before the first and after the last detection; further on, the face has moved
HELD = 0.15
LOST = 1.0  # a face that was not seen for longer (s) has no box in between
RANGE = 3.0  # scores are drawn from -RANGE to RANGE, those of CMU-MOSEI


def clock(seconds: float) -> str:
    """`m:ss` or `h:mm:ss`."""
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


@dataclass
class Painter:
    """Draws the annotations of one video; `width` (px) is the picture's.

    scale: its width and height against those of the file's picture.

    rows: as annotations.table gives them; boxes: as faces.CROPS, in pixels of the file's picture.
    """

    rows: list[dict[str, Any]]
    boxes: pl.DataFrame
    labels: tuple[str, ...]
    notice: str
    duration: float
    shown: float  # seconds that the timeline shows at once
    width: int
    scale: tuple[float, float]
    font: Any = field(default_factory=lambda: cv2.FontFace("sans"))

    def __post_init__(self) -> None:
        self.unit = self.width / 640
        self.starts = np.array([row["start"] for row in self.rows])
        self.latest = np.maximum.accumulate([row["end"] for row in self.rows])
        self.paths = {
            int(own["utterance"][0]): (
                own["time"].to_numpy(),
                own.select("x0", "y0", "x1", "y1").to_numpy(),
                own["track"].to_numpy(),
            )
            for own in self.boxes.partition_by("utterance", maintain_order=True)
        }

    @property
    def band(self) -> int:
        """Height of the band below the picture (px), even."""
        return 2 * round((144 if self.notice else 122) * self.unit / 2)

    def colour(self, row: dict[str, Any]) -> tuple[int, int, int]:
        """Of a label, or of a score's sign and strength."""
        if self.labels:
            return COLOURS[self.labels.index(row["label"]) % len(COLOURS)]
        strength = min(abs(row["score"]) / RANGE, 1.0)
        end = COLOURS[6] if row["score"] > 0 else COLOURS[3]
        return tuple(round((1 - strength) * a + strength * b) for a, b in zip(COLOURS[0], end, strict=True))

    def current(self, time: float) -> int | None:
        """The utterance spoken at a time: of several, the one that began last."""
        place = int(np.searchsorted(self.starts, time, side="right")) - 1
        while place >= 0 and self.latest[place] > time:
            if self.rows[place]["end"] > time:
                return place
            place -= 1
        return None

    def box_at(self, place: int, time: float) -> np.ndarray | None:
        """The face box at a time, between two detections in between: float (4,), None if there is none."""
        if place not in self.paths:
            return None
        times, boxes, tracks = self.paths[place]
        if time < times[0] - HELD or time > times[-1] + HELD:
            return None
        if time <= times[0] or time >= times[-1]:
            return boxes[0] if time <= times[0] else boxes[-1]
        after = int(np.searchsorted(times, time))
        gap = times[after] - times[after - 1]
        if tracks[after] != tracks[after - 1]:
            # of two shots: the box does not glide from one place to the other
            near = after - (time - times[after - 1] < times[after] - time)
            return boxes[near] if abs(time - times[near]) <= HELD else None
        if gap > LOST:
            return None
        share = (time - times[after - 1]) / gap
        return (1 - share) * boxes[after - 1] + share * boxes[after]

    def paint(self, picture: np.ndarray, time: float) -> np.ndarray:
        """The picture (uint8 RGB, at `width`) with what is said of `time`, the band below it."""
        height = picture.shape[0]
        canvas = np.empty((height + self.band, self.width, 3), np.uint8)
        canvas[:height] = picture
        canvas[height:] = GROUND
        place = self.current(time)
        if place is not None:
            self._face(canvas[:height], place, time)
        band = canvas[height:]
        self._verdict(band, place, time)
        self._timeline(band, time)
        self._bars(band, place)
        if self.notice:
            self._text(band, self.notice, 8, 137, DIM, 10)
        return canvas

    def _text(
        self, band: np.ndarray, text: str, x: float, y: float, colour: tuple, size: float, weight: int = 400
    ) -> float:
        """Write in units of the band; returns where the text ends."""
        at = (round(x * self.unit), round(y * self.unit))
        # without a wrap the font breaks lines at the border
        flags = cv2.PUT_TEXT_ALIGN_LEFT
        end, _ = cv2.putText(
            band, text, at, colour, self.font, max(8, round(size * self.unit)), weight, flags, (0, 100_000)
        )
        return float(end[0]) / self.unit

    def _face(self, picture: np.ndarray, place: int, time: float) -> None:
        box = self.box_at(place, time)
        if box is None:
            return
        row = self.rows[place]
        x0, y0, x1, y1 = (
            round(float(value) * scale) for value, scale in zip(box, 2 * self.scale, strict=True)
        )
        thick = max(2, round(2 * self.unit))
        cv2.rectangle(picture, (x0, y0), (x1, y1), self.colour(row), thick, cv2.LINE_AA)
        size = max(10, round(14 * self.unit))
        top = y0 - size - 6 if y0 > size + 6 else min(y1 + 2, picture.shape[0] - size - 6)
        text = verdict(row)
        end = cv2.getTextSize(picture.shape[1::-1], text, (0, 0), self.font, size, 600)[2]
        left = max(0, min(x0, picture.shape[1] - end - 8))
        cv2.rectangle(picture, (left, top), (left + end + 8, top + size + 6), self.colour(row), cv2.FILLED)
        cv2.putText(picture, text, (left + 4, top + size), (15, 15, 15), self.font, size, 600)

    def _verdict(self, band: np.ndarray, place: int | None, time: float) -> None:
        where = f"{clock(time)} / {clock(self.duration)}"
        self._text(band, where, 545, 21, DIM, 13)
        if place is None:
            self._text(band, "nobody speaks", 8, 21, DIM, 15)
            return
        row = self.rows[place]
        who = f"{row['speaker']}: " if row["speaker"] else ""
        self._text(band, f"{who}{verdict(row)}", 8, 21, self.colour(row), 17, 600)
        used = row["modalities"].split("+") if row["modalities"] else []
        x = self._text(band, "from" if used else "from the context alone", 300, 21, DIM, 13) + 8
        for name in MODALITIES if used else ():
            there = name in used
            x = self._text(band, FACE_NAMES[name], x, 21, INK if there else LINE, 13, 600) + 10

    def _timeline(self, band: np.ndarray, time: float) -> None:
        """Coloured pieces of the seconds around now; a white line is now."""
        span = min(self.shown, max(self.duration, 1e-6))
        first = float(np.clip(time - span / 2, 0, max(0.0, self.duration - span)))
        left, right, top, bottom = 8, 632, 32, 56
        unit = self.unit

        def x(seconds: float) -> int:
            return round((left + (right - left) * np.clip((seconds - first) / span, 0, 1)) * unit)

        high, low = round(top * unit), round(bottom * unit)
        cv2.rectangle(band, (x(first), high), (x(first + span), low), (44, 47, 52), cv2.FILLED)
        begin = int(np.searchsorted(self.latest, first))
        for row in self.rows[begin : int(np.searchsorted(self.starts, first + span))]:
            # a pixel between neighbours tells them apart
            ends = (max(x(row["start"]), x(row["end"]) - 1), low)
            cv2.rectangle(band, (x(row["start"]), high), ends, self.colour(row), cv2.FILLED)
        now = x(time)
        cv2.line(
            band, (now, high - round(4 * unit)), (now, low + round(4 * unit)), INK, max(1, round(2 * unit))
        )
        self._text(band, clock(first), left, 70, DIM, 11)
        self._text(band, clock(first + span), right - 26, 70, DIM, 11)

    def _bars(self, band: np.ndarray, place: int | None) -> None:
        """The probability of every class, or where the score lies."""
        row = None if place is None else self.rows[place]
        if not self.labels:
            self._axis(band, row)
            return
        edges = np.linspace(8, 632, len(self.labels) + 1)
        for label, (left, right) in zip(self.labels, pairwise(edges), strict=True):
            colour = COLOURS[self.labels.index(label) % len(COLOURS)]
            share = 0.0 if row is None else row[f"p_{label}"]
            best = row is not None and row["label"] == label
            self._text(band, label, left, 96, colour if row else DIM, 12, 700 if best else 400)
            self._bar(band, left, right - 8, share, colour)

    def _bar(self, band: np.ndarray, left: float, right: float, share: float, colour: tuple) -> None:
        high, low = round(101 * self.unit), round(112 * self.unit)
        ends = [round(value * self.unit) for value in (left, left + share * (right - left), right)]
        cv2.rectangle(band, (ends[0], high), (ends[2], low), (44, 47, 52), cv2.FILLED)
        if share > 0:
            cv2.rectangle(band, (ends[0], high), (ends[1], low), colour, cv2.FILLED)

    def _axis(self, band: np.ndarray, row: dict[str, Any] | None) -> None:
        self._text(band, f"{-RANGE:+.0f}", 8, 96, DIM, 12)
        self._text(band, f"{RANGE:+.0f}", 612, 96, DIM, 12)
        self._bar(band, 8, 632, 0.0, LINE)
        if row is None:
            return
        share = (float(np.clip(row["score"], -RANGE, RANGE)) + RANGE) / (2 * RANGE)
        middle, radius = round((8 + 624 * share) * self.unit), max(4, round(7 * self.unit))
        cv2.circle(band, (middle, round(106 * self.unit)), radius, self.colour(row), cv2.FILLED, cv2.LINE_AA)
