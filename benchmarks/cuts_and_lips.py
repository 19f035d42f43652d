"""What cuts, links across them and the choice by lips cost of the stage faces, and what they change.

    python benchmarks/cuts_and_lips.py [--clips FOLDER] [--films 12] [--run runs/embedded] [--rounds 7]

The faces of the same videos are found in several ways, in this one process, in turns: CPU seconds (of all
threads, without what it takes to load a network), as medians over rounds, beside the first way as the median
of the rounds' ratios, with the least and the largest of them. Compare the ratios, not the seconds. What is
spent within the search for cuts, and within the choice with its links, is measured where it is spent, for it
is little beside how much one round differs from the next. Videos are those of --clips, films of
`filmed_speakers.py`, those of a run whose shards are made (--run), or, without any of it, drawn dialogues.
The network that links across cuts has random weights, so that its answers mean nothing; it costs what the
public one costs.

Also printed: the utterances whose crops, boxes and chosen face are the first way's to the bit, and for a run
of the embedded corpus those whose face is right: it lies on the speaker's, or there is none where the
speaker's is hidden.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import polars as pl
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import extraction_inputs as inputs
import filmed_speakers as filmed

from pipeline.core import artefacts, media
from pipeline.core.registries import detectors
from pipeline.extraction import faces, people
from pipeline.extraction.casting import casting
from pipeline.extraction.faces import FileFaces, of_rows
from pipeline.extraction.looking import seen
from pipeline.extraction.shard import load_shard
from pipeline.extraction.tracking import iou
from pipeline.extraction.watching import Watch
from pipeline.settings.faces import FacesSettings
from pipeline.settings.media import MediaSettings

CPU = torch.device("cpu")
# what differs from the default; the first is what the others are compared with
WAYS: dict[str, dict[str, Any]] = {
    "mouth_motion, no cuts": {"cut": 1.0, "link": "never"},
    "mouth_motion": {"link": "never"},
    "mouth_motion, linked": {"link": "encoder"},
    "lips_in_step": {"link": "never", "choice": "lips_in_step"},
}
WITHIN = 3  # rounds at most in which what is spent within functions is measured
ON_FACE = 0.2  # overlap (IoU) from which crops lie on a face

Files = list[list[dict[str, Any]]]


@dataclass(frozen=True)
class Way:
    """One way to find the faces of some files."""

    files: Files
    settings: FacesSettings
    encoder: Path

    def finder(self) -> Callable[[], list[FileFaces]]:
        """What finds them, its networks loaded once."""
        detector = detectors.detector(self.settings.detector).load(self.settings, CPU)
        cast = casting(self.settings, CPU, self.encoder)
        return lambda: [of_rows(rows, detector, MediaSettings(), cast=cast) for rows in self.files]


@dataclass
class Measured:
    """What a way found, and the CPU seconds of each round: all of them, and those within some functions."""

    found: list[FileFaces]
    taken: list[float] = field(default_factory=list)
    within: list[dict[str, float]] = field(default_factory=list)

    def inside(self, *names: str) -> float:
        """Median seconds of a round within these functions."""
        return statistics.median([sum(own.get(name, 0.0) for name in names) for own in self.within])


def of_films(count: int, seed: int, folder: Path) -> Files:
    """Drawn films with a cut in a third of them, an utterance each."""
    rows = []
    for number in range(seed, seed + count):
        scene = filmed.film(number, folder)
        own = {"utterance": str(number), "media": str(scene.path), "start": 0.0, "end": scene.seconds}
        rows.append([own | {"crop": None, "withheld": None}])
    return rows


def of_run(run: Path) -> Files:
    """The videos of a run's shards."""
    columns = ["utterance", "media", "start", "end", "crop", "withheld"]
    shards = [load_shard(path, columns) for path in sorted((run / "shards").glob("*.parquet"))]
    return by_file(pl.concat(shards).filter(pl.col("withheld").is_null()))


def by_file(table: pl.DataFrame) -> Files:
    return [group.to_dicts() for group in table.partition_by("media", maintain_order=True)]


def pictures(files: Files, settings: FacesSettings) -> int:
    """How many different pictures are looked at."""

    def whole(picture: np.ndarray) -> tuple[np.ndarray, float]:
        return picture, 1.0

    count = 0
    for rows in files:
        try:
            found = seen(rows, settings, whole, media.MOST)
            count += len({(item.look.which, item.view.time) for item in found if item.view is not None})
        except media.MediaAbsence:
            continue
    return count


def parted(found: list[FileFaces]) -> dict[str, tuple]:
    """By utterance all that is known of its face, without the count of cuts, and its pixels."""
    parts: dict[str, tuple] = {}
    for file in found:
        for facts in file.utterances:
            own = [place for place, box in enumerate(file.boxes) if box["utterance"] == facts["utterance"]]
            boxes = [tuple(file.boxes[place].values()) for place in own]
            pixels = b"".join(file.crops[place].tobytes() for place in own)
            parts[facts["utterance"]] = ({**facts, "cuts": None}, boxes, pixels)
    return parts


def right(found: list[FileFaces], truth: pl.DataFrame) -> tuple[int, int, int]:
    """Chosen faces that are the speaker's, all that are chosen, and utterances with the right answer.

    truth: `latent.parquet` of the embedded corpus: the speaker's face in the middle, null where it is hidden.
    """
    boxes = {name: box for name, *box in truth.select("utterance", "x0", "y0", "x1", "y1").iter_rows()}
    of_speaker = chosen = answered = 0
    for file in found:
        for facts in file.utterances:
            name = facts["utterance"]
            own = [
                [box[edge] for edge in ("x0", "y0", "x1", "y1")]
                for box in file.boxes
                if box["utterance"] == name
            ]
            hidden = boxes[name][0] is None
            on = (
                bool(own)
                and not hidden
                and np.median(iou(np.array(own, float), np.array([boxes[name]]))) > ON_FACE
            )
            of_speaker, chosen = of_speaker + on, chosen + bool(own)
            answered += on or (hidden and not own)
    return of_speaker, chosen, answered


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clips", type=Path, help="a folder of videos")
    parser.add_argument("--films", type=int, help="so many films of filmed_speakers.py")
    parser.add_argument("--seed", type=int, default=2000, help="of the first film")
    parser.add_argument("--run", type=Path, help="a run whose shards are made")
    parser.add_argument("--utterances", type=int, default=24, help="of clips or drawn dialogues")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as spare:
        folder = Path(spare)
        base, truth = FacesSettings(), None
        if options.films:
            files, base = of_films(options.films, options.seed, folder), filmed.SETTINGS
        elif options.run:
            files = of_run(options.run)
            latent = sorted((options.run / "corpus").glob("*/latent.parquet"))
            truth = pl.concat([artefacts.load_table(path) for path in latent]) if latent else None
        else:
            clips = inputs.found(options.clips) if options.clips else inputs.drawn(folder / "drawn")
            files = by_file(inputs.utterances(clips, options.utterances, folder / "media", [""]))
        encoder = inputs.face_encoder(folder / "visual")
        ways = {name: Way(files, base.model_copy(update=own), encoder) for name, own in WAYS.items()}
        show(measured(ways, options.rounds), pictures(files, base), files, truth)


class Within:
    """CPU seconds spent within some functions while they are replaced."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def replaced(self, owner: object, name: str) -> AbstractContextManager[object]:
        plain = getattr(owner, name)

        def timed(*given: Any, **named: Any) -> Any:
            start = time.thread_time()
            result = plain(*given, **named)
            self.spent[name] = self.spent.get(name, 0.0) + time.thread_time() - start
            return result

        return mock.patch.object(owner, name, timed)


def measured(ways: dict[str, Way], rounds: int) -> dict[str, Measured]:
    """Every way in turns, `rounds` times."""
    finders = {name: way.finder() for name, way in ways.items()}
    # the first turn warms up
    told = {name: Measured(find()) for name, find in finders.items()}
    for _ in range(rounds):
        for name, find in finders.items():
            start = time.process_time()
            find()
            told[name].taken.append(time.process_time() - start)
    # apart from the rounds, which nothing that measures shall slow down
    for _ in range(min(rounds, WITHIN)):
        for name, find in finders.items():
            within = Within()
            with (
                within.replaced(Watch, "look"),
                within.replaced(faces, "choose"),
                within.replaced(people, "linked"),
            ):
                find()
            told[name].within.append(within.spent)
    return told


def show(told: dict[str, Measured], count: int, files: Files, truth: pl.DataFrame | None) -> None:
    """Print the table."""
    utterances = sum(map(len, files))
    seconds = sum(row["end"] - row["start"] for rows in files for row in rows)
    print(f"{len(files)} files, {utterances} utterances, {seconds:.0f} s, {count} pictures are looked at")
    first = next(iter(told.values()))
    known = parted(first.found)
    rows = []
    for name, own in told.items():
        facts = [row for file in own.found for row in file.utterances]
        row: dict[str, Any] = {"way": name}
        if own.taken:
            ratios = [one / other for one, other in zip(own.taken, first.taken, strict=True)]
            row |= {
                "CPU, s": f"{statistics.median(own.taken):.2f}",
                "ratio": f"{statistics.median(ratios):.3f}",
            }
            row |= {"least": f"{min(ratios):.3f}", "largest": f"{max(ratios):.3f}"}
            row["cuts, ms a picture"] = f"{1000 * own.inside('look') / count:.3f}"
            row["choice, ms a second"] = f"{1000 * own.inside('choose', 'linked') / seconds:.2f}"
        row |= {key: sum(one[key] for one in facts) for key in ("cuts", "faces", "people")}
        same = sum(known[key] == one for key, one in parted(own.found).items())
        row["to the bit"] = f"{same} of {utterances}"
        if truth is not None:
            of_speaker, chosen, answered = right(own.found, truth)
            row["right"] = f"{of_speaker} of {chosen} faces, {answered} of {utterances} utterances"
        rows.append(row)
    print(f"| {' | '.join(rows[0])} |\n|{'---|' * len(rows[0])}")
    for row in rows:
        print(f"| {' | '.join(map(str, row.values()))} |")


if __name__ == "__main__":
    main()
