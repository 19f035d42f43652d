"""Shots and people: cuts are found, they end tracks, and a person's tracks are linked across them."""

from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.core.registries import encoders
from pipeline.encoders.alignment import CANONICAL
from pipeline.extraction import choosing, faces, people
from pipeline.extraction.casting import Casting
from pipeline.extraction.cuts import Shots, change, palette
from pipeline.extraction.detection import Detector, Face
from pipeline.extraction.judging import MouthJudge
from pipeline.extraction.people import at_one_time, linked
from pipeline.extraction.tracking import Crop, Track
from pipeline.settings.faces import FacesSettings

FPS, SIZE = 15, (160, 120)
RED, BLUE = (220, 60, 40), (40, 60, 220)  # two people


def room(seed: int) -> np.ndarray:
    """A wall and what hangs on it, in dull colours: uint8 (120, 160, 3)."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(40, 160, (6, 8, 1), np.uint8).repeat(3, 2) + generator.integers(0, 20, 3)
    return cv2.resize(coarse.astype(np.uint8), SIZE, interpolation=cv2.INTER_CUBIC)


def with_heads(wall: np.ndarray, heads: list[tuple[tuple, int, int]]) -> np.ndarray:
    """Squares of 40 px in the colours of people, at x, y."""
    picture = wall.copy()
    for colour, x, y in heads:
        picture[y : y + 40, x : x + 40] = colour
    return picture


def film(path: Path, shots: list[tuple[int, list[tuple[tuple, int, int]], int]]) -> Path:
    """A film of shots: the wall's seed, who is where, and pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.bit_rate = 3_000_000
        number = 0
        for seed, heads, count in shots:
            wall = room(seed)
            for step in range(count):
                moved = [(colour, x + step % 3, y) for colour, x, y in heads]
                frame = av.VideoFrame.from_ndarray(with_heads(wall, moved), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                container.mux(stream.encode(frame))
                number += 1
        container.mux(stream.encode())
    return path


class SeesColours(Detector):
    """Finds every square of strong colour."""

    def find(self, small: np.ndarray) -> list[Face]:
        found = []
        for strong, weak in ((0, 2), (2, 0)):
            mask = small[..., strong].astype(int) - small[..., weak] > 90
            if mask.sum() > 400:
                rows, columns = np.nonzero(mask)
                box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)
                side = box[2] - box[0]
                found.append(Face(box, 0.99, box[:2] + CANONICAL * side))
        return found


def colour_of(crops: np.ndarray) -> np.ndarray:
    """A face encoder for people who differ in colour."""
    return (crops.mean((1, 2)) - 128).astype(np.float32)


def followed(path: Path, seconds: float, link: people.Link | None, **settings) -> faces.Found:
    row = {"utterance": "u", "media": str(path), "start": 0.0, "end": seconds, "crop": None}
    detector = SeesColours(FacesSettings(choice="largest", rate=5, **settings))
    (found,) = faces.of_file([row], None, detector, cast=Casting(link=link))
    return found


def by_colour(tracks) -> list[people.Person]:
    return linked(tracks, colour_of, 0.5)


@settings(max_examples=20)
@given(st.integers(0, 99), st.integers(0, 99), st.integers(-3, 3))
def test_a_cut_is_another_room_and_no_movement(one, other, step):
    """The same room with a head that moves is one shot; another room is another."""
    colours = [palette(with_heads(room(one), [(RED, 60 + k * step, 50)])) for k in range(5)]
    shots = Shots(0.25)
    assert not any(shots.begins(own) for own in colours)
    elsewhere = palette(with_heads(room(other + 100), [(RED, 60, 50)]))
    assert shots.begins(elsewhere) and not shots.begins(elsewhere)
    assert shots.cuts == 1
    never = Shots(1.0)
    assert not any(never.begins(own) for own in (*colours, elsewhere))


@settings(max_examples=20)
@given(st.integers(0, 99), st.integers(0, 99))
def test_change_is_a_distance(one, other):
    first, second = palette(room(one)), palette(room(other))
    assert change(first, first) == 0
    assert change(first, second) == change(second, first)
    assert 0 <= change(first, second) <= 1
    black, white = (np.full((90, 70, 3), level, np.uint8) for level in (0, 255))
    assert change(palette(black), palette(white)) == 1


def test_a_camera_that_turns_is_no_cut():
    """It gathers way, then every picture differs much from the last."""
    wide = cv2.resize(np.random.default_rng(0).integers(0, 255, (6, 60, 3), np.uint8), (1200, 120))
    places = np.cumsum([0, 2, 5, 9, 16, 25, *[40] * 12])
    turning = [palette(wide[:, place : place + 160]) for place in places]
    assert max(change(one, other) for one, other in pairwise(turning)) > 0.25
    shots = Shots(0.25)
    assert not any([shots.begins(own) for own in turning])


def test_a_cut_ends_a_track_and_the_person_is_linked(tmp_path):
    """Red speaks, blue is shown, red again: at the same place all the time, and seen in two shots."""
    path = film(
        tmp_path / "film.mp4", [(1, [(RED, 60, 50)], 15), (2, [(BLUE, 60, 50)], 12), (3, [(RED, 62, 48)], 15)]
    )
    blind = followed(path, 2.8, None, cut=1)
    assert (blind.facts["cuts"], blind.facts["faces"]) == (0, 1), "one box, two people"
    found = followed(path, 2.8, by_colour)
    assert [found.facts[key] for key in ("cuts", "faces", "people")] == [2, 3, 2]
    assert {row["track"] for row in found.rows} == {row["track"] for row in found.path} == {0, 2}
    assert len(found.crops) == len(found.rows) == found.facts["crops"] >= 8
    assert all(crop[..., 0].mean() > crop[..., 2].mean() for crop in found.crops)
    times = [row["time"] for row in found.rows]
    assert times == sorted(times) and min(times) < 1 and max(times) > 1.8
    unlinked = followed(path, 2.8, None)
    assert [unlinked.facts[key] for key in ("cuts", "faces", "people")] == [2, 3, 3]
    assert len({row["track"] for row in unlinked.rows}) == 1


@pytest.mark.parametrize("heads", [[(RED, 20, 50)], [(RED, 20, 50), (BLUE, 100, 40)]])
def test_without_a_cut_nothing_is_asked_and_nothing_changes(tmp_path, heads):
    def asked(tracks):
        raise AssertionError("there is no cut")

    path = film(tmp_path / "film.mp4", [(1, heads, 30)])
    before, after = followed(path, 2.0, None, cut=1), followed(path, 2.0, asked)
    assert before.facts == after.facts and before.rows == after.rows and before.path == after.path
    assert np.array_equal(before.crops, after.crops)


@st.composite
def tracks(draw) -> list[Track]:
    """Tracks of up to three people, at any times."""
    made = []
    for number in range(draw(st.integers(1, 6))):
        first, length = draw(st.integers(0, 20)), draw(st.integers(0, 6))
        generator = np.random.default_rng([draw(st.integers(0, 2)), number])
        track = Track(number)
        for time in range(first, first + length + 1):
            box = np.array([10.0 * number, 0, 10 * number + 8, 8])
            face = Face(box, 0.9, CANONICAL * 8)
            pixels = generator.integers(0, 256, (4, 4, 3), np.uint8)
            track.times.append(float(time))
            track.faces.append(face)
            track.add_crop(Crop(float(time), face, pixels), time - first, 4)
        made.append(track)
    return made


def partition(found: list[people.Person], originals: list[Track]) -> list[list[int]]:
    places = {id(track): place for place, track in enumerate(originals)}
    return sorted(sorted(places[id(track)] for track in person.tracks) for person in found)


@settings(max_examples=20)
@given(tracks(), st.randoms(use_true_random=False), st.sampled_from([-1.0, 0.0, 0.9]))
def test_overlap_is_never_linked_and_names_do_not_matter(made, random, same):
    found = linked(made, colour_of, same)
    assert sorted(chain(*partition(found, made))) == list(range(len(made)))
    for person in found:
        assert not any(
            at_one_time(one, other) for one in person.tracks for other in person.tracks if one is not other
        )
        assert [track.times[0] for track in person.tracks] == sorted(
            track.times[0] for track in person.tracks
        )
        assert person.number in {track.number for track in person.tracks}
    before = partition(found, made)
    shuffled = random.sample(made, len(made))
    for number, track in enumerate(shuffled):
        track.number = number
    assert partition(linked(shuffled, colour_of, same), made) == before


@settings(max_examples=20)
@given(tracks(), st.integers(1, 12))
def test_a_persons_crops_are_spread_over_all_tracks(made, most):
    for person in linked(made, colour_of, -1.0):
        kept = person.kept(most)
        times = [crop.time for _, crop in kept]
        assert times == sorted(set(times)) and len(kept) <= most
        held = sum(len(track.crops) for track in person.tracks)
        assert len(kept) >= min(most, held) // 2
        if most >= held and len({track.stride for track in person.tracks}) == 1:
            assert len(kept) == held


def test_what_joins_nobody_leaves_every_track_alone():
    made = [
        Track(number, times=[float(number)], faces=[Face(np.arange(4.0), 1, CANONICAL)])
        for number in range(3)
    ]
    for track in made:
        track.crops = [Crop(track.times[0], track.faces[0], np.zeros((2, 2, 3), np.uint8))]
    vectors = np.eye(3, dtype=np.float32)
    rest = iter(vectors)
    assert partition(linked(made, lambda crops: next(rest)[None], 0.1), made) == [[0], [1], [2]]


def test_the_score_of_a_person_is_the_mean_of_the_tracks_by_their_pictures():
    scores = {0: 1.0, 1: -0.5}
    judge = MouthJudge()
    judge.score = lambda track, *_: scores[track.number]
    long, short = (Track(n, patches=[np.zeros((34, 28), np.uint8)] * (30 - 20 * n)) for n in range(2))
    sound = np.zeros(16, np.float32)
    assert choosing.person_score(people.Person((long,)), sound, 0, 1, judge) == 1.0
    assert choosing.person_score(people.Person((long, short)), sound, 0, 1, judge) == pytest.approx(0.625)


def folder_of(tmp_path: Path, kind: str) -> Path:
    artefacts.save_json(tmp_path / "config.json", {"model_type": kind}, seal=False)
    return tmp_path


def test_only_an_encoder_that_knows_people_is_asked(tmp_path, monkeypatch):
    loaded = []

    class Loads:
        @staticmethod
        def load(folder, settings, device):
            loaded.append(folder)
            return type("Encoder", (), {"encode": staticmethod(colour_of)})()

    monkeypatch.setattr(encoders, "encoder", lambda modality, folder: Loads)
    cpu, folder = torch.device("cpu"), folder_of(tmp_path, "resnet")
    assert people.linking(folder, FacesSettings(), cpu) is None
    assert people.linking(None, FacesSettings(), cpu) is None
    assert people.linking(folder, FacesSettings(link="encoder"), cpu) is not None
    link = people.linking(folder_of(tmp_path, "inception_resnet_v1"), FacesSettings(), cpu)
    assert people.linking(folder, FacesSettings(link="never"), cpu) is None
    assert link is not None and not loaded, "loaded where there is a cut, and not before"
    track = Track(0, times=[0.0], faces=[Face(np.arange(4.0), 1, CANONICAL)])
    track.crops = [Crop(0.0, track.faces[0], np.zeros((2, 2, 3), np.uint8))]
    assert link([track]) == link([track]) == people.apart([track])
    assert loaded == [folder]


@pytest.mark.fault(
    "faces", "faces.link asks for an encoder and none is named", "the stage stops: names the flag"
)
def test_linking_by_an_encoder_that_is_not_named_is_refused():
    with pytest.raises(PipelineError, match=r"faces\.link.*--encoder"):
        people.linking(None, FacesSettings(link="encoder"), torch.device("cpu"))
