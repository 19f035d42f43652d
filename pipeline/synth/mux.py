"""A film of the embedded corpus as a file: its bytes repeat on one kind of machine."""

import logging
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
import soxr

from pipeline.core.movie import Movie, Picture, Sound
from pipeline.settings.rendering import RenderingSettings

RIGHT_GAIN = np.float32(0.97)  # a stereo film whose channels differ a little, as in real corpora


class Muxer:
    """A film under construction, as it is recorded; use it as a context manager.

    Pictures are uint8 RGB (H, W, 3) of the settings' size, sound is mono float32 at `sound_rate`.
    """

    def __init__(self, path: Path, settings: RenderingSettings, sound_rate: int) -> None:
        logging.getLogger("libav").setLevel(logging.ERROR)
        x264 = settings.codec == "libx264"
        picture = Picture(
            Fraction(settings.fps),
            settings.width,
            settings.height,
            settings.codec,
            bits=None if x264 else settings.video_rate,
            options={"crf": str(settings.crf), "preset": "veryfast", "threads": "1"} if x264 else {},
        )
        sound = Sound(settings.audio_rate, channels=2, bits=settings.audio_bits)
        self.movie = Movie(path, picture, sound, exact=True)
        same = settings.audio_rate == sound_rate
        self.resampler = None if same else soxr.ResampleStream(sound_rate, settings.audio_rate, 1, "float32")

    @property
    def pictures(self) -> int:
        """Pictures taken so far."""
        return self.movie.pictures

    def picture(self, frame: np.ndarray) -> None:
        """Append one picture."""
        self.movie.add_picture(frame)

    def sound(self, samples: np.ndarray, last: bool = False) -> None:
        """Append sound; `last` flushes what the resampler still holds."""
        mono = samples.astype(np.float32)
        if self.resampler is not None:
            mono = self.resampler.resample_chunk(mono, last=last)
        self.movie.add_sound(np.stack([mono, mono * RIGHT_GAIN]))

    def __enter__(self) -> "Muxer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.sound(np.zeros(0, np.float32), last=True)
        except BaseException as fault:
            self.movie.__exit__(type(fault), fault, fault.__traceback__)
            raise
        self.movie.__exit__(kind, error, trace)
