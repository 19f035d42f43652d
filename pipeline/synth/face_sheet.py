"""The paper a head is drawn on: pixel grids in face units and the few soft-edged primitives.

A head is always drawn upright and centred (rolled and placed afterwards), so that the horizontal and the
vertical coordinate stay one-dimensional and most shapes are outer products.
"""

from collections.abc import Sequence

import numpy as np

f32 = np.float32
Point = tuple[float, float]
Window = tuple[slice, slice]
Number = float | np.floating


class Sheet:
    """Pixel centres of a drawing in face units: `u` (1, W) to the right, `v` (H, 1) down."""

    def __init__(self, scale: float, half_width: float = 1.0, top: float = 1.18, bottom: float = 1.2):
        self.scale, self.half_width, self.top = scale, half_width, top
        self.soft = f32(1.3 / scale)  # width of an anti-aliased edge
        width, height = int(np.ceil(2 * half_width * scale)), int(np.ceil((top + bottom) * scale))
        self.u = ((np.arange(width) + 0.5) / scale - half_width).astype(f32)[None, :]
        self.v = ((np.arange(height) + 0.5) / scale - top).astype(f32)[:, None]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.v.shape[0], self.u.shape[1]

    def window(self, centre: Point, reach_u: float, reach_v: float) -> Window:
        """The pixels around a feature, so that each feature costs only its own area."""
        column, row = (centre[0] + self.half_width) * self.scale, (centre[1] + self.top) * self.scale
        across, down = reach_u * self.scale + 2, reach_v * self.scale + 2
        return (
            slice(max(0, int(row - down)), max(0, int(row + down) + 1)),
            slice(max(0, int(column - across)), max(0, int(column + across) + 1)),
        )

    def grids(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """`u` and `v` of a window."""
        return self.u[:, window[1]], self.v[window[0]]

    def to_picture(self, x: float, y: float, roll: float) -> np.ndarray:
        """The 2x3 affine map from pixels of this sheet to a picture where its origin lies at (x, y)."""
        cosine, sine = np.cos(roll), np.sin(roll)
        left, top = 0.5 - self.half_width * self.scale, 0.5 - self.top * self.scale
        turn = np.array([[cosine, -sine], [sine, cosine]])
        shift = turn @ np.array([left, top]) + np.array([x, y])
        return np.column_stack([turn, shift])


def inside(distance: np.ndarray, width: Number) -> np.ndarray:
    """1 where `distance` is negative, 0 where positive, with a soft edge of that width."""
    return np.clip(f32(0.5) - distance * f32(1 / width), 0, 1)


def spot(u: np.ndarray, v: np.ndarray, centre: Point, spread_u: float, spread_v: float) -> np.ndarray:
    """A Gaussian spot, as the outer product of its two profiles."""
    across = (u - f32(centre[0])) * f32(1 / spread_u)
    down = (v - f32(centre[1])) * f32(1 / spread_v)
    return np.exp(-down * down) * np.exp(-across * across)


def line(distance: np.ndarray, width: float) -> np.ndarray:
    """A soft line along `distance` = 0."""
    scaled = distance * f32(1 / width)
    return np.exp(-scaled * scaled)


def mix(picture: np.ndarray, colour: Sequence[float] | np.ndarray, mask: np.ndarray) -> None:
    """Paint `colour` over `picture` (H, W, C) through `mask` (H, W), in place."""
    picture += (np.asarray(colour, f32) - picture) * mask[..., None]


def darken(picture: np.ndarray, amount: np.ndarray) -> None:
    """Take the share `amount` (H, W) of the light away, in place."""
    picture *= (1 - amount)[..., None]
