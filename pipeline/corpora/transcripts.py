"""Transcripts of one video: SubRip (.srt), WebVTT (.vtt), or CSV."""

import html
import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.corpora import reading

SUFFIXES = (".srt", ".vtt", ".csv")
TIMING = re.compile(r"\s*([\d:.,]+)\s+-->\s+([\d:.,]+)(?:\s.*)?")
VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
# of ASS, which .srt files borrow: {\an8}, {\i1}
OVERRIDE = re.compile(r"\{\\[^}]*\}")
TAG = re.compile(r"</?[A-Za-z][^>]*>|<\d[\d:.]*>")
UNKNOWN = "unknown"


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
    """The cues of a transcript in order of their starts.

    CSV columns: start, end (seconds or hh:mm:ss,ms); optional speaker, text, label, score, split. WebVTT
    names speakers by voice tags. Raises PipelineError naming file and row for a missing column, a time that
    cannot be read, or an end that is not after its start.
    """
    cues = _from_csv(path) if path.suffix.lower() == ".csv" else _from_subtitles(path)
    for cue in cues:
        if cue.end <= cue.start:
            raise PipelineError(f"{cue.where}: ends at {cue.end} s, starts at {cue.start} s. Mend the times.")
    return sorted(cues, key=lambda cue: (cue.start, cue.end))


def _time(text: str | None, where: str) -> float:
    """Seconds, written as a number or with colons."""
    return reading.seconds(text, where) if ":" in (text or "") else reading.number(text, where)


def _from_csv(path: Path) -> list[Cue]:
    cues = []
    for line in reading.read_csv(path, ("start", "end"), row="line").iter_rows(named=True):
        where = f"{path}, row {line['line']}"
        cells = {
            name: (line.get(name) or "").strip() or None
            for name in ("speaker", "text", "label", "score", "split")
        }
        score = cells["score"]
        cues.append(
            Cue(
                _time(line["start"], f"{where}, column start"),
                _time(line["end"], f"{where}, column end"),
                cells["text"],
                where,
                cells["speaker"] or UNKNOWN,
                cells["label"],
                None if score is None else reading.number(score, f"{where}, column score"),
                cells["split"],
            )
        )
    return cues


def _from_subtitles(path: Path) -> list[Cue]:
    """Cues of .srt and .vtt: blocks with a line of times; other blocks (notes, styles) are passed over."""
    cues = []
    lines = [*reading.read_text(path).splitlines(), ""]
    place = 0
    while place < len(lines):
        found = TIMING.fullmatch(lines[place])
        if not found:
            if "-->" in lines[place]:
                raise PipelineError(
                    f"{path}, line {place + 1}: {lines[place]!r} is no line of times. Mend it."
                )
            place += 1
            continue
        where = f"{path}, line {place + 1}"
        start, end = (reading.seconds(text, where) for text in found.groups())
        place += 1
        spoken = []
        while lines[place].strip():
            spoken.append(lines[place].strip())
            place += 1
        text = " ".join(spoken)
        voice = VOICE.search(text)
        speaker = html.unescape(voice[1]).strip() if voice else UNKNOWN
        cues.append(Cue(start, end, words(text).strip() or None, where, speaker))
    return cues


def words(text: str) -> str:
    """What is said in the text of a cue: without tags, its entities resolved."""
    return html.unescape(TAG.sub("", OVERRIDE.sub("", text)))


def as_text(said: str) -> str:
    """What stands in a cue so that `words` gives `said` back, line by line and without its blank lines."""
    lines = (line.strip() for line in said.splitlines())
    # a brace before a backslash would begin an override
    return "\n".join(html.escape(line, quote=False).replace("{\\", "&#123;\\") for line in lines if line)
