"""Transcripts of one video: SubRip (.srt), WebVTT (.vtt), or CSV."""

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pipeline.corpora import captions, markup, reading, subtitles, times

log = logging.getLogger("pipeline")

UNKNOWN = "unknown"
VOICES = "cues of several voices"
EMPTY = "cells that hold a missing value (nan)"


@dataclass(frozen=True)
class Cue:
    """One utterance of a transcript; start and end in seconds, None for what it does not say."""

    start: float
    end: float
    text: str | None
    where: str
    speaker: str = UNKNOWN
    label: str | None = None
    score: float | None = None
    split: str | None = None


def read(path: Path) -> list[Cue]:
    """The cues of a transcript in order of their starts, as of `told`; what was repaired is logged."""
    return told(path)[0]


def told(path: Path) -> tuple[list[Cue], dict[str, int]]:
    """The cues of a transcript in order of their starts; and what was repaired or left out, with its counts.

    CSV columns: start, end (seconds or hh:mm:ss,ms); optional speaker, text, label, score, split. WebVTT
    names speakers by voice tags, recognisers in brackets before the words. A cue of several voices is an
    utterance of each, and one may end where it begins. Raises PipelineError naming file and row for a missing
    column, a time that cannot be read, or an end before its start.
    """
    cues, repaired = _from_csv(path) if path.suffix.lower() == ".csv" else _from_subtitles(path)
    for cue in cues:
        times.in_order(cue.start, cue.end, cue.where)
    counts = {what: count for what, count in repaired.items() if count}
    if counts:
        log.info("%s: %d utterances; repaired or left out: %s", path, len(cues), counts)
    return sorted(cues, key=lambda cue: (cue.start, cue.end)), counts


def time_of(text: str | None, where: str) -> float:
    """Seconds, written as a number or with colons."""
    return reading.seconds(text, where) if ":" in (text or "") else reading.number(text, where)


def _from_csv(path: Path) -> tuple[list[Cue], Counter[str]]:
    cues = []
    repaired: Counter[str] = Counter()
    for line in reading.read_csv(path, ("start", "end"), row="line").iter_rows(named=True):
        where = f"{path}, row {line['line']}"
        names = ("speaker", "text", "label", "score", "split")
        cells = {name: reading.cell(line.get(name)) for name in names}
        repaired[EMPTY] += sum((line.get(name) or "").strip() in reading.NAN for name in names)
        score, speaker, text = cells["score"], cells["speaker"], cells["text"]
        if speaker is None and text is not None:
            speaker, text = markup.labelled(text)
        cues.append(
            Cue(
                time_of(line["start"], f"{where}, column start"),
                time_of(line["end"], f"{where}, column end"),
                text or None,
                where,
                speaker or UNKNOWN,
                cells["label"],
                None if score is None else reading.number(score, f"{where}, column score"),
                cells["split"],
            )
        )
    return cues, repaired


def _from_subtitles(path: Path) -> tuple[list[Cue], Counter[str]]:
    """The cues of .srt and .vtt, one a voice."""
    found, repaired = subtitles.blocks(reading.read_text(path), path)
    found, left = captions.unrolled(found)
    cues = []
    for block in found:
        spoken = markup.voices("\n".join(block.lines))
        repaired[VOICES] += len(spoken) > 1
        for speaker, text in spoken:
            cues.append(Cue(block.start, block.end, text, block.where, speaker or UNKNOWN))
    return cues, repaired + left
