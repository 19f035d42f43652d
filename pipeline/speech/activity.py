"""Where somebody speaks: utterances of a video without a transcript.

Silero's network, which the wheel of faster-whisper ships, tells speech from music and noise.
benchmarks/speech_activity.py compares it with a rule of energy.
"""

from collections.abc import Iterator

import numpy as np
from faster_whisper.vad import VadOptions, get_speech_timestamps

from pipeline.core import media
from pipeline.settings.annotate import SpeechSettings
from pipeline.speech.levels import HOP, STEP, Span, levels, quiet_pieces

PIECE, SEEK = 60.0, 10.0  # s that the network hears at once; cut in the quietest place of the last SEEK


def voiced(sound: np.ndarray, settings: SpeechSettings) -> list[tuple[int, int]]:
    """First and last + 1 frame (STEP s) of every voiced stretch. sound: float32 (samples,), 16 kHz."""
    options = VadOptions(
        threshold=settings.probability,
        min_silence_duration_ms=round(1000 * settings.pause),
        speech_pad_ms=0,
    )
    found = []
    for first, last in quiet_pieces(sound, PIECE, SEEK):
        piece = np.ascontiguousarray(sound[first:last], np.float32)
        for span in get_speech_timestamps(piece, options):
            found.append((round((first + span["start"]) / HOP), round((first + span["end"]) / HOP)))
    return found


def utterances(sound: np.ndarray, settings: SpeechSettings) -> list[Span]:
    """Start and end (s) of every utterance, in order, without overlaps; empty where nobody speaks.

    sound: float32 (samples,) at 16 kHz, may lie on disk. Speech nearer than `pause` is one utterance, speech
    shorter than `shortest` none; what is longer than `longest` is cut where it is quietest.
    """
    if not len(sound):
        return []
    level = levels(sound)
    joined: list[list[int]] = []
    for first, last in voiced(sound, settings):
        if joined and (first - joined[-1][1]) * STEP < settings.pause:
            joined[-1][1] = last
        else:
            joined.append([first, last])
    kept = [(first, last) for first, last in joined if (last - first) * STEP >= settings.shortest]
    pieces = [piece for span in kept for piece in _cut(level, *span, settings)]
    return list(_padded(pieces, len(sound) / media.SAMPLE_RATE, settings.padding))


def _cut(level: np.ndarray, first: int, last: int, settings: SpeechSettings) -> Iterator[tuple[int, int]]:
    """A run in pieces of at most `longest`, each border in the quietest place of its middle third."""
    if (last - first) * STEP <= settings.longest:
        yield first, last
        return
    low, high = first + (last - first) // 3, last - (last - first) // 3
    smooth = np.convolve(level[low:high], np.ones(9) / 9, mode="same")
    # the ends of the smoothed piece are not whole means
    border = low + 4 + int(np.argmin(smooth[4:-4])) if high - low > 16 else (low + high) // 2
    yield from _cut(level, first, border, settings)
    yield from _cut(level, border, last, settings)


def _padded(pieces: list[tuple[int, int]], duration: float, padding: float) -> Iterator[Span]:
    """The pieces in seconds, each with its padding, which never reaches beyond half-way to a neighbour."""
    for place, (first, last) in enumerate(pieces):
        before = pieces[place - 1][1] if place else 0
        after = pieces[place + 1][0] if place + 1 < len(pieces) else duration / STEP
        start = max(first * STEP - padding, (before + first) / 2 * STEP if place else 0.0, 0.0)
        end = min(last * STEP + padding, (last + after) / 2 * STEP if place + 1 < len(pieces) else duration)
        if end > start:
            yield round(start, 3), round(end, 3)


def windows(duration: float, length: float) -> list[Span]:
    """Equal pieces of at most `length` s that cover 0 ... duration (s); empty for no duration."""
    if duration <= 0:
        return []
    edges = np.linspace(0, duration, max(1, int(np.ceil(duration / length - 1e-9))) + 1)
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
