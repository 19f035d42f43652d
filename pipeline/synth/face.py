"""A drawn talking person: a height field lit by one lamp, with soft-edged features, body and hair.

Face units: half the height of the head is 1, u to the right, v down, depth towards the camera. All of it is
this project's own work, so that the embedded corpus has no licence question.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.synth.face_expression import Expression
from pipeline.synth.face_features import (
    Canvas,
    paint_beard,
    paint_blush,
    paint_eyes,
    paint_folds,
    paint_mouth,
    paint_nostrils,
)
from pipeline.synth.face_identity import LONG_HAIR, Identity
from pipeline.synth.face_relief import Turn, Vector, jaw_drop, locate, outline, radius, relief, shading
from pipeline.synth.face_sheet import Point, Sheet, f32, inside, line, mix

FRAME_COLOUR = (28, 26, 30)
HAIRLINE = (-0.58, -0.66, -0.52, -0.56)
TEMPLES = (0.62, 0.50, 1.15, 0.85)
FOREHEAD = -0.60  # upper edge of the face box: most of the forehead, without the hair
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Pose:
    """Where a head is (pixels), how it is turned (radians), and how far mouth and lids move (0..1)."""

    x: float
    y: float
    roll: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    mouth: float = 0.0
    blink: float = 0.0


class Person:
    """Draws one identity at one size (`scale`: pixels to half the height of the head)."""

    def __init__(self, who: Identity, scale: float):
        self.who, self.scale = who, float(scale)
        self.sheet = Sheet(self.scale)
        rng = np.random.default_rng([who.seed, 99])
        self.grain = self._texture(rng, 1.2, 1.2)
        self.strands = self._texture(rng, 0.8, 7.0)
        self.bare = np.array(who.skin, f32) * (1 + f32(0.014) * self.grain)[..., None]
        u, v = self.sheet.u, self.sheet.v
        across = (np.abs(u) / f32(who.half_width + 0.075)) ** f32(2.2)
        self.hair_edge = (across + (np.abs(v + f32(0.03)) / f32(1.09)) ** f32(2.2)) ** f32(1 / 2.2) - 1
        self.hair_edge += f32(0.012) * self.strands

    def _texture(self, rng: np.random.Generator, sigma_u: float, sigma_v: float) -> np.ndarray:
        ratio = self.scale / 70  # textures are as fine as on a head of 140 pixels
        noise: np.ndarray = rng.standard_normal(self.sheet.shape, dtype=f32)
        noise = cv2.GaussianBlur(noise, (0, 0), max(0.4, sigma_u * ratio), sigmaY=max(0.4, sigma_v * ratio))
        return noise / noise.std()

    def sit(self, picture: np.ndarray, x: float, y: float) -> None:
        """Paint the parts that keep still onto `picture` (H, W, 3 float32): back hair, neck, shoulders.

        (x, y) is where the head rests.
        """
        height, width = picture.shape[:2]
        u = ((np.arange(width, dtype=f32) - f32(x)) / f32(self.scale))[None, :]
        v = ((np.arange(height, dtype=f32) - f32(y)) / f32(self.scale))[:, None]
        soft, who = self.sheet.soft, self.who
        if who.long_hair:
            wide, low, tall, power = (
                (0.20, 0.25, 1.32, 2.5) if who.style == LONG_HAIR else (0.17, -0.08, 1.1, 2.4)
            )
            edge = np.abs(u / (who.half_width + wide)) ** f32(power) + np.abs((v - low) / tall) ** f32(power)
            mix(picture, np.array(who.hair) * 0.62, inside(edge ** f32(1 / power) - 1, soft * 3))
        neck = inside(np.abs(u) - (0.36 + 0.10 * np.clip(v - 1.0, 0, 1)), soft * 2) * (v < 1.75)
        mix(picture, np.array(who.skin) * 0.66, neck * np.clip((v - 0.3) * 4, 0, 1))
        chest = inside(np.sqrt((u / 1.55) ** 2 + ((v - 2.15) / 1.02) ** 2) - 1, soft * 2)
        chest = chest * inside(1.22 + 0.25 * line(u, 0.33) - v, soft * 3)
        shade = 0.72 + 0.25 * np.clip(1 - ((u + 0.4) / 1.6) ** 2, 0, 1) - 0.1 * np.clip(v - 1.2, 0, 1)
        picture += (np.array(who.shirt, f32) * shade[..., None] - picture) * chest[..., None]

    def paint(
        self, picture: np.ndarray, pose: Pose, face: Expression, lamp: Vector, back: bool = False
    ) -> None:
        """Paint the head onto `picture` (H, W, 3 uint8), in place; `back`: seen from behind.

        What lies outside the picture is cut off.
        """
        layer = self._back(pose) if back else self._front(pose, face, lamp)
        place = self.sheet.to_picture(pose.x, pose.y, pose.roll)
        rows, columns = self.sheet.shape
        corners = np.array([[0, 0, 1], [columns, 0, 1], [0, rows, 1], [columns, rows, 1]]) @ place.T
        left, top = np.maximum(np.floor(corners.min(0)).astype(int) - 1, 0)
        right, bottom = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, picture.shape[1::-1])
        if right <= left or bottom <= top:
            return
        place[:, 2] -= (left, top)
        drawn = cv2.warpAffine(layer, place, (int(right - left), int(bottom - top)), flags=cv2.INTER_LINEAR)
        area = picture[top:bottom, left:right]
        area[:] = np.clip(area * (1 - drawn[..., 3:]) + drawn[..., :3] + 0.5, 0, 255)

    def box(self, pose: Pose, face: Expression) -> Box:
        """The face as an upright box x0, y0, x1, y1 (pixels): side to side, forehead to chin."""
        chin = 1 + jaw_drop(face, pose.mouth)
        half_height, half_width = (chin - FOREHEAD) / 2, self.who.half_width * 0.95
        cosine, sine = np.cos(pose.roll), np.sin(pose.roll)
        down = (chin + FOREHEAD) / 2 * self.scale
        x, y = pose.x - sine * down, pose.y + cosine * down
        reach_x = self.scale * float(np.hypot(half_width * cosine, half_height * sine))
        reach_y = self.scale * float(np.hypot(half_width * sine, half_height * cosine))
        return float(x - reach_x), float(y - reach_y), float(x + reach_x), float(y + reach_y)

    def landmarks(self, pose: Pose, face: Expression) -> np.ndarray:
        """Eyes, nose and corners of the mouth, left before right as seen: float64 (5, 2), pixels."""
        turn = Turn(pose.yaw, pose.pitch + face["pitch"])
        marks = locate(self.who, turn, face["cheek"])
        half = self.who.mouth_width * (1 + face["width"] - 0.12 * pose.mouth)
        (x, y), rise = marks.mouth, 0.085 * face["smile"]
        points = np.array([*marks.eyes, marks.nose_tip, (x - half, y - rise), (x + half, y - rise)])
        cosine, sine = np.cos(pose.roll), np.sin(pose.roll)
        turned = points @ np.array([[cosine, sine], [-sine, cosine]])
        return turned * self.scale + np.array([pose.x, pose.y])

    def _front(self, pose: Pose, face: Expression, lamp: Vector) -> np.ndarray:
        """The head as premultiplied RGBA (H, W, 4), colours in 0..255 and alpha in 0..1."""
        sheet, who = self.sheet, self.who
        turn = Turn(pose.yaw, pose.pitch + face["pitch"])
        marks, drop = locate(who, turn, face["cheek"]), jaw_drop(face, pose.mouth)
        rim = radius(sheet, who, drop)
        shade, shine = shading(
            relief(sheet, who, face, marks, rim=rim, drop=drop), self.scale, lamp, pose.roll
        )
        canvas = Canvas(
            sheet=sheet,
            who=who,
            face=face,
            marks=marks,
            yaw=pose.yaw,
            mouth=pose.mouth,
            blink=pose.blink,
            rim=rim,
            shade=shade,
            skin=self.bare.copy(),
            grain=self.grain,
            strands=self.strands,
        )
        for paint in (paint_blush, paint_beard, paint_folds, paint_nostrils, paint_eyes, paint_mouth):
            paint(canvas)
        edge = np.clip((rim - f32(0.80)) / f32(0.2), 0, 1)
        surface = canvas.skin
        surface *= (shade * (1 - f32(0.25) * edge * edge))[..., None]
        surface += shine[..., None]
        layer = np.zeros((*sheet.shape, 4), f32)
        self._ears(layer, turn)
        mask = outline(rim, sheet.soft)[..., None]
        layer[..., :3] += (surface - layer[..., :3]) * mask
        layer[..., 3:] += (1 - layer[..., 3:]) * mask
        if who.glasses:
            self._glasses(layer, marks.eyes)
        self._hair(layer, turn, back=False)
        return layer

    def _back(self, pose: Pose) -> np.ndarray:
        layer = np.zeros((*self.sheet.shape, 4), f32)
        turn = Turn(0.0, pose.pitch)
        self._ears(layer, turn)
        rim = radius(self.sheet, self.who, 0.0)
        mix(layer, (*(np.array(self.who.skin) * 0.7), 1), outline(rim, self.sheet.soft))
        self._hair(layer, turn, back=True)
        return layer

    def _ears(self, layer: np.ndarray, turn: Turn) -> None:
        if self.who.style == LONG_HAIR:
            return
        skin, soft = np.array(self.who.skin), self.sheet.soft
        for side in (-1, 1):
            x, y = turn.at(side * self.who.half_width * 0.99, 0.02, -0.15)
            window = self.sheet.window((x, y), 0.16, 0.28)
            u, v = self.sheet.grids(window)
            shell = np.sqrt(((u - x) / 0.11) ** 2 + ((v - y) / 0.21) ** 2) - 1
            inner = np.sqrt(((u - x) / 0.05) ** 2 + ((v - y) / 0.13) ** 2) - 1
            mix(layer[window], (*(skin * (0.86, 0.78, 0.76)), 1), inside(shell, soft * 8))
            mix(layer[window], (*(skin * (0.68, 0.58, 0.56)), 1), 0.6 * inside(inner, soft * 9))

    def _glasses(self, layer: np.ndarray, eyes: tuple[Point, Point]) -> None:
        for x, y in eyes:
            window = self.sheet.window((x, y), 0.30, 0.26)
            u, v = self.sheet.grids(window)
            ring = np.cbrt((np.abs(u - x) / 0.235) ** 3 + (np.abs(v - y - 0.02) / 0.175) ** 3) - 1
            mix(layer[window], (*FRAME_COLOUR, 1), 0.9 * inside(np.abs(ring) * 0.2 - 0.014, self.sheet.soft))
        (left, y), (right, _) = eyes
        window = self.sheet.window(((left + right) / 2, y), 0.3, 0.05)
        u, v = self.sheet.grids(window)
        bridge = inside(np.abs(v - y + 0.01) - 0.012, self.sheet.soft) * (
            (u > left + 0.22) & (u < right - 0.22)
        )
        mix(layer[window], (*FRAME_COLOUR, 1), 0.9 * bridge)

    def _hair(self, layer: np.ndarray, turn: Turn, back: bool) -> None:
        who, u, v = self.who, self.sheet.u, self.sheet.v
        if back:
            border, end = 0.78 + f32(0.02) * self.strands, 0.95
        else:
            temple = np.clip(np.abs(u - f32(0.3 * np.sin(turn.yaw))) / f32(who.half_width) - f32(0.42), 0, 1)
            border = (
                HAIRLINE[who.style] + 0.05 * np.sin(turn.pitch) + 0.03 * np.sin(9 * u + f32(who.seed % 7))
            )
            border = border + 2.2 * TEMPLES[who.style] * temple * temple
            if who.long_hair:
                border = border + 0.10 * (u - 0.1)
            border = border.astype(f32) + f32(0.01) * self.strands
            end = 0.25 if who.long_hair else 0.04
        mask = inside(self.hair_edge, self.sheet.soft * 3) * inside(v - border, 0.045)
        mask *= np.clip((f32(end) - v) * 10, 0, 1)
        gloss = 0.62 + 0.5 * np.clip(-u * f32(0.45) - v * f32(0.65), 0, 1) + f32(0.13) * self.strands
        colour = np.array(who.hair, f32) * gloss[..., None] + 8 * np.clip(gloss - 0.9, 0, 1)[..., None]
        layer[..., :3] += (colour - layer[..., :3]) * mask[..., None]
        layer[..., 3] += (1 - layer[..., 3]) * mask
