"""Films and sounds that tests write: pictures that say their number, tones, tracks of many kinds."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FPS = 10


def numbered(number: int) -> np.ndarray:
    """A picture whose eight vertical bars are the bits of its number."""
    bits = [(number >> bit) & 1 for bit in range(8)]
    return np.repeat(np.array(bits, np.uint8) * 200 + 28, 16)[None, :, None].repeat(64, 0).repeat(3, 2)


def number_of(picture: np.ndarray) -> int:
    """The number that `numbered` drew, read from the middle of each bar."""
    return sum(int(picture[32, 16 * bit + 8].mean() > 128) << bit for bit in range(8))


def tone(seconds: float, rate: int, hertz: float = 440.0, begins: float = 0.0) -> np.ndarray:
    times = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * hertz * times) * (times >= begins)).astype(np.float32)


def write(
    path: Path,
    pictures: int = 0,
    sound: np.ndarray | None = None,
    rate: int = 48_000,
    layout: str = "mono",
    audio_offset: float = 0.0,
    videos: int = 1,
) -> Path:
    """A small file: numbered pictures at FPS, and sound (channels, samples) or (samples,)."""
    with av.open(str(path), "w") as container:
        streams = []
        for _ in range(videos if pictures else 0):
            stream = container.add_stream("mpeg4", rate=FPS)
            stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
            stream.codec_context.bit_rate = 2_000_000
            streams.append(stream)
        voice = container.add_stream("aac", rate=rate, layout=layout) if sound is not None else None
        for k in range(pictures):
            for shift, stream in enumerate(streams):
                frame = av.VideoFrame.from_ndarray(numbered(k + 100 * shift), format="rgb24")
                frame.pts, frame.time_base = k, Fraction(1, FPS)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode())
        if voice is not None:
            samples = np.atleast_2d(sound)
            shift = round(audio_offset * rate)
            for low in range(0, samples.shape[1], 1024):
                piece = np.ascontiguousarray(samples[:, low : low + 1024])
                frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, low + shift, Fraction(1, rate)
                container.mux(voice.encode(frame))
            container.mux(voice.encode())
    return path
