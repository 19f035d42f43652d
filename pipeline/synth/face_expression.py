"""What a drawn face does: nineteen numbers in the spirit of facial action units, one set an emotion.

The table is this project's own drawing of each expression at full intensity. Signs: `smile` raises the
corners of the mouth, `brow_in` and `brow_out` raise the inner and outer ends of the brows, `eye` opens and
`lid_low` tightens the eyes, `pitch` (radians) lowers the head.
"""

from collections.abc import Mapping

KEYS = (
    "smile",
    "cheek",
    "lid_low",
    "width",
    "teeth",
    "brow_in",
    "brow_out",
    "eye",
    "lip_low",
    "lip_up",
    "pitch",
    "gaze_y",
    "gaze_x",
    "knit",
    "tight",
    "flare",
    "open",
    "nose",
    "asym",
)

Expression = Mapping[str, float]

FULL: dict[str, dict[str, float]] = {
    "neutral": {},
    "joy": {
        "smile": 0.95,
        "cheek": 0.9,
        "lid_low": 0.55,
        "width": 0.18,
        "teeth": 0.9,
        "brow_out": 0.15,
        "open": 0.16,
    },
    "sadness": {
        "brow_in": 0.95,
        "brow_out": -0.35,
        "eye": -0.35,
        "smile": -0.85,
        "width": -0.08,
        "lip_low": 0.35,
        "pitch": 0.10,
        "gaze_y": 0.35,
    },
    "anger": {
        "brow_in": -0.95,
        "brow_out": 0.25,
        "knit": 1.0,
        "eye": -0.08,
        "lid_low": 0.55,
        "smile": -0.35,
        "width": -0.06,
        "tight": 0.8,
        "teeth": 0.5,
        "flare": 0.6,
        "pitch": 0.03,
    },
    "surprise": {
        "brow_in": 0.95,
        "brow_out": 0.95,
        "eye": 0.65,
        "open": 0.55,
        "width": -0.24,
        "pitch": -0.06,
    },
    "fear": {
        "brow_in": 0.85,
        "brow_out": 0.15,
        "knit": 0.7,
        "eye": 0.6,
        "smile": -0.35,
        "width": 0.22,
        "open": 0.20,
        "teeth": 0.5,
    },
    "disgust": {
        "brow_in": -0.55,
        "brow_out": -0.25,
        "knit": 0.45,
        "eye": -0.4,
        "lid_low": 0.65,
        "nose": 1.0,
        "lip_up": 0.95,
        "smile": -0.55,
        "asym": 0.35,
        "open": 0.08,
        "teeth": 0.6,
        "pitch": -0.03,
    },
}


def expression(emotion: str, intensity: float = 1.0) -> dict[str, float]:
    """The parameters of one emotion (or `flat`, which is drawn as neutral) at an intensity in 0..1."""
    full = FULL["neutral" if emotion == "flat" else emotion]
    return {key: full.get(key, 0.0) * intensity for key in KEYS}


def blend(first: Expression, second: Expression, weight: float) -> dict[str, float]:
    """`first` moved towards `second`; weight 0 gives the first, 1 the second."""
    return {key: first[key] * (1 - weight) + second[key] * weight for key in KEYS}
