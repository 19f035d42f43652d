"""Who a drawn person is: proportions, colours, hair. Lengths are in head half-heights (docs of `face`)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

Colour = tuple[float, float, float]

SKINS = (
    (236, 194, 165),
    (224, 172, 136),
    (198, 142, 104),
    (156, 104, 72),
    (242, 208, 184),
    (120, 78, 54),
    (212, 160, 124),
    (180, 126, 92),
)
HAIRS = (
    (38, 28, 24),
    (92, 58, 34),
    (164, 122, 66),
    (24, 22, 26),
    (120, 48, 26),
    (60, 44, 36),
    (140, 136, 134),
    (78, 52, 40),
)
IRISES = ((70, 44, 26), (66, 104, 132), (74, 100, 62), (44, 28, 18))
SHIRTS = (
    (52, 76, 120),
    (120, 52, 58),
    (58, 96, 74),
    (84, 84, 92),
    (150, 120, 60),
    (96, 66, 116),
    (40, 92, 104),
    (170, 150, 140),
)
LONG_HAIR, BOB = 2, 3
STYLES = (0, LONG_HAIR, 1, BOB)


@dataclass(frozen=True)
class Identity:
    """One person: RGB colours in 0..255 and proportions in head half-heights."""

    skin: Colour
    hair: Colour
    iris: Colour
    lips: Colour
    shirt: Colour
    half_width: float
    jaw: float
    eye_x: float
    eye_y: float
    eye_width: float
    eye_height: float
    brow_y: float
    brow_thickness: float
    nose_length: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    lip_thickness: float
    style: int
    beard: float
    glasses: bool
    seed: int

    @property
    def long_hair(self) -> bool:
        """Whether hair hangs behind the head."""
        return self.style in (LONG_HAIR, BOB)


def lip_colour(skin: np.ndarray, feminine: bool) -> Colour:
    """A lip colour that goes with the skin."""
    red = np.array([28, 2, 8]) if feminine else np.zeros(3)
    return _colour(np.clip(skin * np.array([0.80, 0.56, 0.56]) + red, 0, 255))


def make_identity(speaker: int, seed: int) -> Identity:
    """The face of a speaker; odd numbers look and sound feminine, even ones masculine."""
    rng = np.random.default_rng([seed, 7919, speaker])
    feminine = speaker % 2 == 1
    skin = np.array(SKINS[speaker % len(SKINS)]) + rng.integers(-6, 7, 3)
    return Identity(
        skin=_colour(skin),
        hair=_colour(HAIRS[(speaker * 3 + int(rng.integers(2))) % len(HAIRS)]),
        iris=_colour(IRISES[int(rng.integers(len(IRISES)))]),
        lips=lip_colour(skin, feminine),
        shirt=_colour(SHIRTS[(speaker * 5) % len(SHIRTS)]),
        half_width=float(rng.uniform(0.70, 0.79)),
        jaw=float(rng.uniform(0.22, 0.32) if feminine else rng.uniform(0.12, 0.22)),
        eye_x=float(rng.uniform(0.315, 0.345)),
        eye_y=float(rng.uniform(-0.13, -0.08)),
        eye_width=float(rng.uniform(0.155, 0.18)),
        eye_height=float(rng.uniform(0.068, 0.082)),
        brow_y=float(rng.uniform(-0.34, -0.31)),
        brow_thickness=float(rng.uniform(0.026, 0.034) if feminine else rng.uniform(0.036, 0.05)),
        nose_length=float(rng.uniform(0.26, 0.33)),
        nose_width=float(rng.uniform(0.105, 0.14)),
        mouth_y=float(rng.uniform(0.48, 0.53)),
        mouth_width=float(rng.uniform(0.25, 0.30)),
        lip_thickness=float(rng.uniform(0.055, 0.07) if feminine else rng.uniform(0.04, 0.055)),
        style=STYLES[speaker % len(STYLES)],
        beard=0.0 if feminine or rng.random() < 0.5 else float(rng.uniform(0.25, 0.6)),
        glasses=speaker % 8 == 6,
        seed=speaker,
    )


def stranger(rng: np.random.Generator) -> Identity:
    """Somebody who is in no corpus: colours, hair and glasses drawn independently of each other."""
    base = make_identity(int(rng.integers(100_000, 1_000_000)), seed=int(rng.integers(1 << 31)))
    skin = np.clip(np.array(SKINS[int(rng.integers(len(SKINS)))]) * rng.uniform(0.92, 1.08), 0, 255)
    return replace(
        base,
        skin=_colour(skin),
        hair=_colour(HAIRS[int(rng.integers(len(HAIRS)))]),
        lips=lip_colour(skin, base.seed % 2 == 1),
        style=int(rng.integers(len(STYLES))),
        glasses=bool(rng.random() < 0.15),
    )


def _colour(values: Sequence[float] | np.ndarray) -> Colour:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
