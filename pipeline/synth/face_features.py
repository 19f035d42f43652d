"""The features painted on a head: skin, folds, eyes, brows, mouth, beard.

Each function paints onto `Canvas.skin`, the colour of the surface before light (H, W, 3), in place.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.synth.face_expression import Expression
from pipeline.synth.face_identity import Identity
from pipeline.synth.face_relief import Landmarks
from pipeline.synth.face_sheet import Point, Sheet, Window, darken, f32, inside, line, mix, spot

TEETH = (232, 226, 214)
TONGUE = (168, 78, 80)
MOUTH_HOLE = (46, 16, 18)
EYE_WHITE = np.array([238, 234, 228], f32)


@dataclass
class Canvas:
    """One frame of one head while it is being painted."""

    sheet: Sheet
    who: Identity
    face: Expression
    marks: Landmarks
    yaw: float
    mouth: float
    blink: float
    rim: np.ndarray
    shade: np.ndarray
    skin: np.ndarray
    grain: np.ndarray
    strands: np.ndarray

    def tint(self, *factors: float) -> np.ndarray:
        """The skin colour times a factor, one for all or one a channel."""
        return np.array(self.who.skin, f32) * np.array(factors, f32)


def paint_blush(canvas: Canvas) -> None:
    """Redder cheeks and nose."""
    sheet, skin = canvas.sheet, canvas.skin
    for centre in canvas.marks.cheeks:
        window = sheet.window(centre, 0.48, 0.38)
        strength = 0.6 + 0.9 * canvas.face["cheek"]
        red = np.array([6, -9, -8], f32) * f32(strength)
        skin[window] += red * spot(*sheet.grids(window), centre, 0.20, 0.16)[..., None]
    tip = canvas.marks.nose_tip
    window = sheet.window(tip, 0.3, 0.25)
    skin[window] += np.array([5, -8, -7], f32) * spot(*sheet.grids(window), tip, 0.13, 0.1)[..., None]


def paint_beard(canvas: Canvas) -> None:
    """A beard along the jaw, over the lip and on the chin."""
    who, sheet = canvas.who, canvas.sheet
    if who.beard <= 0:
        return
    x, y = canvas.marks.mouth
    window = sheet.window((x, 0.62), 0.85, 0.62)
    u, v = sheet.grids(window)
    where = np.clip((canvas.rim[window] - 0.55) * 2.4, 0, 1) * np.clip((v - 0.18) * 2.2, 0, 1)
    where += 0.8 * spot(u, v, (x, y - 0.10), 0.26, 0.07) + 0.7 * spot(u, v, (x, y + 0.3), 0.2, 0.14)
    thickness = f32(who.beard) * np.minimum(where, 1) * (1 + 0.25 * canvas.grain[window])
    mix(canvas.skin[window], who.hair, np.clip(thickness, 0, 1))


def paint_folds(canvas: Canvas) -> None:
    """Folds beside the mouth, between the brows, on the nose and on the forehead."""
    _mouth_folds(canvas)
    _frown(canvas)
    _nose_wrinkles(canvas)
    _forehead_lines(canvas)


def _mouth_folds(canvas: Canvas) -> None:
    face, who, sheet = canvas.face, canvas.who, canvas.sheet
    (tip_x, tip_y), (_, mouth_y) = canvas.marks.nose_tip, canvas.marks.mouth
    depth = min(1, 0.10 + 0.5 * max(face["smile"], 0) + 0.6 * face["nose"] + 0.25 * face["cheek"])
    for side in (-1, 1):
        centre = (tip_x + side * (who.nose_width + 0.12), (tip_y + mouth_y) / 2)
        window = sheet.window(centre, 0.26, 0.26)
        u, v = sheet.grids(window)
        course = tip_x + side * (who.nose_width + 0.05 + 0.55 * np.clip(v - tip_y, 0, 0.4))
        ends = np.clip((v - tip_y + 0.03) * 9, 0, 1) * np.clip((mouth_y + 0.06 - v) * 7, 0, 1)
        darken(canvas.skin[window], f32(0.30 * depth) * line(u - course, 0.028) * ends)


def _frown(canvas: Canvas) -> None:
    depth, who, sheet = canvas.face["knit"], canvas.who, canvas.sheet
    if depth <= 0.05:
        return
    x = canvas.marks.nose_root[0]
    window = sheet.window((x, who.brow_y + 0.05), 0.16, 0.34)
    u, v = sheet.grids(window)
    for offset in (-0.045, 0.045):
        crease = spot(u, v, (x + offset, who.brow_y + 0.02), 0.016, 0.11)
        darken(canvas.skin[window], f32(0.28 * depth) * crease)


def _nose_wrinkles(canvas: Canvas) -> None:
    depth, who, sheet = canvas.face["nose"], canvas.who, canvas.sheet
    if depth <= 0.05:
        return
    x = canvas.marks.nose_root[0]
    window = sheet.window((x, who.brow_y + 0.15), 0.16, 0.34)
    u, v = sheet.grids(window)
    away = np.abs(u - x)
    for offset in (-0.02, 0.04, 0.10):
        crease = line(v - (who.eye_y + 0.05 + offset) - 0.25 * away, 0.016) * np.clip(1 - away / 0.11, 0, 1)
        darken(canvas.skin[window], f32(0.25 * depth) * crease)


def _forehead_lines(canvas: Canvas) -> None:
    depth, who, sheet = max(canvas.face["brow_in"], 0), canvas.who, canvas.sheet
    if depth <= 0.2:
        return
    x = canvas.marks.nose_root[0]
    window = sheet.window((x, who.brow_y - 0.25), 0.55, 0.2)
    u, v = sheet.grids(window)
    wave, ends = f32(0.03) * np.cos(3 * (u - x)), np.clip(1.2 - np.abs(u - x) / 0.42, 0, 1)
    for offset in (-0.16, -0.25, -0.34):
        darken(canvas.skin[window], f32(0.16 * depth) * line(v - (who.brow_y + offset) - wave, 0.018) * ends)


def paint_nostrils(canvas: Canvas) -> None:
    """The shadow under the nose and the nostrils."""
    sheet, (x, y) = canvas.sheet, canvas.marks.nose_tip
    window = sheet.window((x, y + 0.06), 0.34, 0.12)
    u, v = sheet.grids(window)
    darken(canvas.skin[window], f32(0.22) * spot(u, v, (x, y + 0.085), 0.13, 0.035))
    flare = 0.062 * (1 + 0.18 * canvas.face["flare"] + 0.15 * canvas.face["nose"])
    for side in (-1, 1):
        hole = f32(0.8) * spot(u, v, (x + side * flare, y + 0.05), 0.034, 0.020)
        mix(canvas.skin[window], canvas.tint(0.28), hole)


def paint_eyes(canvas: Canvas) -> None:
    """Both eyes and brows."""
    for side, eye, brow in zip((-1, 1), canvas.marks.eyes, canvas.marks.brows, strict=True):
        window = canvas.sheet.window((eye[0], eye[1] - 0.14), 0.36, 0.46)
        _eye(canvas, window, side, eye)
        _brow(canvas, window, side, brow)


def _eye(canvas: Canvas, window: Window, side: int, eye: Point) -> None:
    who, face, soft = canvas.who, canvas.face, canvas.sheet.soft
    (x, y), area = eye, canvas.skin[window]
    u, v = canvas.sheet.grids(window)
    along = (u - x) / f32(who.eye_width * np.cos(canvas.yaw * 0.8))
    away, arc = np.abs(along), np.clip(1 - along * along, 0, 1)
    openness = max(0.04, (1 + face["eye"]) * (1 - canvas.blink))
    upper = -f32(who.eye_height * 1.25 * openness) * arc ** f32(0.75) * (1 - 0.10 * side * along)
    lower = f32(who.eye_height * 0.80 * (1 - 0.55 * face["lid_low"]) * (1 - 0.8 * canvas.blink)) * arc
    depth = v - y + 0.012 * side * along
    darken(area, f32(0.20) * spot(u, v, (x, y - 0.05), 0.21, 0.10))
    darken(area, f32(0.10 * (1 + 1.2 * face["lid_low"])) * spot(u, v, (x, y + 0.11), 0.16, 0.05))
    white = inside(upper - depth, soft) * inside(depth - lower, soft) * (away < 1)
    ball = _eyeball(canvas, (u, v), eye, away, depth - upper)
    area += (ball / np.clip(canvas.shade[window], 0.75, 1.2)[..., None] - area) * white[..., None]
    mix(area, canvas.tint(0.16), 0.9 * line(depth - upper, 0.020) * np.clip((1.06 - away) * 12, 0, 1))
    mix(area, canvas.tint(0.45), 0.5 * line(depth - lower, 0.013) * np.clip((1 - away) * 6, 0, 1))
    lid = line(depth - upper + f32(0.045 + 0.02 * face["eye"]), 0.014) * np.clip((1 - away) * 4, 0, 1)
    darken(area, f32(0.30) * lid)


def _eyeball(
    canvas: Canvas,
    grids: tuple[np.ndarray, np.ndarray],
    eye: Point,
    away: np.ndarray,
    under_lid: np.ndarray,
) -> np.ndarray:
    (u, v), who, face, soft = grids, canvas.who, canvas.face, canvas.sheet.soft
    dim = 1 - f32(0.35) * away * away - f32(0.25) * inside(under_lid - 0.03, 0.06)
    ball = EYE_WHITE * np.clip(dim, 0, 1)[..., None]
    x = eye[0] + 0.045 * face["gaze_x"] + 0.03 * float(np.sin(canvas.yaw))
    y = eye[1] - 0.012 + 0.03 * face["gaze_y"]
    far, iris = np.sqrt((u - f32(x)) ** 2 + (v - f32(y)) ** 2), f32(who.eye_height * 0.98)
    colour = np.array(who.iris, f32) * (1.25 - 0.5 * (far / iris))[..., None]
    ball += (colour - ball) * inside(far - iris, soft)[..., None]
    darken(ball, f32(0.5) * line(far - iris, 0.012))
    mix(ball, (12, 10, 10), inside(far - iris * f32(0.45), soft))
    mix(ball, (255, 255, 255), 0.9 * spot(u, v, (x - 0.025, y - 0.028), 0.016, 0.016))
    return ball


def _brow(canvas: Canvas, window: Window, side: int, brow: Point) -> None:
    who, face, (x, y) = canvas.who, canvas.face, brow
    u, v = canvas.sheet.grids(window)
    # 0 at the inner end of the brow, 1 at the outer one
    along = np.clip((side * (u - x) / f32(who.eye_width * 1.35) + 1) / 2, -0.2, 1.2) + 0.07 * face["knit"]
    kept = np.clip(along, 0, 1)
    bow = f32(1 + 0.3 * face["brow_out"] - 0.35 * abs(min(face["brow_in"], 0)))
    course = y - f32(0.055) * np.sin(f32(np.pi) * kept) * bow + 0.02 * along + 0.03 * side * face["asym"]
    course = course - 0.125 * face["brow_in"] * (1 - along) - 0.095 * face["brow_out"] * along
    thick = f32(who.brow_thickness) * (1 - f32(0.45) * kept)
    ends = np.clip((along + 0.04 + 0.06 * face["knit"]) * 14, 0, 1) * np.clip((1.03 - along) * 9, 0, 1)
    mask = inside(np.abs(v - course) - thick, 0.03) * ends
    colour = np.array(who.hair, f32) * f32(0.55) + canvas.tint(0.06)
    mix(canvas.skin[window], colour, np.clip(0.92 * mask * (1 + 0.05 * canvas.strands[window]), 0, 1))


def paint_mouth(canvas: Canvas) -> None:
    """Lips, what shows between them, and the shadows around."""
    who, face, soft = canvas.who, canvas.face, canvas.sheet.soft
    x, y = canvas.marks.mouth
    openness = float(np.clip(face["open"] + canvas.mouth * (1 - 0.3 * face["open"]), 0, 1.1))
    half = who.mouth_width * (1 + face["width"] - 0.12 * canvas.mouth)
    window = canvas.sheet.window((x, y + 0.13), half * 1.25, 0.38)
    (u, v), area = canvas.sheet.grids(window), canvas.skin[window]
    along = (u - f32(x)) / f32(half)
    away, arc = np.abs(along), np.clip(1 - along * along, 0, 1)
    round_arc, edge = np.sqrt(arc), np.clip((1.02 - away) * 20, 0, 1)
    smile, asym = face["smile"], face["asym"]
    course = y - 0.105 * smile * away ** f32(1.7) + 0.02 * smile - 0.05 * asym * np.clip(along, 0, 1)
    lip = who.lip_thickness * (1 - 0.5 * face["tight"]) * (1 - 0.25 * max(smile, 0))
    upper = -0.07 * openness * round_arc - 0.05 * face["lip_up"] * arc
    lower = 0.247 * openness * round_arc + 0.035 * face["tight"] * face["teeth"] * arc
    upper_edge = upper - lip * round_arc * (1 - 0.25 * line(along, 0.16))
    lower_edge = lower + lip * 1.25 * arc * (1 + 0.35 * face["lip_low"])
    depth = v - course.astype(f32)
    lips = inside(upper_edge - depth, soft * 1.2) * inside(depth - lower_edge, soft * 1.2) * edge
    gloss = f32(0.84) + f32(0.22) * line(depth - (lower + lower_edge) / 2, 0.025)
    area += (np.array(who.lips, f32) * gloss[..., None] - area) * (f32(0.88) * lips)[..., None]
    gap = inside(upper - depth, soft) * inside(depth - lower, soft) * edge
    mix(area, MOUTH_HOLE, gap)
    show = face["teeth"] * 0.9 + 0.21 * min(1.0, openness * 2)
    if show > 0.05:
        row = inside(depth - (upper + 0.045 + 0.05 * face["teeth"] * arc), soft * 1.5)
        mix(area, TEETH, np.clip(1.3 * show * gap * row * np.clip((0.82 - away) * 6, 0, 1), 0, 1))
    if openness > 0.3:
        mix(area, TONGUE, gap * 0.7 * spot(u, v, (x, y + 0.24 * openness), half * 0.55, 0.07))
    mix(area, canvas.tint(0.34, 0.22, 0.22), (0.85 - 0.35 * gap) * line(depth - upper, 0.014) * edge)
    darken(area, 0.20 * spot(u, v, (x, y + lip * 2.0 + 0.055 + 0.25 * openness), half * 0.7, 0.035))
    for side in (-1, 1):
        darken(area, 0.32 * spot(u, v, (x + side * half * 1.02, y - 0.10 * smile), 0.035, 0.04))
