"""Faces of many files at once: the same for any number of workers, and a network that never waits."""

import threading
import time
from itertools import chain, pairwise
from pathlib import Path

import films
import numpy as np
import pytest
import torch

from pipeline import corpus
from pipeline.core.errors import PipelineError
from pipeline.encoders.alignment import CANONICAL
from pipeline.extraction import looking, mtcnn, pyramid, together
from pipeline.extraction.detection import Detector, Face
from pipeline.extraction.faces import FileFaces
from pipeline.extraction.tracking import iou
from pipeline.settings.faces import FacesSettings
from pipeline.settings.media import MediaSettings
from pipeline.settings.process import ProcessSettings

CPU = torch.device("cpu")


class Wanders(Detector):
    """Sees a face whose place depends on the picture's number, one picture at a time or many together."""

    def __init__(self, batches: bool, takes: float = 0.0) -> None:
        # the numbers on the pictures change like shots
        super().__init__(FacesSettings(max_crops=5, cut=1))
        self.batches, self.takes = batches, takes
        self.calls: list[tuple[float, float]] = []  # begin, end
        self.numbers: list[tuple[int, ...]] = []  # of the pictures that were looked at together

    def find(self, small: np.ndarray) -> list[Face]:
        place = films.number_of(small) % 30 + np.zeros(2)
        return [Face(np.concatenate([place, place + 30]), 0.99, place + CANONICAL * 30)]

    def find_all(self, pictures: np.ndarray) -> list[list[Face]]:
        begun = time.monotonic()
        self.numbers.append(tuple(films.number_of(picture) for picture in pictures))
        found = [self.find(picture) for picture in pictures]
        time.sleep(self.takes)
        self.calls.append((begun, time.monotonic()))
        return found


def rows_of(film: Path, ends: list[float]) -> list[dict]:
    """Utterances of a film, one after the other, of which the second overlaps the first."""
    starts = [0.0, *(end - 0.4 for end in ends[:1]), *ends[1:-1]]
    return [
        {"utterance": f"{film.stem}-{n}", "media": str(film), "start": start, "end": end, "crop": None}
        for n, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[list[dict]]:
    """Films of several lengths; one is cut off, one is none, and one is not there."""
    folder = tmp_path_factory.mktemp("films")
    made = []
    for number in range(7):
        seconds = 1 + number % 4
        film = films.write(folder / f"{number}.mp4", pictures=seconds * films.FPS)
        made.append(rows_of(film, [seconds * 0.5, seconds * 1.0, seconds + 2.0]))
    broken = folder / "broken.mp4"
    broken.write_bytes((folder / "3.mp4").read_bytes()[:3000])
    none = folder / "none.mp4"
    none.write_text("no film")
    return [
        *made[:3],
        *(rows_of(path, [1.0, 2.0]) for path in (broken, none, folder / "lost.mp4")),
        *made[3:],
    ]


def results(files: list[list[dict]], detector: Detector, workers: int, cut: int) -> list[FileFaces]:
    pieces = [files[:cut], files[cut:]] if cut else [files]
    return [one for piece in together.of_pieces(pieces, detector, MediaSettings(), workers) for one in piece]


def same(one: list[FileFaces], other: list[FileFaces]) -> bool:
    return all(
        a.utterances == b.utterances
        and a.boxes == b.boxes
        and len(a.crops) == len(b.crops)
        and all(np.array_equal(x, y) for x, y in zip(a.crops, b.crops, strict=True))
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("batches", [False, True])
def test_nothing_depends_on_the_number_of_workers(files, batches):
    expected = results(files, Wanders(batches=False), 1, 0)
    assert sum(len(one.crops) for one in expected) > 50
    reasons = [row["reason"] for one in expected for row in one.utterances]
    assert {"file_missing", "undecodable", "out_of_range"} <= set(reasons)
    looked = set()
    for workers in (1, 2, 12):
        detector = Wanders(batches)
        assert same(results(files, detector, workers, 0), expected)
        looked.add(tuple(detector.numbers))
    # on a GPU the last bits may depend on what shares a batch, so that is the same, too
    assert len(looked) == 1


def test_a_piece_is_the_same_whatever_was_done_before_it(files):
    """So a shard that goes on after an interruption looks at the same batches."""
    whole, rest = Wanders(batches=True), Wanders(batches=True)
    both = results(files, whole, 3, 4)
    assert same(results(files[4:], rest, 2, 0), both[4:])
    assert whole.numbers[-len(rest.numbers) :] == rest.numbers


def test_pictures_of_many_files_share_a_batch(files):
    detector = Wanders(batches=True)
    results(files, detector, 2, 0)
    assert max(map(len, detector.numbers)) > 2 * together.SHARE


@pytest.mark.slow
def test_the_network_never_waits_for_the_decoder(tmp_path, monkeypatch):
    """A stub device whose forward takes as long as a real one's; a picture takes the decoder as long."""
    monkeypatch.setattr(together, "LANES", 4)
    film = films.write(tmp_path / "film.mp4", pictures=4 * films.FPS)
    files = [rows_of(film, [2.0, 4.0]) for _ in range(8)]
    decoded = looking.media.frames

    def slowly(*arguments, **options):
        for frame in decoded(*arguments, **options):
            time.sleep(0.004)
            yield frame

    monkeypatch.setattr(looking.media, "frames", slowly)

    def waited(workers: int) -> float:
        """The share of its time that the network waited, from its second batch to its last."""
        detector = Wanders(batches=True, takes=0.1)
        results(files, detector, workers, 0)
        gaps = [later[0] - earlier[1] for earlier, later in pairwise(detector.calls)]
        return sum(gaps) / (detector.calls[-1][1] - detector.calls[0][0])

    assert waited(1) > 0.3, "one worker cannot keep it busy, so the test can fail"
    assert waited(4) < 0.2


@pytest.mark.parametrize("batches", [False, True])
def test_an_error_ends_all_threads(files, batches, monkeypatch):
    before = threading.active_count()
    detector = Wanders(batches)

    def fails(picture: np.ndarray) -> list[Face]:
        raise PipelineError("no such weights")

    monkeypatch.setattr(detector, "find", fails)
    with pytest.raises(PipelineError, match="no such weights"):
        results(files, detector, 4, 0)
    assert threading.active_count() == before
    # and so does one who asks for no more than the first piece
    found = together.of_pieces([files[:1], files[1:]], Wanders(batches), MediaSettings(), 4)
    next(found)
    found.close()
    assert threading.active_count() == before


@pytest.mark.slow
def test_batches_of_mtcnn_find_what_one_picture_at_a_time_shows(tmp_path):
    process = ProcessSettings(dialogues=4, utterances=3, two_shot=1.0)
    corpus.run(corpus.Params(process=process, seed=3, parts=2), folder=tmp_path)
    detector = mtcnn.load(FacesSettings(), CPU)
    for film in sorted(tmp_path.rglob("*.mp4"))[:2]:
        shown = looking.media.frames(film, [0.4 * k for k in range(12)])
        pictures = [detector.reduced(frame.picture)[0] for frame in shown if frame is not None]
        pictures.append(np.zeros_like(pictures[0]))  # and one that shows nothing
        expected = [detector.find(picture) for picture in pictures]
        found = detector.find_all(np.stack(pictures))
        assert sum(map(len, expected)) >= 12
        assert list(map(len, found)) == list(map(len, expected))
        for one, other in zip(chain(*found), chain(*expected), strict=True):
            assert iou(one.box[None], other.box[None])[0, 0] > 0.999
            assert one.probability == pytest.approx(other.probability, abs=1e-4)
            assert one.landmarks == pytest.approx(other.landmarks, abs=0.05)
    small = np.zeros((2, 30, 90, 3), np.uint8)
    blank = np.zeros((2, 120, 160, 3), np.uint8)
    assert detector.find_all(small) == detector.find_all(blank) == [[], []]


def test_parts_of_pictures_are_averaged_as_torch_does_it_one_by_one():
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (3, 40, 56, 3), generator=generator, dtype=torch.uint8)
    spans = torch.tensor([[0, 0, 56, 40], [3, 5, 30, 31], [10, 2, 17, 9], [55, 39, 56, 40], [1, 0, 25, 24]])
    owner = torch.tensor([2, 0, 1, 1, 0])
    for side in (24, 48):
        found = pyramid.averaged(pyramid.summed(pictures), owner, spans, side)
        for own, (x0, y0, x1, y1), values in zip(owner, spans, found, strict=True):
            part = pictures[own, y0:y1, x0:x1].permute(2, 0, 1)[None].float()
            expected = torch.nn.functional.interpolate(part, size=(side, side), mode="area")[0]
            assert torch.allclose(values, expected, rtol=1e-5)
