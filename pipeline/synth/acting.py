"""How a person moves while speaking or listening: one pose and one expression a picture."""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.synth.face import Pose
from pipeline.synth.face_expression import Expression, blend, expression
from pipeline.synth.voice import RATE

LISTENER_HOLD = 3  # pictures for which a listener keeps still


@dataclass(frozen=True)
class Seat:
    """Where a head rests in the picture (pixels) and half its height there."""

    x: float
    y: float
    scale: float


@dataclass(frozen=True)
class Shot:
    """One picture of one person."""

    pose: Pose
    face: Expression


def wander(frames: int, spread: float, fps: int, rng: np.random.Generator) -> np.ndarray:
    """A smooth random path (frames,) with the given standard deviation; it turns in about 0.4 s."""
    width = max(3, int(fps * 0.8)) | 1
    kernel = np.hanning(width + 2)[1:-1]
    noise = rng.standard_normal(frames + width - 1)
    return np.convolve(noise, kernel / np.sqrt(np.sum(kernel**2)), "valid") * spread


def loudness(sound: np.ndarray, frames: int, fps: int) -> np.ndarray:
    """How loud the sound (16 kHz) is at each picture (frames,), about 1 at its loud places."""
    power = np.concatenate([[0.0], np.cumsum(sound.astype(np.float64) ** 2)])
    middle = ((np.arange(frames) + 0.5) / fps * RATE).astype(int)
    half = int(0.025 * RATE)
    low, high = np.clip(middle - half, 0, len(sound)), np.clip(middle + half, 0, len(sound))
    level = np.sqrt((power[high] - power[low]) / (2 * half))
    return np.clip(level / (np.percentile(level, 90) + 1e-6), 0, 1.2)


def speak_shots(
    sound: np.ndarray,
    frames: int,
    fps: int,
    *,
    cue: str,
    intensity: float,
    seat: Seat,
    rng: np.random.Generator,
) -> list[Shot]:
    """A speaker: the mouth follows the sound, the expression rises to an apex and stays half-way before."""
    mouth = 0.62 * loudness(sound, frames, fps)
    full, mild = expression(cue, intensity), expression(cue, 0.45 * intensity)
    time, apex = np.linspace(0, 1, frames), rng.uniform(0.25, 0.6)
    strength = 0.25 + 0.75 * np.exp(-(((time - apex) / 0.35) ** 2)) + wander(frames, 0.15, fps, rng)
    poses = _poses(frames, fps, seat, 1.0, rng)
    return [
        Shot(
            replace(pose, mouth=float(mouth[index])), blend(mild, full, float(np.clip(strength[index], 0, 1)))
        )
        for index, pose in enumerate(poses)
    ]


def listen_shots(frames: int, fps: int, seat: Seat, rng: np.random.Generator) -> list[Shot]:
    """A listener: neutral, the mouth shut, moving little and not in every picture."""
    poses = _poses(frames, fps, seat, 0.5, rng)
    calm = expression("neutral")
    return [Shot(poses[index - index % LISTENER_HOLD], calm) for index in range(frames)]


def _poses(frames: int, fps: int, seat: Seat, amount: float, rng: np.random.Generator) -> list[Pose]:
    x, y = (wander(frames, spread * amount, fps, rng) for spread in (0.06, 0.035))
    roll, yaw = (wander(frames, spread * amount, fps, rng) for spread in (0.035, 0.07))
    facing, blink_at = float(rng.normal(0, 0.10)), int(rng.integers(0, 3 * fps))
    return [
        Pose(
            x=seat.x + float(x[index]) * seat.scale,
            y=seat.y + float(y[index]) * seat.scale,
            roll=float(roll[index]),
            yaw=facing + float(yaw[index]),
            blink=0.9 if (index + blink_at) % (3 * fps) == 0 else 0.0,
        )
        for index in range(frames)
    ]
