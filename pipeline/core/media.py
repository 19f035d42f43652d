"""The one door for media: PyAV decodes by timestamp; every defect has a name.

Times are seconds on the media's clock, which begins at the container's start time (0 for almost every
file). A defect of a file raises `MediaAbsence` with one of the reasons of `core.absence`, so that a stage can
record the absence of one utterance and go on with the rest of its shard. Decoding uses one thread.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeVar

import av
import numpy as np
import soxr
from av.container import InputContainer
from av.frame import Frame as AnyFrame
from av.stream import Stream
from av.video.stream import VideoStream

from pipeline.core import disk
from pipeline.core.absence import FILE_MISSING, NO_AUDIO, NO_VIDEO, OUT_OF_RANGE, UNDECODABLE
from pipeline.core.errors import PipelineError

S = TypeVar("S", bound=Stream)
F = TypeVar("F", bound=AnyFrame)
SAMPLE_RATE = 16_000

# A gap or an overlap of sound shorter than this is jitter of the timestamps and not missing sound.
_JITTER = 0.02


class MediaAbsence(PipelineError):
    """A medium that cannot give what was asked; `reason` is one of the names of `core.absence`."""

    def __init__(self, reason: str, path: Path, detail: str) -> None:
        super().__init__(f"{path}: {reason}: {detail}")
        self.reason = reason


@dataclass(frozen=True)
class Probe:
    """What a file holds: the duration in seconds (0 if unknown), picture size and rate, sound rate.

    aspect: how many times as wide as high a player shows each stored pixel.
    """

    duration: float
    width: int | None
    height: int | None
    frame_rate: float | None
    sample_rate: int | None
    channels: int | None
    aspect: float = 1.0


@dataclass(frozen=True)
class Frame:
    """One picture, shown from `time` to `until` (s); `picture` is uint8 (height, width, 3) in RGB."""

    time: float
    until: float
    picture: np.ndarray


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
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


def _decodable(streams: Iterable[S]) -> list[S]:
    """Those of the streams that have a decoder, without cover pictures."""
    return [
        stream
        for stream in streams
        if stream.codec_context is not None and not stream.disposition & av.stream.Disposition.attached_pic
    ]


def _decode(container: InputContainer, index: int, kind: type[F]) -> Iterator[tuple[float, F]]:
    """(time it begins at, frame) of a stream of this kind, stepping over damaged packets.

    The damaged tail of a file just ends it.
    """
    stream, origin = container.streams[index], _origin(container)
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


def _pick(path: Path, kind: Literal["video", "audio"], missing: str) -> int:
    """The index (in the container) of the first stream of this kind that yields a frame."""
    with _opened(path) as container:
        streams = container.streams.video if kind == "video" else container.streams.audio
        indices = [stream.index for stream in _decodable(streams)]
    if not indices:
        raise MediaAbsence(missing, path, f"the file has no {kind} stream with a decoder")
    for index in indices:
        # a fresh container for each: some formats cannot be rewound
        with _opened(path) as container:
            if next(_decode(container, index, AnyFrame), None) is not None:
                return index
    raise MediaAbsence(UNDECODABLE, path, f"no frame of any {kind} stream can be decoded")


def _origin(container: InputContainer) -> float:
    """The container's start time in seconds; a negative one is encoder priming and is left as it is."""
    return max(0.0, (container.start_time or 0) / av.time_base)


def probe(path: Path) -> Probe:
    """What a file declares, without decoding it. Raises MediaAbsence if it cannot be opened."""
    with _opened(path) as container:
        video = next(iter(_decodable(container.streams.video)), None)
        audio = next(iter(_decodable(container.streams.audio)), None)
        return Probe(
            duration=(container.duration or 0) / av.time_base,
            width=video.codec_context.width if video else None,
            height=video.codec_context.height if video else None,
            frame_rate=float(video.average_rate) if video and video.average_rate else None,
            sample_rate=audio.codec_context.sample_rate if audio else None,
            channels=audio.codec_context.channels if audio else None,
            aspect=_aspect(video) if video else 1.0,
        )


def _aspect(stream: VideoStream) -> float:
    """Width by height of a pixel; 1 where the file does not tell, or tells what no camera makes."""
    told = float(stream.sample_aspect_ratio or 1)
    return told if 0.2 <= told <= 5 else 1.0


def _picture(frame: av.VideoFrame) -> np.ndarray:
    """RGB pixels, turned upright as the display matrix asks."""
    picture = frame.to_ndarray(format="rgb24")
    turns = round((frame.rotation or 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def frames(path: Path, times: Sequence[float]) -> Iterator[Frame | None]:
    """For each of the sorted `times`, the frame that a player would show; None outside the stream.

    A player shows the last frame that began at or before t (before the first frame: the first one). The
    file is decoded once, from its beginning: a seek is not exact in every format. A frame that serves
    several times in a row is the same object.

    Raises MediaAbsence (file_missing, undecodable, no_video_stream) before the first frame.
    """
    if any(later < earlier for earlier, later in pairwise(times)):
        raise ValueError("times must be sorted")
    index = _pick(path, "video", NO_VIDEO)
    with _opened(path) as container:
        stream = container.streams[index]
        rate = float(stream.average_rate or 0)
        wanted = iter(times)
        time = next(wanted, None)
        shown: tuple[float, av.VideoFrame] | None = None
        step = 1 / rate if rate > 0 else 0.04
        result: Frame | None = None
        for begins, frame in _decode(container, index, av.VideoFrame):
            # an edit list can leave a first frame before 0; a damaged file, one that goes back
            if shown is not None and begins <= shown[0]:
                continue
            while time is not None and shown is not None and time < begins - 1e-6:
                if result is None or result.time != shown[0]:
                    result = Frame(shown[0], begins, _picture(shown[1]))
                yield result
                time = next(wanted, None)
            if time is None:
                return
            if shown is not None:
                step = begins - shown[0]
            shown = (begins, frame)
        if shown is None:
            raise MediaAbsence(UNDECODABLE, path, "no video frame can be decoded")
        # the last frame lasts one step more; a second of grace would invent pictures
        end = shown[0] + max(step, 1 / rate if rate > 0 else 0.0) + 1e-6
        while time is not None:
            if time <= end and (result is None or result.time != shown[0]):
                result = Frame(shown[0], end, _picture(shown[1]))
            yield result if time <= end else None
            time = next(wanted, None)


def picture_length(path: Path) -> float:
    """Seconds until the last picture begins, by decoding all of them: for files that do not tell.

    Raises MediaAbsence (file_missing, undecodable, no_video_stream).
    """
    index = _pick(path, "video", NO_VIDEO)
    with _opened(path) as container:
        return max(begins for begins, _ in _decode(container, index, av.VideoFrame))


def sound(path: Path, layout: str) -> Iterator[tuple[np.ndarray, int]]:
    """The first decodable track piece by piece: float32 (channels, samples) and its rate, without gaps.

    layout: `mono` or `stereo`; other channels are mixed (5.1, too). The first sample is at 0 s of the media's
    clock; gaps between timestamps are silence, overlaps are left out.
    Raises MediaAbsence (file_missing, undecodable, no_audio_track) before the first piece.
    """
    index = _pick(path, "audio", NO_AUDIO)
    channels = len(av.AudioLayout(layout).channels)
    cursor, rate, mixer, begun = 0, 0, None, False
    with _opened(path) as container:
        for time, frame in _decode(container, index, av.AudioFrame):
            if mixer is None:
                rate = frame.sample_rate
                mixer = av.AudioResampler(format="fltp", layout=layout, rate=rate)
            begins = round(time * rate)
            try:
                mixed = [piece.to_ndarray() for piece in mixer.resample(frame)]
            except (av.FFmpegError, ValueError):
                # layout or rate changed on the way: a new mixer, to the first rate
                mixer = av.AudioResampler(format="fltp", layout=layout, rate=rate)
                mixed = [piece.to_ndarray() for piece in mixer.resample(frame)]
            samples = np.concatenate(mixed, axis=1) if mixed else np.zeros((channels, 0), np.float32)
            if begins > cursor + (_JITTER * rate if begun else 0):
                # a damaged timestamp can leave a gap of hours
                for first in range(cursor, begins, rate):
                    yield np.zeros((channels, min(rate, begins - first)), np.float32), rate
                cursor = begins
            elif begins < cursor - (_JITTER * rate if begun else 0):
                samples = samples[:, cursor - begins :]
            begun = True
            yield np.nan_to_num(samples, posinf=0.0, neginf=0.0), rate
            cursor += samples.shape[1]
    if not begun or rate <= 0:
        raise MediaAbsence(UNDECODABLE, path, "no sound can be decoded")


def _speech(path: Path) -> Iterator[np.ndarray]:
    """The sound as 16 kHz mono, piece by piece: float32 (samples,)."""
    stream = None
    for piece, rate in sound(path, "mono"):
        if rate == SAMPLE_RATE:
            yield piece[0]
            continue
        if stream is None:
            stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, np.float32, quality="HQ")
        if piece.shape[1]:
            yield stream.resample_chunk(piece[0].copy())
    if stream is not None:
        yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def audio(path: Path, spool: Path | None = None) -> np.ndarray:
    """The whole sound of a file as 16 kHz mono: float32 (samples,), sample k at k / 16000 s.

    Channels are mixed down (5.1, too); gaps between timestamps are silence. With `spool` the samples go to
    that file and are read from it as they are needed, so that a long film needs no more memory than a short
    one. Raises MediaAbsence (file_missing, undecodable, no_audio_track).
    """
    if spool is None:
        return np.concatenate(list(_speech(path)))
    with open(spool, "wb") as file:
        for piece in _speech(path):
            file.write(np.ascontiguousarray(piece, np.float32).tobytes())
    if not spool.stat().st_size:
        raise MediaAbsence(UNDECODABLE, path, "no sound can be decoded")
    return np.memmap(spool, np.float32, "r")


def cut(sound: np.ndarray, start: float, end: float, path: Path) -> np.ndarray:
    """The samples of start ... end (s) out of `audio(path)`; a negative start is clamped to 0.

    Raises MediaAbsence(out_of_range) if the file ends before `start`.
    """
    first, last = round(max(0.0, start) * SAMPLE_RATE), round(end * SAMPLE_RATE)
    if first >= len(sound) or last <= first:
        seconds = len(sound) / SAMPLE_RATE
        raise MediaAbsence(
            OUT_OF_RANGE, path, f"{start:.3f}-{end:.3f} s was asked, the sound ends at {seconds:.3f} s"
        )
    return sound[first:last]


def level(sound: np.ndarray) -> float:
    """Root mean square in dB relative to full scale (-inf for digital silence or no samples)."""
    power = float(np.mean(np.square(sound, dtype=np.float64))) if len(sound) else 0.0
    return 10 * float(np.log10(power)) if power > 0 else float("-inf")


def check_readable(
    paths: Sequence[str],
    reasons: Sequence[str | None],
    faults: Sequence[str] = (FILE_MISSING, UNDECODABLE),
) -> None:
    """Raise PipelineError if not one file of a shard could be read: that is a wrong path, not a corpus.

    paths, reasons: of the utterances whose media were asked for; faults: the reasons that count as unread.
    """
    # one or two broken files can fill a small shard; they are absences
    if len(set(paths)) > 2 and all(reason in faults for reason in reasons):
        raise PipelineError(
            f"not one of the {len(set(paths))} media files of this shard could be read; the first is "
            f"{paths[0]}. Check the corpus folder in the config, and that this machine sees it."
        )
