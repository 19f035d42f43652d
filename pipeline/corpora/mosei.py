"""Adapter of CMU-MOSEI: sentiment of single utterances, from people who speak to a camera.

Every labelled clip is a dialogue of its own (utterance level, no context), and its score is the sentiment in
-3..3. Video ids can begin with `-` or be digits only: they are text throughout. Official folds come from a
file that the config names (docs/corpora/mosei.md says where it comes from).
"""

import ast
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.core.errors import PipelineError
from pipeline.core.splits import SPLITS
from pipeline.corpora import mosei_labels, reading, times
from pipeline.corpora.counts import compare
from pipeline.corpora.listing import files
from pipeline.corpora.rows import Corpus, own_splits
from pipeline.settings.corpus import CorpusSettings

log = logging.getLogger("pipeline")

EXPECTED = {
    "train clips": 16326,
    "val clips": 1871,
    "test clips": 4659,
    "train videos": 2249,
    "val videos": 300,
    "test videos": 678,
}
# names of the splits in fold files
NAMED = {"train": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test"}
SUFFIX = ".mp4"


@dataclass(frozen=True)
class Segment:
    """One line of a transcript."""

    start: float
    end: float
    text: str
    where: str


def read_folds(path: Path) -> dict[str, str]:
    """The split of every video, from CSV (`video,split`), JSON, or the SDK's Python lists (never run).

    Raises PipelineError if the file has another form, or a video stands in two splits.
    """
    text = reading.read_text(path)
    try:
        if path.suffix == ".csv":
            table = reading.read_csv(path, ("video", "split"))
            pairs = list(table.select("video", "split").iter_rows())
        elif path.suffix == ".json":
            pairs = _json_lists(text)
        else:
            pairs = _literal_lists(text)
    except (ValueError, SyntaxError, AttributeError, TypeError, RecursionError, MemoryError) as error:
        raise PipelineError(
            f"{path}: not a fold file ({error}). It may be a CSV with the columns video and split, a JSON "
            "object of three lists, or the three lists of the CMU-MultimodalSDK."
        ) from error
    folds: dict[str, str] = {}
    for video, split in pairs:
        if split not in NAMED:
            raise PipelineError(
                f"{path}: video {video!r:.80} is in {split!r:.80}; a fold is train, val or test."
            )
        if not video:
            raise PipelineError(f"{path}: a video of the fold {split} has no name. Mend the file.")
        if folds.setdefault(str(video), NAMED[split]) != NAMED[split]:
            raise PipelineError(f"{path}: video {video!r:.80} stands in two folds. Keep it in one.")
    return folds


def _json_lists(text: str) -> list[tuple[str, str]]:
    """Pairs of video and split from an object of lists."""
    folds = json.loads(text)
    if not isinstance(folds, dict) or not all(isinstance(videos, list) for videos in folds.values()):
        raise TypeError("no object of lists")
    return [(_id(video), split) for split, videos in folds.items() for video in videos]


def _id(video: object) -> str:
    """The id of a video in a list; raises TypeError if it is none."""
    if isinstance(video, bool) or not isinstance(video, str | int):
        raise TypeError(f"{video!r:.60} is no id of a video")
    return str(video)


def _literal_lists(text: str) -> list[tuple[str, str]]:
    """Pairs of video and split from assignments like `standard_train_fold = [...]`."""
    pairs = []
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            words = statement.targets[0].id.split("_")
            split = next((word for word in words if word in NAMED), None)
            if split:
                pairs += [(_id(video), split) for video in ast.literal_eval(statement.value)]
    if not pairs:
        raise ValueError("no list whose name contains train, valid or test")
    return pairs


def _tree(folder: Path, kind: str, wanted: str) -> Path | None:
    """`{kind}/{wanted}/Combined` or, in copies that drop a level, what is left of it; None if absent."""
    above = (folder / parent for path in files(folder) for parent in path.relative_to(folder).parents)
    for base in sorted({path for path in above if path.name == kind}):
        for tail in (f"{wanted}/Combined", wanted, "Combined"):
            if (base / tail).is_dir():
                return base / tail
    return None


def transcripts(folder: Path) -> dict[tuple[str, int], Segment]:
    """Every transcript line, by video and clip; a negative start is clamped to 0.

    Raises PipelineError naming file and line for a malformed or double line, or if there are no transcripts.
    """
    tree = _tree(folder, "Transcript", "Segmented")
    if tree is None:
        raise PipelineError(
            f"{folder}: there is no Transcript/Segmented/Combined (or Transcript/Combined) in it or below. "
            "Set corpus.folder to the folder that CMU-MOSEI's Raw was unpacked into."
        )
    segments: dict[tuple[str, int], Segment] = {}
    seen: dict[tuple[str, int], str] = {}
    for path in sorted(tree.glob("[!.]*.txt")):
        for number, line in enumerate(reading.lines(reading.read_text(path)), 1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            cells = line.split("___", 4)
            if len(cells) != 5:
                raise PipelineError(f"{where}: not video___clip___start___end___text. Mend the line.")
            video, clip, start, end, text = cells
            key = (video, reading.whole(clip, where))
            reading.first_only(seen, key, where)
            begins = max(0.0, reading.number(start, where))
            ends = reading.number(end, where)
            segments[key] = Segment(begins, ends, text.strip(), where)
    return segments


def _scores(
    folder: Path, named: str, segments: Mapping[tuple[str, int], Segment]
) -> dict[tuple[str, int], float]:
    """The sentiment of every labelled clip, from whichever label files the corpus has."""
    path = mosei_labels.find(folder, named)
    if path.suffix == ".csd":
        times = {key: (segment.start, segment.end) for key, segment in segments.items()}
        return mosei_labels.from_csd(path, times)
    return mosei_labels.from_csv(path)


def _video_tree(folder: Path, wanted: str, clips: Sequence[tuple[str, int]]) -> tuple[str, Path]:
    """Which video tree is read, and where it is; raises PipelineError if there is none."""
    order = ("segmented", "full") if wanted == "auto" else (wanted,)
    for kind in order:
        tree = _tree(folder, "Videos", kind.capitalize())
        if tree is None:
            continue
        if wanted == "auto" and tree.parent.name == "Videos" and tree.name == "Combined":
            # a copy that drops the level Full or Segmented tells by its names: video_clip.mp4, or video.mp4
            names = {path.stem for path in tree.glob(f"*{SUFFIX}")}
            cut = any(f"{video}_{clip}" in names for video, clip in clips)
            return "segmented" if cut else "full", tree
        return kind, tree
    raise PipelineError(
        f"{folder}: there is no Videos/{order[0].capitalize()}/Combined in it or below. Unpack the videos, "
        "or set corpus.mosei.media to the tree that you have."
    )


def read(settings: CorpusSettings, parts: Sequence[Path]) -> Corpus:
    """Every labelled clip of the videos in the official folds.

    Raises PipelineError for missing trees or folds, faulty files, or if no video can be used.
    """
    folder = reading.root(settings)
    folds = read_folds(
        reading.pinned(settings.mosei.folds, "corpus.mosei.folds", "the file of the official folds")
    )
    segments = transcripts(folder)
    scores = _scores(folder, settings.mosei.labels, segments)
    kept = {key: score for key, score in scores.items() if key in segments and key[0] in folds}
    _tell(scores, segments, folds)
    compare("mosei", EXPECTED, _counts(kept, folds), settings.counts)
    kind, tree = _video_tree(folder, settings.mosei.media, sorted(kept))
    names = {key: f"{key[0]}_{key[1]}" if kind == "segmented" else key[0] for key in kept}
    files = {key: tree / f"{name}{SUFFIX}" for key, name in names.items()}
    known = reading.durations(files.values(), "mosei")
    rows = []
    for key, score in sorted(kept.items()):
        segment, duration = segments[key], known[files[key]]
        start, end = segment.start, segment.end
        if kind == "segmented":
            start, end = 0.0, duration or end - start
        span = times.span(start, end, duration, segment.where)
        rows.append(
            {
                "corpus": "mosei",
                "dialogue": f"{key[0]}_{key[1]}",
                "position": 0,
                "utterance": f"{key[0]}_{key[1]}",
                "speaker": key[0],
                "text": segment.text or None,
                "score": score,
                "media": files[key].as_posix(),
                "group": key[0],
                "split": folds[key[0]],
                **span._asdict(),
            }
        )
    log.info("mosei: %d clips, from the %s videos", len(rows), kind)
    return Corpus(reading.table(rows), (), "regression")


def _tell(scores: Mapping, segments: Mapping, folds: Mapping) -> None:
    """Log what is left out: clips without a label, labels without a transcript, videos in no fold."""
    left = {
        "clips without a label": sorted(set(segments) - set(scores)),
        "labels without a transcript": sorted(set(scores) - set(segments)),
        "labelled videos in no fold": sorted({video for video, _ in scores} - set(folds)),
        "videos of the folds without a labelled clip": sorted(set(folds) - {video for video, _ in scores}),
    }
    for what, names in left.items():
        if names:
            log.info("mosei: left out, %d %s: %s", len(names), what, names[:10])


def _counts(kept: Mapping[tuple[str, int], float], folds: Mapping[str, str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for split in SPLITS:
        counts[f"{split} clips"] = sum(folds[video] == split for video, _ in kept)
        counts[f"{split} videos"] = sum(own == split for own in folds.values())
    return counts


def splits(rows: pl.DataFrame, settings: CorpusSettings, fold: str) -> pl.DataFrame:
    """The official folds; there is one fold here, `main`."""
    return own_splits(rows, settings.validation, settings.seed)
