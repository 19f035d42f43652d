"""Write an MP4 file as it comes: pictures and sound go straight into the container, nothing is held back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import cast

import av
import numpy as np
from av import AudioStream, VideoStream

AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
AAC_BLOCK = 1024


@dataclass(frozen=True)
class Picture:
    """How pictures are encoded: `rate` a second, at a fixed quantiser, at `bits` a second, or by `options`.

    A fixed quantiser means no rate control, which would blur small letters.
    """

    rate: Fraction
    width: int
    height: int
    codec: str = "mpeg4"
    quantiser: int | None = None
    bits: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sound:
    """How sound is encoded (AAC): samples a second, one channel or two, bits a second (None: as usual)."""

    rate: int
    channels: int
    bits: int | None = None


class Movie:
    """An MP4 file under construction; use it as a context manager.

    exact: one thread, no dates and no name of the writer, so that the bytes repeat on one kind of machine.
    """

    def __init__(self, path: Path, picture: Picture, sound: Sound | None, *, exact: bool = False) -> None:
        # absolute: FFmpeg takes a name with a colon for an address
        self.file = av.open(str(Path(path).absolute()), "w", format="mp4", options={"movflags": "+faststart"})
        if exact:
            self.file.flags |= cast(int, av.container.Flags.bitexact.value)
        self.rate, self.pictures = picture.rate, 0
        self.video = cast(VideoStream, self.file.add_stream(picture.codec, rate=picture.rate))
        self.video.width, self.video.height, self.video.pix_fmt = picture.width, picture.height, "yuv420p"
        context = self.video.codec_context
        context.gop_size = round(2 * picture.rate)
        if exact:
            context.thread_count = 1
            context.flags |= av.codec.context.Flags.bitexact.value
        if picture.quantiser is not None:
            context.qmin, context.qmax, context.bit_rate = picture.quantiser, picture.quantiser, 0
        if picture.bits is not None:
            context.bit_rate = picture.bits
        if picture.options:
            self.video.options = dict(picture.options)
        self.audio: AudioStream | None = None
        if sound is not None:
            self.layout = "stereo" if sound.channels > 1 else "mono"
            self.audio = self.file.add_stream("aac", rate=sound.rate, layout=self.layout)
            if exact:
                self.audio.codec_context.flags |= av.codec.context.Flags.bitexact.value
            if sound.bits is not None:
                self.audio.codec_context.bit_rate = sound.bits
            self.sound_rate, self.samples = sound.rate, 0
            self.waiting = np.zeros((sound.channels, 0), np.float32)

    @property
    def heard(self) -> float:
        """Seconds of sound taken so far."""
        return (self.samples + self.waiting.shape[1]) / self.sound_rate

    def add_picture(self, pixels: np.ndarray) -> None:
        """Append one picture: uint8 RGB (height, width, 3)."""
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = self.pictures, 1 / self.rate
        self.pictures += 1
        self.file.mux(self.video.encode(frame))

    def add_sound(self, samples: np.ndarray) -> None:
        """Append sound: float32 (channels, samples); what does not fill a block waits for more.

        Raises ValueError if the movie was begun without sound.
        """
        if self.audio is None:
            raise ValueError("this movie was begun without sound")
        self.waiting = np.concatenate([self.waiting, samples], axis=1)
        self._encode(self.audio, self.waiting.shape[1] // AAC_BLOCK * AAC_BLOCK)

    def _encode(self, audio: AudioStream, count: int) -> None:
        """Write the first `count` samples that wait."""
        for first in range(0, count, AAC_BLOCK):
            piece = np.ascontiguousarray(self.waiting[:, first : min(first + AAC_BLOCK, count)])
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=self.layout)
            frame.sample_rate, frame.pts = self.sound_rate, self.samples
            frame.time_base = Fraction(1, self.sound_rate)
            self.samples += piece.shape[1]
            self.file.mux(audio.encode(frame))
        self.waiting = self.waiting[:, count:]

    def __enter__(self) -> "Movie":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if self.audio is not None:
                    self._encode(self.audio, self.waiting.shape[1])
                self.file.mux(self.video.encode(None))
                if self.audio is not None:
                    self.file.mux(self.audio.encode(None))
        finally:
            self.file.close()
