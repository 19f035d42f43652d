"""The shape of a head as a height field under one lamp."""

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.synth.face_expression import Expression
from pipeline.synth.face_identity import Identity
from pipeline.synth.face_sheet import Number, Point, Sheet, f32, inside, line, spot

AMBIENT = 0.50
DEPTH = 0.9
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Turn:
    """Where the features of a turned head lie: parallax by their depth (radians)."""

    yaw: float
    pitch: float

    def at(self, x: float, y: float, depth: float) -> Point:
        """The place of a feature at (x, y) that stands `depth` in front of the axis of rotation."""
        return (
            float(x * np.cos(self.yaw) + depth * np.sin(self.yaw)),
            float(y * np.cos(self.pitch) + depth * np.sin(self.pitch)),
        )


@dataclass(frozen=True)
class Landmarks:
    """Centres of the features in face units, after yaw and pitch."""

    nose_root: Point
    nose_tip: Point
    eyes: tuple[Point, Point]
    brows: tuple[Point, Point]
    cheeks: tuple[Point, Point]
    mouth: Point


def locate(who: Identity, turn: Turn, cheek: float) -> Landmarks:
    """The landmarks of a person under a turn of the head."""

    def pair(x: float, y: float, depth: float) -> tuple[Point, Point]:
        return turn.at(-x, y, depth), turn.at(x, y, depth)

    return Landmarks(
        nose_root=turn.at(0, 0, DEPTH * 0.30),
        nose_tip=turn.at(0, who.nose_length, DEPTH * 0.34),
        eyes=pair(who.eye_x, who.eye_y, DEPTH * 0.16),
        brows=pair(who.eye_x, who.brow_y, DEPTH * 0.20),
        cheeks=pair(0.43, 0.20 - 0.04 * cheek, 0.5),
        mouth=turn.at(0, who.mouth_y, DEPTH * 0.22),
    )


def jaw_drop(face: Expression, mouth: float) -> float:
    """How far the chin sinks when the mouth opens (face units)."""
    return 0.10 * min(1.0, face["open"] + mouth)


def radius(sheet: Sheet, who: Identity, drop: float) -> np.ndarray:
    """Distance from the head's axis (H, W): 1 on its outline."""
    v = np.where(sheet.v > 0, sheet.v / f32(1 + drop), sheet.v)
    below, above = np.clip(v, 0, 1), np.clip(-v, 0, 1)
    half = f32(who.half_width) * (1 - f32(who.jaw) * below ** f32(2.2) - f32(0.05) * above * above)
    return np.sqrt(sheet.u**2 * (1 / half**2) + v * v)


def relief(
    sheet: Sheet, who: Identity, face: Expression, marks: Landmarks, *, rim: np.ndarray, drop: float
) -> np.ndarray:
    """The height field (H, W) of skull, nose, cheeks, eye sockets, lips and chin."""
    height = f32(0.95) * cv2.pow(np.clip(1 - rim * rim, 1e-3, 1), 0.425)

    def raise_spot(centre: Point, spread_u: float, spread_v: float, amount: float) -> None:
        window = sheet.window(centre, 2.4 * spread_u, 2.4 * spread_v)
        height[window] += f32(amount) * spot(*sheet.grids(window), centre, spread_u, spread_v)

    _raise_nose(height, sheet, who, marks)
    tip_x, tip_y = marks.nose_tip
    wing = who.nose_width * (1 + 0.18 * face["flare"] + 0.15 * face["nose"])
    raise_spot((tip_x, tip_y - 0.01), 0.10, 0.085, 0.10)
    for side in (-1, 1):
        raise_spot((tip_x + side * wing, tip_y + 0.025), 0.055, 0.06, 0.055)
    for cheek in marks.cheeks:
        raise_spot(cheek, 0.17, 0.14, 0.05 + 0.05 * face["cheek"])
    raise_spot((marks.nose_root[0], who.brow_y), 0.5, 0.10, 0.025)
    for eye in marks.eyes:
        raise_spot(eye, 0.20, 0.13, -0.085)
    mouth_x, mouth_y = marks.mouth
    raise_spot((mouth_x, 0.84 + drop), 0.20, 0.12, 0.05)
    raise_spot((mouth_x, mouth_y + 0.20), 0.2, 0.06, -0.03)
    raise_spot(marks.mouth, who.mouth_width * 1.1, 0.13, 0.04)
    return height


def _raise_nose(height: np.ndarray, sheet: Sheet, who: Identity, marks: Landmarks) -> None:
    (root_x, _), (tip_x, tip_y) = marks.nose_root, marks.nose_tip
    window = sheet.window(((root_x + tip_x) / 2, (who.eye_y + tip_y) / 2), 0.34, 0.5)
    u, v = sheet.grids(window)
    top = who.eye_y - 0.05
    down = np.clip((v - f32(top)) / f32(max(tip_y - top, 0.05)), 0, 1)
    ridge = line((u - root_x * (1 - down) - tip_x * down) / (0.055 + 0.06 * down), 1.0)
    fade = np.sqrt(np.clip(1 - (v - tip_y) / 0.07, 0, 1)) * np.clip((v - (who.eye_y - 0.12)) / 0.12, 0, 1)
    height[window] += ((0.03 + 0.23 * down ** f32(1.4)) * fade).astype(f32) * ridge


def shading(height: np.ndarray, scale: float, lamp: Vector, roll: float) -> tuple[np.ndarray, np.ndarray]:
    """Diffuse light (H, W, about 0.5 to 1.1) and highlights (H, W, in grey levels) of a height field.

    The lamp stands in the picture while the sheet is upright, so it is turned back by the roll.
    """
    cosine, sine = np.cos(roll), np.sin(roll)
    light = np.array([cosine * lamp[0] + sine * lamp[1], cosine * lamp[1] - sine * lamp[0], lamp[2]])
    across, down, front = (f32(value) for value in light / np.linalg.norm(light))
    slope_u = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=scale / 8.0)
    slope_v = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=scale / 8.0)
    facing = front - slope_u * across - slope_v * down
    facing /= np.sqrt(slope_u * slope_u + slope_v * slope_v + 1)
    np.clip(facing, 0, 1, out=facing)
    shine = facing**2
    for _ in range(3):
        shine *= shine
    return AMBIENT + f32(1.12 - AMBIENT) * facing, 16 * shine


def outline(rim: np.ndarray, soft: Number) -> np.ndarray:
    """The mask (H, W) of the head."""
    return inside((rim - 1) * f32(0.8), soft)
