"""A table of the user's that labels stretches of media, whatever utterances they turn out to hold.

Columns: `file`, `label` (or `score`); `start` and `end` (without them, or with both empty, the whole file);
`speaker` and `split` as one has them.
"""

import difflib
import logging
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf
from pathlib import Path

import polars as pl

from pipeline.core.errors import PipelineError
from pipeline.corpora import reading, tables
from pipeline.corpora.transcripts import UNKNOWN, Cue, time_of

log = logging.getLogger("pipeline")

LINE = " line"  # a column of ours for the number of the row
OPTIONAL = ("start", "end", "speaker", "split")
SLACK = 0.5  # s that a row may end after its file, for the lengths that files declare are rounded


@dataclass(frozen=True)
class Entry:
    """A row: what is so from `start` to `end` (s; inf: to the end), None for what it does not say."""

    start: float
    end: float
    where: str
    label: str | None = None
    score: float | None = None
    speaker: str | None = None
    split: str | None = None

    def shared(self, start: float, end: float) -> float:
        """Seconds of start ... end that the row covers."""
        return max(0.0, min(end, self.end) - max(start, self.start))


def read(
    path: Path, folder: Path, durations: Mapping[Path, float | None], task: str
) -> dict[Path, list[Entry]]:
    """The rows of a table (CSV or Parquet) by medium, in order of their starts.

    durations: of every medium of the folder (s; 0 or None: not known). task: `classification` (the column
    label is needed) or `regression` (score). Raises PipelineError naming the row for a file that is not in
    the folder, times that are none or go past the end of the file, and rows of one file that overlap.
    """
    if not path.is_file():
        raise PipelineError(
            f"config, key corpus.own.time_table: there is no file {path}. Name a .csv or .parquet below "
            "corpus.folder, or leave the key empty."
        )
    target = "label" if task == "classification" else "score"
    table = _cells(path, ("file", target))
    known = {}
    for medium in durations:
        name = medium.relative_to(folder)
        known[name.as_posix()] = known[name.with_suffix("").as_posix()] = medium
    found: dict[Path, list[Entry]] = {}
    for row in table.iter_rows(named=True):
        where = f"{path}, row {row[LINE]}"
        medium = _medium(row["file"], known, where)
        start, end = _times(row["start"], row["end"], durations[medium], where)
        score = row["score"] if target == "score" else None
        entry = Entry(
            start,
            end,
            where,
            row["label"] if target == "label" else None,
            None if score is None else reading.score(reading.number(score, where), f"{where}, column score"),
            row["speaker"],
            row["split"],
        )
        found.setdefault(medium, []).append(entry)
    for medium, entries in found.items():
        found[medium] = _apart(entries)
    return found


def _cells(path: Path, needed: Sequence[str]) -> pl.DataFrame:
    """The table as text without blanks around, null where a cell is empty; raises PipelineError."""
    if path.suffix.lower() == ".parquet":
        table = tables.read_parquet(path, needed).drop(LINE, strict=False).with_row_index(LINE, 2)
    elif path.suffix.lower() == ".csv":
        table = tables.read_csv(path, needed, LINE)
    else:
        raise PipelineError(
            f"config, key corpus.own.time_table: {path} is neither .csv nor .parquet. Save the table as one "
            "of them."
        )
    if ("start" in table.columns) != ("end" in table.columns):
        there, gone = ("start", "end") if "start" in table.columns else ("end", "start")
        raise PipelineError(
            f"{path}: it has a column {there!r} and no {gone!r}. Add it, or leave out both, so that a row is "
            "of its whole file."
        )
    columns: list[str | pl.Series] = [LINE]
    for name in (*needed, *OPTIONAL):
        if name in table.columns:
            cells = [reading.cell(value) for value in tables.as_text(path, table, name)]
        else:
            cells = [None] * table.height
        columns.append(pl.Series(name, cells, pl.String))
    return table.select(columns)


def _medium(name: str | None, known: Mapping[str, Path], where: str) -> Path:
    if name is None:
        raise PipelineError(f"{where}, column file: it is empty. Name a file, as a path below corpus.folder.")
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "it names files as paths below corpus.folder."
    raise PipelineError(
        f"{where}, column file: there is no medium {name!r} in the folder; {hint} Mend the row, or remove it."
    )


def _times(begins: str | None, ends: str | None, duration: float | None, where: str) -> tuple[float, float]:
    """Start and end (s) of a row, the whole file if it has neither; raises PipelineError."""
    if begins is None and ends is None:
        return 0.0, inf
    start, end = time_of(begins, f"{where}, column start"), time_of(ends, f"{where}, column end")
    if not 0 <= start < end:
        raise PipelineError(
            f"{where}: from {start:g} s to {end:g} s is no stretch of a file. Mend the times: 0 or more, and "
            "the end after the start."
        )
    if duration and end > duration + SLACK:
        raise PipelineError(
            f"{where}: it ends at {end:g} s, and its file at {duration:g} s. Mend the time, or the name of "
            "the file."
        )
    return start, end


def _apart(entries: Sequence[Entry]) -> list[Entry]:
    """The rows of one file by their starts; raises PipelineError for two that overlap."""
    ordered = sorted(entries, key=lambda entry: (entry.start, entry.end))
    for before, after in pairwise(ordered):
        if after.start < before.end - 1e-6:
            raise PipelineError(
                f"{after.where}: it begins at {after.start:g} s, before {before.where.rpartition(', ')[2]} "
                f"of the same file ends ({_end(before)}). An utterance has one label: let them not overlap."
            )
    return ordered


def _end(entry: Entry) -> str:
    return "the end of the file" if entry.end == inf else f"{entry.end:g} s"


def best(entries: Sequence[Entry], start: float, end: float, covered: float) -> Entry | None:
    """The row that covers most of start ... end (s), the earlier of two; None if that is less than `covered`.

    entries: of one file, in order and without overlaps. covered: a share of the utterance.
    """
    # rows that begin before the utterance ends; from the last of them back to the first that reaches it
    place = bisect_right(entries, end, key=lambda entry: entry.start)
    reaching = []
    while place and entries[place - 1].end > start:
        place -= 1
        reaching.append(entries[place])
    found = max(reversed(reaching), key=lambda entry: entry.shared(start, end), default=None)
    # 1e-9: a share that is met exactly, in floating point
    enough = found is not None and found.shared(start, end) >= covered * (end - start) - 1e-9
    return found if enough else None


def labelled(cues: Sequence[Cue], entries: Sequence[Entry], covered: float) -> list[Cue]:
    """The utterances of one file with label, score and speaker of the row that covers most of each.

    Raises PipelineError for an utterance that has a label or score of its own.
    """
    result = []
    for cue in cues:
        entry = best(entries, cue.start, cue.end, covered)
        if entry is None:
            result.append(cue)
            continue
        told = entry.label is not None or entry.score is not None
        if told and (cue.label is not None or cue.score is not None):
            raise PipelineError(
                f"{cue.where}: it has a label or score of its own, and {entry.where} has one for the same "
                "time. Leave the row out of the table, or the column out of the transcript."
            )
        speaker = entry.speaker if entry.speaker and cue.speaker == UNKNOWN else cue.speaker
        label, score = (entry.label, entry.score) if told else (cue.label, cue.score)
        result.append(replace(cue, label=label, score=score, speaker=speaker))
    return result
