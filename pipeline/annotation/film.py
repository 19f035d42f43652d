"""The video with its annotations drawn into it: decoded, painted and encoded picture by picture."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import repeat
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import soxr

from pipeline.annotation.cutting import Video
from pipeline.annotation.exported import ExportedModel
from pipeline.annotation.overlay import GROUND, Painter
from pipeline.core import artefacts, media
from pipeline.core.movie import AAC_RATES, Movie, Picture, Sound
from pipeline.core.progress import progress
from pipeline.core.soundtrack import Mending
from pipeline.settings.annotate import FilmSettings

USUAL = 25.0  # pictures a second of a file that has none, or does not tell
SLOWEST = 10.0  # what is drawn moves, even where the pictures of a file stand for long
BLANK = (640, 360)  # size of the picture of a file that has none (px)


def heard(path: Path, index: int, layout: str, rate: int) -> Iterator[np.ndarray]:
    """The sound of a stream at `rate`, piece by piece: float32 (channels, samples)."""
    channels = 2 if layout == "stereo" else 1
    stream = None
    for raw, own in media.sound(path, layout, index=index):
        piece = Mending(own)(raw)
        if own == rate:
            yield piece
            continue
        if stream is None:
            stream = soxr.ResampleStream(own, rate, channels, np.float32, quality="HQ")
        if piece.shape[1]:
            # as many dimensions as channels ask for
            samples = piece.T.copy() if channels > 1 else piece[0].copy()
            yield stream.resample_chunk(samples).reshape(-1, channels).T
    if stream is not None:
        nothing = np.zeros((0, channels) if channels > 1 else 0, np.float32)
        yield stream.resample_chunk(nothing, last=True).reshape(-1, channels).T


def even_size(width: float, height: float, settings: FilmSettings) -> tuple[int, int]:
    """The size in which a picture is drawn (px, even): not too small for letters, not larger than asked."""
    scale = max(settings.width / width, 1.0)
    scale = min(scale, settings.side / max(width, height))
    return max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2))


def picture_rate(own: float | None, settings: FilmSettings) -> Fraction:
    """Pictures a second of the drawn video; `own` is the mean rate of the given one, if it tells."""
    return Fraction(min(max(own or USUAL, SLOWEST), settings.rate)).limit_denominator(1001)


def draw(
    path: Path,
    video: Video,
    rows: pl.DataFrame,
    boxes: pl.DataFrame,
    model: ExportedModel,
    settings: FilmSettings,
) -> None:
    """Write the drawn video: as long as the given one, with its sound."""
    facts = media.probe(video.path)
    rate = picture_rate(facts.frame_rate, settings)
    count = max(1, round(video.duration * rate))
    times = [float((k + 0.5) / rate) for k in range(count)]
    pictures = media.frames(video.path, times) if video.blind is None else repeat(None)
    first = media.first_picture(video.path) if video.blind is None else None
    own = BLANK if first is None else (first.picture.shape[1], first.picture.shape[0])
    width, height = even_size(own[0], own[1], settings)
    painter = Painter(
        rows.to_dicts(),
        boxes,
        model.labels,
        model.facts.notice,
        video.duration,
        settings.shown,
        width,
        (width / own[0], height / own[1]),
    )
    channels = 0 if video.heard is None else min(facts.channels or 1, 2)
    sound_rate = facts.sample_rate if facts.sample_rate in AAC_RATES else 48_000
    pieces: Iterator[np.ndarray] = iter(())
    if video.heard is not None:
        pieces = heard(video.path, video.heard.index, "stereo" if channels > 1 else "mono", sound_rate)
    how = cv2.INTER_AREA if width < own[0] else cv2.INTER_LINEAR
    with artefacts.replacing(path) as temporary:
        picture = Picture(rate, width, height + painter.band, quantiser=settings.quality)
        with Movie(temporary, picture, Sound(sound_rate, channels) if channels else None) as movie:
            for time, shown in progress(zip(times, pictures, strict=False), "pictures", total=count):
                while channels and movie.heard < time and (piece := next(pieces, None)) is not None:
                    movie.add_sound(piece)
                small: np.ndarray
                if not isinstance(shown, media.Frame):
                    small = np.full((height, width, 3), GROUND, np.uint8)
                else:
                    small = cv2.resize(shown.picture, (width, height), interpolation=how)
                movie.add_picture(painter.paint(small, time))
            for piece in pieces:
                movie.add_sound(piece)
