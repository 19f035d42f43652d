"""Containers of media and the frames of their streams; every defect has a name.

Times are seconds on the media's clock, which begins at the container's start time (0 for almost every file).
Decoding uses one thread.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

import av
from av.container import InputContainer
from av.frame import Frame as AnyFrame
from av.stream import Stream

from pipeline.core import disk
from pipeline.core.absence import FILE_MISSING, UNDECODABLE
from pipeline.core.errors import PipelineError
from pipeline.core.soundtrack import LONGEST_GAP

S = TypeVar("S", bound=Stream)
F = TypeVar("F", bound=AnyFrame)


class MediaAbsence(PipelineError):
    """A medium that cannot give what was asked; `reason` is one of the names of `core.absence`."""

    def __init__(self, reason: str, path: Path, detail: str) -> None:
        super().__init__(f"{path}: {reason}: {detail}")
        self.reason = reason


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Open a container, or raise MediaAbsence."""
    path = Path(path)
    # not Path.is_file, which raises where a folder above may not be looked into
    if not os.path.isfile(path):
        found = disk.kind(path)
        what = "there is no such file" if found == "nothing" else f"it is {found}, and no file"
        raise MediaAbsence(FILE_MISSING, path, what)
    try:
        # absolute: FFmpeg takes a name with a colon for an address
        container = av.open(str(path.absolute()), metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        raise MediaAbsence(UNDECODABLE, path, f"not a media file that can be opened ({error})") from error
    with container:
        yield container


def decodable(streams: Iterable[S]) -> list[S]:
    """Those of the streams that have a decoder, without cover pictures."""
    return [
        stream
        for stream in streams
        if stream.codec_context is not None and not stream.disposition & av.stream.Disposition.attached_pic
    ]


def decode(container: InputContainer, index: int, kind: type[F]) -> Iterator[tuple[float, F]]:
    """(time it begins at, frame) of a stream of this kind, stepping over damaged packets.

    The damaged tail of a file just ends it.
    """
    stream, origin = container.streams[index], begins_at(container)
    stream.codec_context.thread_count = 1
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError:
            return
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError):
            continue
        for frame in frames:
            if isinstance(frame, kind) and frame.time is not None:
                yield frame.time - origin, frame


def pick(path: Path, kind: Literal["video", "audio"], missing: str) -> int:
    """The index (in the container) of the first stream of this kind that yields a frame."""
    return picks(path, kind, missing, most=1)[0]


def picks(path: Path, kind: Literal["video", "audio"], missing: str, most: int | None = None) -> list[int]:
    """The indices (in the container) of the first `most` streams of this kind that yield a frame."""
    with opened(path) as container:
        streams = container.streams.video if kind == "video" else container.streams.audio
        indices = [stream.index for stream in decodable(streams)]
    if not indices:
        raise MediaAbsence(missing, path, f"the file has no {kind} stream with a decoder")
    found: list[int] = []
    for index in indices:
        # a fresh container for each: some formats cannot be rewound
        with opened(path) as container:
            if next(decode(container, index, AnyFrame), None) is not None:
                found.append(index)
        if len(found) == most:
            break
    if not found:
        raise MediaAbsence(UNDECODABLE, path, f"no frame of any {kind} stream can be decoded")
    return found


def lasting(path: Path, besides: int) -> Callable[[float], bool]:
    """Whether the other streams of a file last until a time (s); it is looked through when that is asked."""
    length = cache(lambda: lasted(path, besides))
    return lambda time: time <= length() + 1


def lasted(path: Path, besides: int | None = None) -> float:
    """Seconds until the last packet of the longest stream, without steps of more than `LONGEST_GAP`."""
    lengths: dict[int, float] = {}
    last: dict[int, float] = {}
    with opened(path) as container:
        origin = begins_at(container)
        try:
            for packet in container.demux():
                stamp = packet.dts if packet.dts is not None else packet.pts
                if stamp is None or packet.stream_index == besides or packet.time_base is None:
                    continue
                time, index = float(stamp * packet.time_base) - origin, packet.stream_index
                step = time - last.get(index, 0.0)
                lengths[index] = lengths.get(index, 0.0) + (step if 0 < step <= LONGEST_GAP else 0.0)
                last[index] = time
        except av.FFmpegError:
            pass  # the damaged tail of a file just ends it
    return max(lengths.values(), default=0.0)


def begins_at(container: InputContainer) -> float:
    """The container's start time in seconds; a negative one is encoder priming and is left as it is."""
    return max(0.0, (container.start_time or 0) / av.time_base)
