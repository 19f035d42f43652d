"""Write a film as it comes: pictures and sound go straight into the container, nothing is held back.

One thread, no dates, bit-exact flags: the bytes repeat on one kind of machine.
"""

import logging
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
import soxr

from pipeline.settings.rendering import RenderingSettings

AAC_BLOCK = 1024
RIGHT_GAIN = np.float32(0.97)  # a stereo film whose channels differ a little, as in real corpora


class Muxer:
    """An MP4 file under construction; use it as a context manager.

    Pictures are uint8 RGB (H, W, 3) of the settings' size, sound is mono float32 at `sound_rate`.
    """

    def __init__(self, path: Path, settings: RenderingSettings, sound_rate: int):
        logging.getLogger("libav").setLevel(logging.ERROR)
        self.settings = settings
        # absolute: FFmpeg takes a name with a colon for an address
        self.file = av.open(str(Path(path).absolute()), "w", format="mp4", options={"movflags": "+faststart"})
        self.file.flags |= av.container.Flags.bitexact.value
        self.video = self._video_stream()
        self.audio = self.file.add_stream("aac", rate=settings.audio_rate, layout="stereo")
        self.audio.codec_context.flags |= av.codec.context.Flags.bitexact.value
        self.audio.codec_context.bit_rate = settings.audio_bits
        same = settings.audio_rate == sound_rate
        self.resampler = None if same else soxr.ResampleStream(sound_rate, settings.audio_rate, 1, "float32")
        self.waiting = np.zeros(0, np.float32)
        self.pictures = self.samples = 0

    def _video_stream(self):
        settings = self.settings
        stream = self.file.add_stream(settings.codec, rate=settings.fps)
        stream.width, stream.height, stream.pix_fmt = settings.width, settings.height, "yuv420p"
        context = stream.codec_context
        context.thread_count = 1
        context.flags |= av.codec.context.Flags.bitexact.value
        context.gop_size = 2 * settings.fps
        if settings.codec == "libx264":
            stream.options = {"crf": str(settings.crf), "preset": "veryfast", "threads": "1"}
        else:
            context.bit_rate = settings.video_rate
        return stream

    def picture(self, frame: np.ndarray) -> None:
        """Append one picture."""
        video = av.VideoFrame.from_ndarray(frame, format="rgb24")
        video.pts, video.time_base = self.pictures, Fraction(1, self.settings.fps)
        self.pictures += 1
        self.file.mux(self.video.encode(video))

    def sound(self, samples: np.ndarray, last: bool = False) -> None:
        """Append sound; `last` flushes what the resampler and the block buffer still hold."""
        if self.resampler is not None:
            samples = self.resampler.resample_chunk(samples.astype(np.float32), last=last)
        self.waiting = np.concatenate([self.waiting, samples.astype(np.float32)])
        whole = len(self.waiting) if last else len(self.waiting) // AAC_BLOCK * AAC_BLOCK
        for start in range(0, whole, AAC_BLOCK):
            self._block(self.waiting[start : min(start + AAC_BLOCK, whole)])
        self.waiting = self.waiting[whole:]

    def _block(self, mono: np.ndarray) -> None:
        stereo = np.ascontiguousarray(np.stack([mono, mono * RIGHT_GAIN]))
        block = av.AudioFrame.from_ndarray(stereo, format="fltp", layout="stereo")
        block.sample_rate, block.pts = self.settings.audio_rate, self.samples
        block.time_base = Fraction(1, self.settings.audio_rate)
        self.samples += len(mono)
        self.file.mux(self.audio.encode(block))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.sound(np.zeros(0, np.float32), last=True)
                self.file.mux(self.video.encode(None))
                self.file.mux(self.audio.encode(None))
        finally:
            self.file.close()
