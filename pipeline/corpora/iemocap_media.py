"""The medium of every turn of IEMOCAP: the video of its dialogue or, where there is none, its sound."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.corpora import reading, times
from pipeline.corpora.iemocap_turns import Turn

log = logging.getLogger("pipeline")


class Medium(NamedTuple):
    """The file of a turn and its duration (s, 0 or None if unknown).

    cut: seconds of a turn whose file holds it alone; else None.
    """

    path: Path
    duration: float | None
    cut: float | None


def media_of(turns: Sequence[Turn], found: Mapping[str, Path]) -> dict[str, Medium]:
    """The medium of every turn: its dialogue's video or, where that cannot be opened, its sound, if there.

    Raises PipelineError if no medium can be used.
    """
    videos = {turn.utterance: _video(found[turn.session], turn.dialogue) for turn in turns}
    known, faults = reading.probed(videos.values())
    result: dict[str, Medium] = {}
    for turn in turns:
        path = videos[turn.utterance]
        medium = Medium(path, known[path], None)
        if path in faults:
            medium = _sound(found[turn.session], turn) or medium
        result[turn.utterance] = medium
    sounds, deaf = reading.probed(medium.path for medium in result.values() if medium.path not in known)
    reading.some_usable({medium.path for medium in result.values()}, faults | deaf, "iemocap")
    heard = sum(medium.path in sounds for medium in result.values())
    if heard:
        log.info("iemocap: %d turns have no video that can be opened; their sound files are read", heard)
    return {name: medium._replace(duration=(known | sounds)[medium.path]) for name, medium in result.items()}


def _video(session: Path, dialogue: str) -> Path:
    return session / "dialog" / "avi" / "DivX" / f"{dialogue}.avi"


def _sound(session: Path, turn: Turn) -> Medium | None:
    """The cut sound of a turn, or that of its whole dialogue; None if neither is there."""
    own = session / "sentences" / "wav" / turn.dialogue / f"{turn.utterance}.wav"
    if own.is_file():
        return Medium(own, None, max(turn.end - turn.start, times.TICK))
    whole = session / "dialog" / "wav" / f"{turn.dialogue}.wav"
    return Medium(whole, None, None) if whole.is_file() else None


def times_in(turn: Turn, medium: Medium) -> times.Span:
    """Where in its medium a turn lies."""
    if medium.cut is None:
        return times.span(turn.start, turn.end, medium.duration, turn.where)
    # the file holds the turn and nothing else
    return times.span(0.0, medium.duration or medium.cut, medium.duration, turn.where)
