"""Labels of CMU-MOSEI: the annotators' batches in CSV, or the averaged ones in a .csd file (HDF5)."""

import logging
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.corpora import reading
from pipeline.corpora.listing import files

log = logging.getLogger("pipeline")

COLUMNS = ("Input.VIDEO_ID", "Input.CLIP", "Answer.sentiment")
# a label belongs to the transcript line whose start and end together are at most this far (s)
NEAREST = 0.5

Clip = tuple[str, int]


def find(folder: Path, named: str) -> Path:
    """The label file or folder: the one that the config names, or the only one that there is.

    Raises PipelineError if it is not there.
    """
    if named:
        path = folder / named
        if not path.exists():
            raise PipelineError(f"config, key corpus.mosei.labels: there is no {path}.")
        return path
    there = list(files(folder))
    batches = {path.parent for path in there if path.parent.name == "Labels" and path.suffix == ".csv"}
    packed = {path for path in there if "Labels" in path.stem and path.suffix == ".csd"}
    # two links to one file or folder are one
    found = sorted({path.resolve(): path for path in sorted(batches | packed, reverse=True)}.values())
    if len(found) != 1:
        listed = ", ".join(str(path) for path in found) or "none"
        raise PipelineError(
            f"{folder}: exactly one of Labels/*.csv and *Labels*.csd should be in it or below, found "
            f"{listed}. Unpack one, or name it as corpus.mosei.labels."
        )
    return found[0]


def from_csv(path: Path) -> dict[Clip, float]:
    """The mean over annotators of every clip, from one CSV file or all of a folder.

    An annotator's empty answer counts for nothing. Raises PipelineError naming file and row.
    """
    answers: dict[Clip, list[float]] = {}
    batches = sorted(path.glob("[!.]*.csv")) if path.is_dir() else [path]
    for file in batches:
        for line in reading.read_csv(file, COLUMNS, row="line").iter_rows(named=True):
            where = f"{file}, row {line['line']}"
            video = (line["Input.VIDEO_ID"] or "").strip()
            if not video:
                raise PipelineError(f"{where}, column Input.VIDEO_ID: empty. Mend the file.")
            key = (video, reading.whole(line["Input.CLIP"], f"{where}, column Input.CLIP"))
            answer = reading.cell(line["Answer.sentiment"])
            if answer is None:
                continue
            score = reading.number(answer, f"{where}, column Answer.sentiment")
            answers.setdefault(key, []).append(reading.score(score, where))
    return {key: sum(scores) / len(scores) for key, scores in answers.items()}


def from_csd(path: Path, times: Mapping[Clip, tuple[float, float]]) -> dict[Clip, float]:
    """Sentiment (first column) by clip; a label's clip is the transcript line with its times.

    times: start and end (s) of every transcript line. A label without a line within NEAREST is left out and
    logged; of two labels for one line the nearer counts, and the other is logged if it says otherwise. Raises
    PipelineError for another layout, or two labels that are as near and not the same.
    """
    own: dict[str, list[tuple[int, float, float]]] = {}
    for (video, clip), (start, end) in times.items():
        own.setdefault(video, []).append((clip, start, end))
    best: dict[Clip, tuple[float, float]] = {}
    lost, farther = 0, 0
    for video, intervals, features in _entries(path):
        for (start, end), row in zip(intervals, features, strict=True):
            score = reading.score(float(row[0]), f"{path}, video {video}")
            # a start before the video is clamped in the transcript, too
            near = [
                (abs(begins - max(0.0, start)) + abs(ends - end), clip)
                for clip, begins, ends in own.get(video, [])
            ]
            distance, clip = min(near, default=(np.inf, -1))
            former = best.get((video, clip))
            if not distance <= NEAREST:
                lost += 1
            elif former is not None and former[0] == distance and former[1] != score:
                raise PipelineError(
                    f"{path}, video {video}, {start:g} s to {end:g} s: labelled twice, {former[1]:g} and "
                    f"{score:g}. Remove one of them."
                )
            else:
                farther += former is not None and former[1] != score
                if former is None or distance < former[0]:
                    best[video, clip] = (distance, score)
    if lost:
        log.info("%s: %d labels have no transcript line at their time and are left out", path, lost)
    if farther:
        log.info(
            "%s: %d labels lie farther from their transcript line than another, and are left out",
            path,
            farther,
        )
    return {key: score for key, (_, score) in best.items()}


def _entries(path: Path) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Video, intervals (n, 2) in seconds and features (n, 7) of every entry."""
    try:
        with h5py.File(path, "r") as file:
            groups = [group for group in file.values() if isinstance(group, h5py.Group) and "data" in group]
            data = groups[0]["data"] if groups else file["data"]
            return [(str(video), *_entry(video, entry)) for video, entry in data.items()]
    # h5py speaks of some damage as RuntimeError
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise PipelineError(
            f"{path}: not a computational sequence with data/<video>/intervals and features ({error}). "
            "Take the file of all labels (docs/corpora/mosei.md)."
        ) from error


def _entry(video: str, entry: h5py.Group) -> tuple[np.ndarray, np.ndarray]:
    """Intervals and features of one video; raises ValueError if they are not numbers of these shapes."""
    intervals, features = (np.asarray(entry[name], np.float64) for name in ("intervals", "features"))
    if intervals.ndim != 2 or intervals.shape[1] != 2 or features.ndim != 2 or not features.shape[1]:
        raise ValueError(f"video {video}: intervals {intervals.shape}, features {features.shape}")
    if len(intervals) != len(features):
        raise ValueError(f"video {video}: {len(intervals)} intervals and {len(features)} features")
    return intervals, features
