"""What is made of the pieces of a track: their place on the clock, one channel of two, damaged samples."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import av
import numpy as np
import soxr

SAMPLE_RATE = 16_000  # of all sound that is encoded

# A gap or an overlap of sound shorter than this (s) is jitter of the timestamps and not missing sound.
JITTER = 0.02
# A longer step (s) back or, of a picture, ahead is a wrong timestamp if the next one goes on as before.
GLITCH = 10.0
# A longer gap (s) is a wrong timestamp, unless another stream of the file goes on for so long.
LONGEST_GAP = 600.0
# Samples beyond this (60 dB over full scale) are no sound.
LOUDEST = 1000.0
# Two channels cancel in a piece if what is made of them keeps less than this share of the louder one's power.
CANCELLED = 0.01
# So many of the sounding pieces may cancel before another mixture is taken.
MOST_CANCELLED = 0.1
HALF = 0.5**0.5
# how one channel is made of two, by preference; all are as loud for two equal channels
MIXTURES = {
    "sum": (HALF, HALF),
    "difference": (HALF, -HALF),
    "left": (2 * HALF, 0.0),
    "right": (0.0, 2 * HALF),
}


@dataclass
class Census:
    """Sounding pieces of a two-channel track, and in how many of them each mixture loses the sound."""

    sounding: int = 0
    lost: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MIXTURES, 0))

    def add(self, channels: np.ndarray) -> None:
        """Count one piece: float32 (2, samples)."""
        if not channels.shape[1]:
            return
        moments = channels.astype(np.float64) @ channels.T.astype(np.float64) / channels.shape[1]
        louder = float(max(moments[0, 0], moments[1, 1]))
        if louder < 1e-6:
            return
        self.sounding += 1
        for name, weights in MIXTURES.items():
            own = np.array(weights)
            self.lost[name] += float(own @ moments @ own) < CANCELLED * louder

    @property
    def best(self) -> str:
        """The mixture to take: the sum, unless its channels cancel (counter-phase) and another loses less."""
        if self.lost["sum"] <= MOST_CANCELLED * self.sounding:
            return "sum"
        return min(MIXTURES, key=lambda name: self.lost[name])


def mixed(channels: np.ndarray, mixture: str) -> np.ndarray:
    """One channel of two: float32 (1, samples)."""
    left, right = (np.float32(weight) for weight in MIXTURES[mixture])
    return (left * channels[0] + right * channels[1])[None]


def on_the_clock(
    pieces: Iterable[tuple[float, np.ndarray]], rate: int, believed: Callable[[float], bool]
) -> Iterator[np.ndarray]:
    """Pieces (time in s, float32 (channels, samples)) as one stream without gaps from 0 s on.

    Gaps are silence, overlaps are left out. Timestamps that jump are not followed: one that the next
    contradicts; one back by more than `GLITCH`; and one ahead by more than `LONGEST_GAP`, unless `believed`
    says that the file lasts until then. Such sound goes on where the last one ended.
    """
    source = iter(pieces)
    ahead = next(source, None)
    cursor, begun = 0, False
    while ahead is not None:
        time, samples = ahead
        ahead = next(source, None)
        jitter = JITTER * rate if begun else 0.0
        off = round(time * rate) - cursor
        if abs(off) > jitter and ahead is not None:
            expected = cursor + samples.shape[1]
            if abs(ahead[0] * rate - expected) <= JITTER * rate < abs(off):
                off = 0
        if off < -GLITCH * rate or (off > LONGEST_GAP * rate and not believed(time)):
            off = 0
        if off > jitter:
            for first in range(0, off, rate):
                yield np.zeros((samples.shape[0], min(rate, off - first)), np.float32)
            cursor += off
        elif off < -jitter:
            samples = samples[:, -off:]
        begun = True
        yield samples
        cursor += samples.shape[1]


def steady(
    pictures: Iterable[tuple[float, Any]], believed: Callable[[float], bool]
) -> Iterator[tuple[float, Any]]:
    """(time, picture) of a stream, without jumps of the timestamps that nothing else in the file bears out.

    A picture that lies ahead of the next one by more than `GLITCH` is left out; after a jump of more than
    `LONGEST_GAP` that `believed` does not confirm, the pictures go on where they were.
    """
    source = iter(pictures)
    ahead = next(source, None)
    shift, last, step = 0.0, None, 0.04
    while ahead is not None:
        begins, picture = ahead[0] - shift, ahead[1]
        ahead = next(source, None)
        jump = begins - (last if last is not None else 0.0)
        if jump > GLITCH and ahead is not None and ahead[0] - shift < begins:
            continue
        if jump > LONGEST_GAP and not believed(begins):
            goes_on = 0.0 if last is None else last + step
            shift += begins - goes_on
            begins = goes_on
        elif last is not None and 0 < jump < GLITCH:
            step = jump
        last = begins if last is None else max(last, begins)
        yield begins, picture


class Mending:
    """Takes what is no sound out of a stream, and remembers where it was."""

    def __init__(self, rate: int) -> None:
        self.rate, self.cursor = rate, 0
        self.damaged: list[tuple[float, float]] = []  # s

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """The next piece, float32 (channels, samples), with zeros for what is no sound."""
        wrong = ~(np.abs(samples) <= LOUDEST)
        if wrong.any():
            places = np.flatnonzero(wrong.any(axis=0)) + self.cursor
            first, last = float(places[0] / self.rate), float((places[-1] + 1) / self.rate)
            if self.damaged and first - self.damaged[-1][1] < 0.1:
                first = self.damaged.pop()[0]
            self.damaged.append((first, last))
            samples = np.where(wrong, np.float32(0), samples)
        self.cursor += samples.shape[1]
        return samples


def resampled(
    begun: Sequence[tuple[float, av.AudioFrame]],
    decoded: Iterable[tuple[float, av.AudioFrame]],
    layout: str,
    rate: int,
) -> Iterator[tuple[float, np.ndarray]]:
    """Frames (those begun, then the rest) as float32 (channels, samples) in one layout and at one rate."""
    channels = len(av.AudioLayout(layout).channels)
    mixer = av.AudioResampler(format="fltp", layout=layout, rate=rate)
    for time, frame in chain(begun, decoded):
        try:
            planes = [piece.to_ndarray() for piece in mixer.resample(frame)]
        except (av.FFmpegError, ValueError):
            # layout or rate changed on the way: a new mixer, to the first rate
            mixer = av.AudioResampler(format="fltp", layout=layout, rate=rate)
            planes = [piece.to_ndarray() for piece in mixer.resample(frame)]
        yield time, np.concatenate(planes, axis=1) if planes else np.zeros((channels, 0), np.float32)


def speech(
    pieces: Iterable[tuple[np.ndarray, int]], damaged: list[tuple[float, float]]
) -> Iterator[np.ndarray]:
    """One channel as 16 kHz, piece by piece: float32 (samples,); `damaged` gets where there was no sound."""
    stream = mend = None
    for piece, rate in pieces:
        mend = mend or Mending(rate)
        whole = mend(piece)[0]
        if rate == SAMPLE_RATE:
            yield whole
            continue
        if stream is None:
            stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, np.float32, quality="HQ")
        if len(whole):
            yield stream.resample_chunk(whole.copy())
    if stream is not None:
        yield stream.resample_chunk(np.zeros(0, np.float32), last=True)
    if mend is not None:
        damaged += mend.damaged
