"""The one door for media: PyAV decodes by timestamp; every defect has a name.

Times are seconds on the media's clock, which begins at the container's start time (0 for almost every
file). A defect of a file raises `MediaAbsence` with one of the reasons of `core.absence`, so that a stage can
record the absence of one utterance and go on with the rest of its shard. Decoding uses one thread.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from pipeline.core.absence import FILE_MISSING, NO_AUDIO, NO_VIDEO, OUT_OF_RANGE, TOO_LARGE, UNDECODABLE
from pipeline.core.errors import PipelineError
from pipeline.core.soundtrack import (
    SAMPLE_RATE,
    Census,
    mixed,
    on_the_clock,
    resampled,
    speech,
    steady,
)
from pipeline.core.streams import MediaAbsence, decodable, decode, lasted, lasting, opened, pick, picks

TrackChoice: TypeAlias = Literal["audible", "first"]
MOST = 2000  # MB (10^6 bytes) of one file's sound, or of one picture
SILENCE = -60.0  # a track whose every second is below this level (dB) is not audible


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


@dataclass(frozen=True)
class Corrupt:
    """In place of a picture from `time` on (s) that the decoder marks as corrupt."""

    time: float


@dataclass(frozen=True)
class Heard:
    """The sound of a file as 16 kHz mono, and what was made of its tracks."""

    samples: np.ndarray  # float32, sample k at k / 16000 s; zeros where it is damaged
    damaged: tuple[tuple[float, float], ...]  # from, until (s): not finite, or far beyond full scale
    index: int  # of the stream in its container
    track: int  # which of the decodable tracks, from 1
    tracks: int
    mixture: str  # how one channel was made of two: a key of MIXTURES

    @property
    def choice(self) -> dict[str, int | str]:
        """What was chosen, of a file that left a choice; else empty."""
        chosen: dict[str, int | str] = {"track": self.track, "of": self.tracks} if self.tracks > 1 else {}
        return chosen | ({"mixture": self.mixture} if self.mixture != "sum" else {})


def probe(path: Path) -> Probe:
    """What a file declares, without decoding it. Raises MediaAbsence if it cannot be opened."""
    with opened(path) as container:
        video = next(iter(decodable(container.streams.video)), None)
        audio = next(iter(decodable(container.streams.audio)), None)
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


def _picture(
    frame: av.VideoFrame, aspect: float, path: Path, most: float, form: VideoReformatter
) -> np.ndarray:
    """RGB pixels, made square (`aspect`: width by height of one), turned upright as the display matrix asks.

    form: the converter of the file. Raises MediaAbsence (too_large) for a picture of more than `most` MB.
    """
    width = max(1, round(frame.width * max(aspect, 1.0)))
    height = max(1, round(frame.height / min(aspect, 1.0)))
    if 3 * width * height > most * 1e6:
        raise MediaAbsence(TOO_LARGE, path, f"a picture of {width} x {height} px is larger than {most:g} MB")
    # one thread, like the decoder: else FFmpeg starts one a core for each picture
    picture = form.reformat(frame, width=width, height=height, format="rgb24", threads=1).to_ndarray()
    turns = round((frame.rotation or 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def frames(path: Path, times: Iterable[float], *, most: float = MOST) -> Iterator[Frame | Corrupt | None]:
    """For each of the sorted `times`, the frame that a player would show; None from the end of the stream on.

    A player shows the last frame that began at or before t (before the first frame: the first one). The
    file is decoded once, from its beginning: a seek is not exact in every format. A frame that serves
    several times in a row is the same object. `times` are asked for as they are needed.

    Raises MediaAbsence (file_missing, undecodable, no_video_stream) before the first frame, and too_large at
    a picture of more than `most` MB.
    """
    index = pick(path, "video", NO_VIDEO)
    with opened(path) as container:
        stream = container.streams.get(index)[0]
        if not isinstance(stream, VideoStream):
            raise TypeError(f"{path}: stream {index} holds no pictures")
        rate, aspect, form = float(stream.average_rate or 0), _aspect(stream), VideoReformatter()
        wanted = _ascending(times)
        time = next(wanted, None)
        shown: tuple[float, av.VideoFrame] | None = None
        step = 1 / rate if rate > 0 else 0.04
        result: Frame | Corrupt | None = None

        def made(begins: float, frame: av.VideoFrame, until: float) -> Frame | Corrupt:
            if frame.is_corrupt:
                return Corrupt(begins)
            return Frame(begins, until, _picture(frame, aspect, path, most, form))

        for begins, frame in steady(decode(container, index, av.VideoFrame), lasting(path, index)):
            # an edit list can leave a first frame before 0; a damaged file, one that goes back
            if shown is not None and begins <= shown[0]:
                continue
            while time is not None and shown is not None and time < begins - 1e-6:
                if result is None or result.time != shown[0]:
                    result = made(*shown, begins)
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
                result = made(*shown, end)
            yield result if time <= end else None
            time = next(wanted, None)


def _ascending(times: Iterable[float]) -> Iterator[float]:
    """The times; raises ValueError at one that is smaller than the one before."""
    last = float("-inf")
    for time in times:
        if time < last:
            raise ValueError("times must be sorted")
        last = time
        yield time


def first_picture(path: Path, *, most: float = MOST) -> Frame:
    """The first picture that is not corrupt; raises MediaAbsence as `frames`, undecodable if all are."""
    number = 0
    for shown in frames(path, (0.04 * step for step in range(1_000_000)), most=most):
        if isinstance(shown, Frame):
            return shown
        if shown is None:
            break
        number += 1
    raise MediaAbsence(UNDECODABLE, path, f"all pictures of the first {0.04 * number:.2f} s are corrupt")


def length(path: Path) -> float:
    """Seconds that a file really holds: until the last packet of its longest stream.

    Steps of its timestamps of more than ten minutes are wrong ones and do not count. Raises MediaAbsence.
    """
    return lasted(path)


def picture_length(path: Path) -> float:
    """Seconds until the last picture begins, by decoding all of them: for files that do not tell.

    Raises MediaAbsence (file_missing, undecodable, no_video_stream).
    """
    index = pick(path, "video", NO_VIDEO)
    with opened(path) as container:
        pictures = steady(decode(container, index, av.VideoFrame), lasting(path, index))
        return max(begins for begins, _ in pictures)


def sound(
    path: Path, layout: str, *, index: int | None = None, mixture: str = "sum", census: Census | None = None
) -> Iterator[tuple[np.ndarray, int]]:
    """A track piece by piece: float32 (channels, samples) and its rate, without gaps.

    layout: `mono` or `stereo`; other channels are mixed (5.1, too); index: of the stream, else the first that
    can be decoded; mixture: how one channel is made of two; census: where their pieces are counted. The first
    sample is at 0 s of the media's clock; gaps between timestamps are silence, overlaps are left out, jumps
    that nothing else in the file bears out are not followed (`on_the_clock`). Samples that are not finite, or
    far beyond full scale, stay.

    Raises MediaAbsence (file_missing, undecodable, no_audio_track) before the first piece.
    """
    index = pick(path, "audio", NO_AUDIO) if index is None else index
    with opened(path) as container:
        decoded = decode(container, index, av.AudioFrame)
        first = next(decoded, None)
        if first is None or first[1].sample_rate <= 0:
            raise MediaAbsence(UNDECODABLE, path, "no sound can be decoded")
        rate = first[1].sample_rate
        pair = layout == "mono" and len(first[1].layout.channels) == 2

        def pieces() -> Iterator[tuple[float, np.ndarray]]:
            planes = resampled([first], decoded, "stereo" if pair else layout, rate)
            for time, samples in planes:
                if not pair:
                    yield time, samples
                    continue
                if census is not None:
                    census.add(np.nan_to_num(samples, posinf=0.0, neginf=0.0))
                yield time, mixed(samples, mixture)

        for piece in on_the_clock(pieces(), rate, lasting(path, index)):
            yield piece, rate


def hear(
    path: Path, spool: Path | None = None, *, track: TrackChoice = "audible", most: float = MOST
) -> Heard:
    """The whole sound of a file as 16 kHz mono.

    Channels are mixed down (5.1, too); two that cancel (counter-phase) are not summed. track: `audible`, the
    first decodable track that is not silent throughout (if all are: the first), or `first`. With `spool` the
    samples go to that file and are read from it as they are needed, so that a long film needs no more memory
    than a short one. Raises MediaAbsence (file_missing, undecodable, no_audio_track), and too_large for sound
    of more than `most` MB (16 kHz mono is 230 MB an hour).
    """
    indices = picks(path, "audio", NO_AUDIO, most=1 if track == "first" else None)
    found: Heard | None = None
    for number, index in enumerate(indices, start=1):
        found = _hear(path, spool, index, most, (number, len(indices)))
        if len(indices) == 1 or _audible(found.samples):
            return found
    return _hear(path, spool, indices[0], most, (1, len(indices)))


def _audible(samples: np.ndarray) -> bool:
    """Whether any second of a sound is louder than `SILENCE`."""
    seconds = range(0, len(samples), SAMPLE_RATE)
    return any(level(samples[first : first + SAMPLE_RATE]) >= SILENCE for first in seconds)


def _hear(path: Path, spool: Path | None, index: int, most: float, place: tuple[int, int]) -> Heard:
    """One track, with the mixture that its channels need."""
    census, mixture = Census(), "sum"
    for _ in range(2):
        damaged: list[tuple[float, float]] = []
        pieces = sound(path, "mono", index=index, mixture=mixture, census=census)
        samples = _gathered(speech(pieces, damaged), path, spool, most)
        if census.best == mixture:
            break
        mixture = census.best
    return Heard(samples, tuple(damaged), index, *place, mixture)


def _gathered(pieces: Iterable[np.ndarray], path: Path, spool: Path | None, most: float) -> np.ndarray:
    """All pieces as one array, in memory or in the file `spool`; raises MediaAbsence."""
    held, size = bytearray(), 0
    with nullcontext() if spool is None else open(spool, "wb") as file:
        for piece in pieces:
            data = np.ascontiguousarray(piece, np.float32).tobytes()
            size += len(data)
            if size > most * 1e6:
                raise MediaAbsence(
                    TOO_LARGE, path, f"its sound is more than {most:g} MB (16 kHz, one channel)"
                )
            if file is None:
                held += data
            else:
                file.write(data)
    if not size:
        raise MediaAbsence(UNDECODABLE, path, "no sound can be decoded")
    return np.frombuffer(held, np.float32) if spool is None else np.memmap(spool, np.float32, "r")


def audio(path: Path, spool: Path | None = None) -> np.ndarray:
    """The samples of `hear`: float32 (samples,), sample k at k / 16000 s."""
    return hear(path, spool).samples


def span(sound: np.ndarray, start: float, end: float) -> tuple[int, int]:
    """First sample of start ... end (s) and the one after the last; neither lies far behind the sound."""
    limit = len(sound) / SAMPLE_RATE + 1
    return round(min(max(0.0, start), limit) * SAMPLE_RATE), round(min(end, limit) * SAMPLE_RATE)


def cut(sound: np.ndarray, start: float, end: float, path: Path) -> np.ndarray:
    """The samples of start ... end (s) out of `audio(path)`; a negative start is clamped to 0.

    Raises MediaAbsence(out_of_range) if the file ends before `start`.
    """
    first, last = span(sound, start, end)
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
