"""Adapter of a folder of one's own: videos, each with a transcript of the same name beside it.

One file is one dialogue, one cue an utterance. Labels are optional: without any, features can be extracted
and nothing can be trained. They come from the CSVs, or from one table of times for all media, and so do
splits; else those are drawn by dialogue.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import polars as pl

from pipeline.core import artefacts
from pipeline.core.disk import kind
from pipeline.core.errors import PipelineError
from pipeline.core.splits import SPLITS
from pipeline.corpora import reading, siblings, times, timetable, transcripts
from pipeline.corpora.drawing import given_or_drawn
from pipeline.corpora.listing import files, no_files, once
from pipeline.corpora.rows import Corpus
from pipeline.corpora.timetable import Entry
from pipeline.corpora.transcripts import Cue
from pipeline.settings.corpora import FolderSettings
from pipeline.settings.corpus import CorpusSettings

log = logging.getLogger("pipeline")

# recognised sentences of media without a transcript, one a row (docs/artefacts.md)
TOLD = {
    "media": pl.String,
    "start": pl.Float64,
    "end": pl.Float64,
    "text": pl.String,
    "words_confidence": pl.Float32,
}
# the same with who says them (null: nobody can be told)
SAID = {**TOLD, "speaker": pl.String}

# seconds given to a file that does not tell its duration
UNTOLD = 1.0
# what counts as a medium, whatever the machine's table of types says (docs/corpora/folder.md)
VIDEOS = (
    ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".m1v", ".m2ts", ".m2v", ".m4v", ".mkv",
    ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".ts",
    ".vob", ".webm", ".wmv",
)  # fmt: skip
SOUNDS = (
    ".aac", ".ac3", ".aif", ".aiff", ".amr", ".au", ".flac", ".m4a", ".m4b", ".mka", ".mp2", ".mp3", ".oga",
    ".ogg", ".opus", ".wav", ".weba", ".wma",
)  # fmt: skip


def pairs(folder: Path, untranscribed: str, time_table: str = "") -> dict[Path, Path | None]:
    """Each medium below the folder and its transcript (None: whole, without words).

    time_table: a file below the folder that is no transcript.

    Raises PipelineError for a medium without a transcript (where that is an error), a transcript without a
    medium, two transcripts or two media of one name, what has such a name and is no file, or a folder
    without any.
    """
    for path, _ in no_files(folder):
        if path.suffix.lower() in VIDEOS + SOUNDS:
            raise _no_medium(path)
    media: dict[Path, list[Path]] = {}
    texts: list[Path] = []
    # of a folder that is linked in twice one counts, for its dialogues would lie in two splits
    for path in sorted(once(files(folder))):
        if siblings.is_transcript(path) and path != folder / time_table:
            texts.append(path)
        elif path.suffix.lower() in VIDEOS + SOUNDS:
            media.setdefault(path.with_suffix(""), []).append(path)
    spoken = _by_name(texts, media)
    for what, found in (("media", media), ("transcripts", spoken)):
        for same in found.values():
            if len(same) > 1:
                raise PipelineError(
                    f"{same[0]} and {same[1]}: two {what} of one name. Rename one, or move it elsewhere."
                )
    if not media:
        raise PipelineError(
            f"{folder}: there is no usable media in it or below. Put videos there, each with a .srt, .vtt or "
            ".csv of the same name."
        )
    alone = sorted(set(spoken) - set(media))
    if alone:
        _no_folder(alone[0])
        raise PipelineError(
            f"{spoken[alone[0]][0]}: a transcript without a video of the same name beside it. Add the video "
            "(docs/corpora/folder.md lists the endings), or move the file elsewhere."
        )
    bare = sorted(set(media) - set(spoken))
    for place in sorted({name.parent for name in bare}):
        siblings.check_files(place.iterdir(), {name.name for name in bare if name.parent == place})
    if bare and untranscribed == "error":
        raise PipelineError(
            f"{media[bare[0]][0]}: no transcript of the same name (.srt, .vtt, .csv) beside it "
            f"({len(bare)} such file(s)). Add it, or set corpus.own.untranscribed to whole, or to recognised."
        )
    return {media[name][0]: spoken[name][0] if name in spoken else None for name in sorted(media)}


def bare(folder: Path, group: int, groups: int, time_table: str = "") -> list[Path]:
    """The media without a transcript that fall to one of the groups, by their names alone.

    time_table: as of `pairs`, and so are the errors.
    """
    return [
        path
        for path, transcript in pairs(folder, "recognised", time_table).items()
        if transcript is None and crc32(path.relative_to(folder).as_posix().encode()) % groups == group
    ]


def _by_name(found: Sequence[Path], media: Mapping[Path, Sequence[Path]]) -> dict[Path, list[Path]]:
    """The transcripts by the medium that they name; one with a language only where none is without."""
    spoken: dict[Path, list[Path]] = {}
    tagged: dict[Path, list[Path]] = {}
    for path in found:
        own, name = path.with_suffix(""), siblings.untagged(path)
        if name is not None and own not in media and path.with_name(name) in media:
            tagged.setdefault(path.with_name(name), []).append(path)
        else:
            spoken.setdefault(own, []).append(path)
    for own, paths in tagged.items():
        if own in spoken:
            others = ", ".join(path.name for path in paths)
            log.info("%s: it is read; others are not: %s", spoken[own][0], others)
        else:
            spoken[own] = paths
    return spoken


def _no_medium(path: Path) -> PipelineError:
    """The error of what has the name of a medium and is no file."""
    return PipelineError(
        f"{path}: it is {kind(path)}, and a file with picture or sound is expected. Put the file there (or "
        "mount the disk that the link leads to), or move it and its transcript elsewhere."
    )


def _no_folder(name: Path) -> None:
    """Raise PipelineError if what has the name of a medium with a transcript is a folder."""
    for path in sorted(name.parent.iterdir()):
        if path.stem == name.name and path.suffix.lower() in VIDEOS + SOUNDS:
            raise _no_medium(path)


def label_names(told: Iterable[Cue | Entry], named: Sequence[str]) -> tuple[str, ...]:
    """The label names of the config, or those found, sorted; raises PipelineError for one not named."""
    found = [(one.label, one.where) for one in told if one.label is not None]
    if not named:
        return tuple(sorted({label for label, _ in found}))
    for label, where in found:
        reading.known_label(label, named, where)
    return tuple(named)


def _split_of(rows: Sequence[Cue | Entry]) -> str | None:
    """The one split of a dialogue; raises PipelineError if its rows name two, or an unknown one."""
    for row in rows:
        if row.split not in (None, *SPLITS):
            raise PipelineError(f"{row.where}, column split: {row.split!r} is not train, val or test.")
        if row.split != rows[0].split:
            raise PipelineError(
                f"{row.where}, column split: {row.split!r}, but this file began with {rows[0].split!r}. A "
                "dialogue lies in one split."
            )
    return rows[0].split if rows else None


def _split(cues: Sequence[Cue], entries: Sequence[Entry]) -> str | None:
    """The split of a dialogue by transcript or time table; raises PipelineError if they name two."""
    own, told = _split_of(cues), _split_of(entries)
    if own is not None and told is not None and own != told:
        raise PipelineError(
            f"{entries[0].where}, column split: {told!r}, but the transcript of the file says {own!r}. Leave "
            "it out in one of them."
        )
    return own or told


def _timed(own: FolderSettings, folder: Path, known: Mapping[Path, float | None]) -> dict[Path, list[Entry]]:
    """The rows of the time table by medium, none if there is no table."""
    return timetable.read(folder / own.time_table, folder, known, own.task) if own.time_table else {}


def _score(cue: Cue) -> float | None:
    return None if cue.score is None else reading.score(cue.score, f"{cue.where}, column score")


class Sentence(NamedTuple):
    """A recognised sentence."""

    cue: Cue  # of nobody
    confidence: float
    voice: str | None  # the speaker, where voices are told apart


def recognised(parts: Sequence[Path], speakers: str) -> dict[str, list[Sentence]]:
    """By medium its recognised sentences; speakers: as corpus.own.speakers."""
    found: dict[str, list[Sentence]] = {}
    columns = SAID if speakers == "found" else TOLD
    for part in parts:
        for row in artefacts.load_table(part, columns).iter_rows(named=True):
            path = row["media"]
            cue = Cue(row["start"], row["end"], row["text"], path)
            own = Sentence(cue, row["words_confidence"], row.get("speaker"))
            found.setdefault(path, []).append(own)
    return found


def _voiced(cues: Sequence[Cue], sentences: Sequence[Sentence]) -> list[Cue]:
    """The cues of these sentences, with the voice as the speaker of those that no table names one for."""
    return [
        replace(cue, speaker=own.voice) if own.voice and cue.speaker == transcripts.UNKNOWN else cue
        for cue, own in zip(cues, sentences, strict=True)
    ]


def read(settings: CorpusSettings, parts: Sequence[Path]) -> Corpus:
    """All utterances of all transcripts.

    parts: the sentences of media without one, if they are recognised (tables of the stage transcripts, or of
    the stage voices if the speakers are found).

    Raises PipelineError for what `pairs` and the transcripts find, or if no medium can be used.
    """
    own = settings.own
    folder = reading.root(settings)
    found = pairs(folder, own.untranscribed, own.time_table)
    known = reading.durations(found, "folder")
    timed = _timed(own, folder, known)
    heard = recognised(parts, own.speakers)
    cues: dict[Path, list[Cue]] = {}
    repaired: Counter[str] = Counter()
    for path, transcript in found.items():
        if path.as_posix() in heard:
            cues[path] = [sentence.cue for sentence in heard[path.as_posix()]]
        elif transcript is None:
            cues[path] = [Cue(0.0, known[path] or UNTOLD, None, path.as_posix())]
        else:
            cues[path], counts = transcripts.told(transcript)
            repaired.update(counts)
            if not cues[path]:
                raise PipelineError(
                    f"{transcript}: it holds no utterance. Complete it, or move it elsewhere."
                )
    for path, entries in timed.items():
        cues[path] = timetable.labelled(cues[path], entries, own.covered)
    for path, utterances in cues.items():
        if sentences := heard.get(path.as_posix()):
            cues[path] = _voiced(utterances, sentences)
    told: list[Cue | Entry] = [*chain.from_iterable(timed.values()), *chain.from_iterable(cues.values())]
    labels = label_names(told, own.labels) if own.task == "classification" else ()
    rows = []
    for path, utterances in cues.items():
        dialogue = path.relative_to(folder).with_suffix("").as_posix()
        split = _split(utterances, timed.get(path, []))
        sure = [sentence.confidence for sentence in heard.get(path.as_posix(), [])]
        for position, cue in enumerate(utterances):
            own_times = times.span(cue.start, cue.end, known[path], cue.where)
            rows.append(
                {
                    "corpus": "folder",
                    "dialogue": dialogue,
                    "position": position,
                    "utterance": f"{dialogue}_{position:04d}",
                    "speaker": cue.speaker,
                    "text": cue.text,
                    "label": labels.index(cue.label) if labels and cue.label is not None else None,
                    "score": _score(cue) if own.task == "regression" else None,
                    "media": path.as_posix(),
                    "group": "main",
                    "words": None if cue.text is None else "recognised" if sure else "given",
                    "words_confidence": sure[position] if sure else None,
                    "split": split,
                    **own_times._asdict(),
                }
            )
    log.info("folder: %d files, %d utterances, labels %s", len(cues), len(rows), labels)
    if own.time_table:
        target = "label" if own.task == "classification" else "score"
        bare_rows = sum(row[target] is None for row in rows)
        log.info("folder: with the time table %d of %d utterances have no %s", bare_rows, len(rows), target)
    if repaired:
        log.info("folder: repaired or left out of all transcripts: %s", dict(repaired))
    return Corpus(reading.table(rows, words=own.untranscribed == "recognised"), labels, own.task)


def splits(rows: pl.DataFrame, settings: CorpusSettings, fold: str) -> pl.DataFrame:
    """The splits of the transcripts, or drawn ones; there is one fold, `main`."""
    return given_or_drawn(rows, settings, settings.own.test)
