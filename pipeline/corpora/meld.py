"""Adapter of MELD: dialogues of a television series, one clip an utterance.

The video trees are found wherever they are nested below the folder. Ids repeat across splits, so names begin
with the split; positions are Utterance_IDs, which have gaps. A clip that is missing or broken stays a row.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.core import artefacts
from pipeline.core.absence import WRONG_CUT
from pipeline.core.errors import PipelineError
from pipeline.corpora import reading, times
from pipeline.corpora.counts import compare
from pipeline.corpora.listing import files, once
from pipeline.corpora.rows import Corpus, own_splits
from pipeline.settings.corpora import MeldSettings
from pipeline.settings.corpus import CorpusSettings

log = logging.getLogger("pipeline")

LABELS = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
TABLES = {"train": "train_sent_emo.csv", "dev": "dev_sent_emo.csv", "test": "test_sent_emo.csv"}
TREES = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
SPLITS = {"train": "train", "dev": "val", "test": "test"}
COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID", "StartTime", "EndTime")
CLIP = re.compile(r"(final_videos_test)?dia(\d+)_utt(\d+)\.mp4")
EXPECTED = {
    "train utterances": 9989,
    "dev utterances": 1109,
    "test utterances": 2610,
    "train dialogues": 1038,
    "dev dialogues": 114,
    "test dialogues": 280,
}

APART = 0.5  # s by which a clip may differ from its label file
LEAST = 0.1  # s; a label file that says less is itself wrong (test dia155_utt3, train dia338_utt3)

Key = tuple[str, int, int]


@dataclass(frozen=True)
class Annotation:
    """One line of a label file; `seconds` is how long it says that the utterance lasts."""

    part: str
    dialogue: int
    position: int
    speaker: str
    text: str | None
    label: str
    seconds: float
    where: str

    @property
    def key(self) -> Key:
        return self.part, self.dialogue, self.position


def _label_file(folder: Path, name: str) -> Path:
    """The label file of this name; copies of equal content count as one."""
    found = sorted(path for path in files(folder) if path.name == name)
    if not found:
        raise PipelineError(
            f"{folder}: there is no {name} in it or below. Place MELD's three label files there "
            "(docs/corpora/meld.md says where they come from)."
        )
    if len({artefacts.file_digest(path) for path in found}) > 1:
        raise PipelineError(
            f"{folder}: {name} exists in unequal copies: {found[0]} and {found[1]}. Keep the right one only."
        )
    return found[0]


def annotations(folder: Path) -> list[Annotation]:
    """All lines of the three label files; needs no video.

    Raises PipelineError naming file and row for a missing column, an unknown label, a duplicate or a time
    that cannot be read.
    """
    result: list[Annotation] = []
    for part, name in TABLES.items():
        path = _label_file(folder, name)
        seen: dict[Key, str] = {}
        for line in reading.read_csv(path, COLUMNS, row="line").iter_rows(named=True):
            where = f"{path}, row {line['line']}"
            ids = []
            for column in ("Dialogue_ID", "Utterance_ID"):
                ids.append(reading.whole(line[column], f"{where}, column {column}"))
            start = reading.seconds(line["StartTime"], f"{where}, column StartTime")
            end = reading.seconds(line["EndTime"], f"{where}, column EndTime")
            times.in_order(start, end, where)
            entry = Annotation(
                part,
                ids[0],
                ids[1],
                reading.cell(line["Speaker"]) or "unknown",
                (line["Utterance"] or "").strip() or None,
                reading.known_label((line["Emotion"] or "").strip().lower(), LABELS, where),
                end - start,
                where,
            )
            reading.first_only(seen, entry.key, where)
            result.append(entry)
    return result


def found_counts(entries: Sequence[Annotation]) -> dict[str, int]:
    """The counts of EXPECTED in these annotations."""
    counts = {}
    for part in TABLES:
        own = [entry for entry in entries if entry.part == part]
        counts[f"{part} utterances"] = len(own)
        counts[f"{part} dialogues"] = len({entry.dialogue for entry in own})
    return counts


def clips(folder: Path) -> dict[Key, list[Path]]:
    """Every clip below the video trees, by split, dialogue and utterance; a final_videos_test twin is last.

    Raises PipelineError if one of the three trees is nowhere below the folder.
    """
    result: dict[Key, list[Path]] = {}
    parts = set()
    for path, part in _in_trees(folder):
        parts.add(part)
        found = CLIP.fullmatch(path.name)
        if found:
            result.setdefault((part, int(found[2]), int(found[3])), []).append(path)
    for part, tree in TREES.items():
        if part not in parts:
            raise PipelineError(
                f"{folder}: there is no folder {tree} with files in it or below, so the {part} videos are "
                "missing. Unpack MELD.Raw.tar.gz and the three archives inside it there."
            )
    for paths in result.values():
        paths.sort(key=lambda path: (path.name.startswith("final"), path.as_posix()))
    return result


def _in_trees(folder: Path) -> Iterator[tuple[Path, str]]:
    """The files that lie in one of the video trees, and the split of the tree."""
    names = {tree: part for part, tree in TREES.items()}
    parts = {}
    for path in files(folder):
        # the folder itself may be a tree, too
        inside = [
            names[name] for name in (folder.name, *path.relative_to(folder).parts[:-1]) if name in names
        ]
        if inside:
            parts[path] = inside[-1]
    yield from ((path, parts[path]) for path in once(parts))


def choose(
    entry: Annotation, paths: Sequence[Path], known: dict[Path, float | None], settings: MeldSettings
) -> Path:
    """The clip of an utterance among those of the same ids; the choice is logged.

    `nearest` takes the one whose duration is nearest to the label file's; `plain` and `final` go by name.
    """
    usable = [path for path in paths if known[path] is not None] or list(paths)
    if settings.twins == "nearest":
        chosen = min(usable, key=lambda path: abs((known[path] or 0.0) - entry.seconds))
    else:
        wanted = [path for path in usable if path.name.startswith("final") == (settings.twins == "final")]
        chosen = (wanted or usable)[0]
    if len(paths) > 1:
        lengths = {path.as_posix(): known[path] for path in paths}
        log.info("%s: %.2f s expected; of %s chosen %s", entry.key, entry.seconds, lengths, chosen.name)
    return chosen


def disagrees(entry: Annotation, duration: float | None) -> bool:
    """Whether a clip is not as long as the label file says; where one says nothing, it is not known."""
    if not duration or entry.seconds < LEAST:
        return False
    return abs(duration - entry.seconds) > APART


def wrong_cut(entry: Annotation, duration: float | None, settings: MeldSettings) -> str | None:
    """In what a clip cannot be that of its utterance; None if it can."""
    if duration and duration > settings.longest:
        return f"longer than {settings.longest:g} s"
    if not duration or not disagrees(entry, duration):
        return None
    if max(duration / entry.seconds, entry.seconds / duration) > settings.ratio:
        return f"the label file says {entry.seconds:.2f} s"
    return None


def _row(
    entry: Annotation, path: Path, duration: float | None, labels: dict[str, int], settings: MeldSettings
) -> dict:
    """The manifest row: the whole clip, or as long as the label file says if the clip does not tell."""
    dialogue = f"{entry.part}_dia{entry.dialogue}"
    end = duration or (entry.seconds if entry.seconds > 0 else 1.0)
    wrong = wrong_cut(entry, duration, settings) if settings.wrong_cuts == "withhold" else None
    if wrong:
        log.info("%s: %.2f s, a wrong cut: %s", path, duration, wrong)
    span = times.span(0.0, end, duration, entry.where)
    return {
        "corpus": "meld",
        "dialogue": dialogue,
        "position": entry.position,
        "utterance": f"{dialogue}_utt{entry.position}",
        "speaker": entry.speaker,
        "text": entry.text,
        "label": labels[entry.label],
        "media": path.as_posix(),
        "start": span.start,
        "end": span.end,
        "group": "main",
        "split": SPLITS[entry.part],
        "withheld": WRONG_CUT if wrong else span.withheld,
    }


def read(settings: CorpusSettings, parts: Sequence[Path]) -> Corpus:
    """All utterances of the three label files, each with its clip.

    Raises PipelineError for faulty label files (`annotations`), a missing tree, or if no clip can be used.
    """
    folder = reading.root(settings)
    entries = annotations(folder)
    compare("meld", EXPECTED, found_counts(entries), settings.counts)
    found = clips(folder)
    known = reading.durations((path for paths in found.values() for path in paths), "meld")
    labels = {name: index for index, name in enumerate(LABELS)}
    rows = []
    apart = []
    for entry in entries:
        # a clip that is nowhere keeps the name that it should have
        missing = folder / TREES[entry.part] / f"dia{entry.dialogue}_utt{entry.position}.mp4"
        path = choose(entry, found[entry.key], known, settings.meld) if entry.key in found else missing
        rows.append(_row(entry, path, known.get(path), labels, settings.meld))
        if disagrees(entry, known.get(path)):
            apart.append(f"{rows[-1]['utterance']} {known[path]:.2f} s for {entry.seconds:.2f} s")
    withheld = sum(row["withheld"] == WRONG_CUT for row in rows)
    log.info(
        "meld: %d clips differ from the label file by more than %g s; %d are wrong cuts",
        len(apart),
        APART,
        withheld,
    )
    for line in apart:
        log.info("meld: differs: %s", line)
    absent = [entry.key for entry in entries if entry.key not in found]
    unused = sorted(set(found) - {entry.key for entry in entries})
    log.info("meld: %d utterances without a clip %s", len(absent), absent[:10])
    log.info("meld: %d clips without an utterance %s", len(unused), unused[:10])
    return Corpus(reading.table(rows), LABELS, "classification")


def splits(rows: pl.DataFrame, settings: CorpusSettings, fold: str) -> pl.DataFrame:
    """The official splits; there is one fold, `main`."""
    return own_splits(rows, settings.validation, settings.seed)
