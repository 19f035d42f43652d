"""Alignment, tracks and the choice of the speaker; detection on a drawn dialogue is a slow test."""

import math

import films
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import corpus, faces, manifest
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.encoders.alignment import CANONICAL, align, similarity
from pipeline.extraction import choosing, looking, speaking
from pipeline.extraction import faces as extraction
from pipeline.extraction.detection import Detector, Face
from pipeline.extraction.people import Person, apart
from pipeline.extraction.tracking import Crop, Track, Tracker, iou
from pipeline.settings.corpus import CorpusSettings
from pipeline.settings.faces import FacesSettings
from pipeline.settings.process import ProcessSettings

RATE = 15


def face(x: float, y: float = 50.0, side: float = 60.0) -> Face:
    box = np.array([x, y, x + side, y + side], float)
    return Face(box, 0.99, box[:2] + CANONICAL * side)


@given(st.floats(-3, 3), st.floats(0.2, 5), st.floats(-99, 99), st.floats(-99, 99))
def test_similarity_is_recovered(angle, scale, right, down):
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    target = CANONICAL @ turn.T + (right, down)
    matrix = similarity(CANONICAL, target)
    assert CANONICAL @ matrix[:, :2].T + matrix[:, 2] == pytest.approx(target, abs=1e-8)


@pytest.mark.parametrize("side", [50, 160, 900])
def test_aligned_landmarks_stand_at_their_places(side):
    picture = np.zeros((1000, 1000, 3), np.uint8)
    landmarks = CANONICAL * side + 40
    for channel, (x, y) in zip((0, 1, 2), landmarks[[0, 1, 4]], strict=True):
        radius = max(2, side // 25)
        picture[
            round(y) - radius : round(y) + radius + 1, round(x) - radius : round(x) + radius + 1, channel
        ] = 255
    crop = align(picture, landmarks, 160).astype(float)
    rows, columns = np.mgrid[:160, :160]
    for channel, place in zip((0, 1, 2), CANONICAL[[0, 1, 4]] * 160, strict=True):
        weight = crop[..., channel]
        centre = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
        assert centre == pytest.approx(place, abs=1.5)


@given(st.integers(0, 99), st.integers(200, 900), st.floats(-3, 3), st.floats(-0.2, 1), st.floats(-0.2, 1))
def test_a_large_face_is_averaged_as_the_whole_picture_would_be(seed, side, angle, right, down):
    """Whatever part of the picture is worked on: the crop is that of the picture made smaller as a whole."""
    height, width = 360, 480
    side += 0.4  # no whole number of squares
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    turn = side * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = (CANONICAL - 0.5) @ turn.T + (right * width, down * height)
    times = math.ceil(0.5 / (64 / side))
    squares = picture[: height // times * times, : width // times * times].reshape(
        height // times, times, width // times, times, 3
    )
    whole = np.floor(squares.mean((1, 3)) + 0.5).astype(np.uint8)
    plain = align(whole, (landmarks + 0.5) / times - 0.5, 64)
    assert np.abs(align(picture, landmarks, 64).astype(int) - plain).max() <= 1


def test_pictures_are_reduced_where_they_are_asked_for():
    asked = []

    def reduced(picture):
        asked.append(picture)
        return picture[::2, ::2], 0.5

    view = looking.View(0.0, 0.1, np.zeros((8, 8, 3), np.uint8), reduced)
    assert not asked
    assert view.small.shape == (4, 4, 3) and view.scale == 0.5 and view.small is view.small
    assert len(asked) == 1


@given(st.lists(st.tuples(*[st.floats(0, 50)] * 4), min_size=1, max_size=5))
def test_iou_is_symmetric_and_one_with_itself(corners):
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in corners])
    overlaps = iou(boxes, boxes)
    assert ((overlaps >= 0) & (overlaps <= 1 + 1e-9)).all()
    assert overlaps == pytest.approx(overlaps.T)
    solid = ((boxes[:, 2:] - boxes[:, :2]) > 1e-3).all(1)
    assert overlaps.diagonal()[solid] == pytest.approx(1)


def test_two_faces_keep_their_tracks_and_a_gap_is_bridged():
    tracker = Tracker(overlap=0.3, patience=0.5)
    for k in range(10):
        seen = [face(20 + 3 * k), face(200 - 3 * k)]
        if k == 4:
            seen = seen[:1]
        tracker.add(k / 5, seen[::-1] if k % 2 else seen)
    assert [len(track.faces) for track in tracker.tracks] == [10, 9]
    assert all(np.diff([f.box[0] for f in track.faces]).std() < 2 for track in tracker.tracks)


def test_a_face_that_returns_late_is_a_new_track():
    tracker = Tracker(overlap=0.3, patience=0.5)
    tracker.add(0.0, [face(20)])
    tracker.add(2.0, [face(20)])
    assert len(tracker.tracks) == 2


@given(st.integers(0, 400), st.integers(1, 12))
def test_crops_are_thinned_evenly(count, most):
    track = Track(0)
    for k in range(count):
        track.add_crop(Crop(float(k), face(0), np.zeros((1, 1, 3), np.uint8)), k, most)
    assert len(track.crops) <= 2 * most
    kept = [crop.time for crop in track.kept(most)]
    assert len(kept) == min(count, most) or (count > most and most // 2 <= len(kept) <= most)
    assert len(set(np.diff(kept))) <= 2 or np.ptp(np.diff(kept)) <= track.stride


def scene(generator: np.random.Generator, seconds: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A voice with syllables (16 kHz), the times of pictures, and its loudness at them."""
    times = np.arange(round(seconds * RATE)) / RATE + 0.5 / RATE
    knots = generator.uniform(0, 1, round(seconds * 5) + 2)
    fine = np.arange(round(seconds * 16_000)) / 16_000
    loud = np.interp(fine, np.arange(len(knots)) / 5, knots)
    return (
        (generator.standard_normal(len(fine)) * loud).astype(np.float32),
        times,
        np.interp(times, fine, loud),
    )


def track(generator: np.random.Generator, times: np.ndarray, opening: np.ndarray, number: int) -> Track:
    """A face whose mouth is open by `opening` (0 ... 1), with the jitter of a moving head."""
    base = generator.uniform(60, 200, (34, 28))
    patches = base + generator.normal(0, 2.0, (len(times), 34, 28))
    patches[:, 22:30, 6:22] -= 50 * opening[:, None, None]
    made = Track(number)
    made.patch_times = times.tolist()
    made.patches = list(np.clip(patches, 0, 255).astype(np.uint8))
    made.times, made.faces = times[::3].tolist(), [face(20 + 100 * number)] * len(times[::3])
    return made


@pytest.mark.parametrize("seed", range(8))
def test_the_mouth_that_follows_the_voice_is_chosen(seed):
    generator = np.random.default_rng(seed)
    sound, times, loud = scene(generator, 3)
    listener = track(generator, times, np.zeros(len(times)), 0)
    chewing = track(generator, times, generator.permutation(loud), 1)
    speaker = track(generator, times, loud, 2)
    settings = FacesSettings()
    chosen, score = choosing.choose(
        apart([listener, chewing, speaker]), sound, 0.0, 3.0, settings, speaking.MotionJudge()
    )
    assert chosen == Person((speaker,))
    assert score > 0.5
    nobody, score = choosing.choose(apart([listener]), sound, 0.0, 3.0, settings, speaking.MotionJudge())
    assert nobody is None
    assert score < settings.speaking
    anyway, _ = choosing.choose(
        apart([listener]), sound, 0.0, 3.0, FacesSettings(speaking=-2), speaking.MotionJudge()
    )
    assert anyway == Person((listener,))


def test_without_sound_the_largest_face_is_chosen_without_a_score():
    generator = np.random.default_rng(0)
    sound, times, loud = scene(generator, 2)
    small, large = track(generator, times, loud, 0), track(generator, times, loud * 0, 1)
    large.faces = [face(100, side=90)] * len(large.faces)
    people, answer = apart([small, large]), (Person((large,)), None)
    for silence in (None, np.zeros_like(sound)):
        assert choosing.choose(people, silence, 0.0, 2.0, FacesSettings(), speaking.MotionJudge()) == answer
    assert choosing.choose(people, sound, 0.0, 2.0, FacesSettings(), None) == answer


def test_one_glimpse_has_no_evidence_and_does_no_harm():
    glimpse = Track(0, times=[0.1], faces=[face(10)])
    assert speaking.speaking_score(glimpse, np.ones(16_000, np.float32), 0.0, 1.0) == 0.0


@given(st.floats(0, 100), st.floats(0.01, 40), st.sampled_from(["largest", "mouth_motion"]))
def test_sample_times_lie_in_the_utterance(start, length, choice):
    settings = FacesSettings(choice=choice)
    sampled = list(looking.sample_times(start, start + length, settings))
    times = [time for time, _ in sampled]
    assert times == sorted(times)
    assert start <= times[0] and times[-1] <= start + length
    looked_for = sum(found for _, found in sampled)
    assert 1 <= looked_for <= length * settings.rate + 1
    if length > 1:
        assert looked_for == pytest.approx(length * settings.rate, abs=1)


@given(st.floats(0, 100), st.floats(0.01, 30), st.sampled_from(["largest", "mouth_motion"]))
def test_ten_pictures_a_second_are_never_looked_at_twice(start, length, choice):
    looks = looking.sample_times(start, start + length, FacesSettings(choice=choice, rate=3))
    shown = [int(10 * time) for time, looked_for in looks if looked_for]
    assert len(set(shown)) == len(shown)


class SeesOne(Detector):
    """A detector to which every picture shows the same face."""

    def __init__(self, settings: FacesSettings) -> None:
        super().__init__(settings)
        self.asked = 0

    def find(self, small: np.ndarray) -> list[Face]:
        self.asked += 1
        return [face(40, 0)]


@pytest.mark.parametrize(("rate", "looks"), [(1, 4), (10, 12)])
@pytest.mark.parametrize("choice", ["largest", "mouth_motion"])
def test_a_picture_counts_once_however_long_it_is_shown(tmp_path, monkeypatch, rate, looks, choice):
    monkeypatch.setattr(films, "FPS", rate)
    film = films.write(tmp_path / "film.mp4", pictures=4 * rate)
    # the numbers on the pictures change like shots
    detector = SeesOne(FacesSettings(choice=choice, rate=3, max_crops=20, cut=1))
    row = {"utterance": "u", "media": str(film), "start": 0.0, "end": 4.0, "crop": None}
    (found,) = extraction.of_file([row], None, detector)
    assert (detector.asked, found.facts["frames"], found.facts["found"]) == (looks, looks, looks)
    assert found.facts["crops"] == len(found.crops) == len(found.path) == looks
    assert len({place["time"] for place in found.path}) == looks


def of_missing_files(tmp_path, withheld: list[str | None]) -> None:
    """Run the stage on a shard of which no file is there."""
    count = len(withheld)
    columns = {
        "utterance": [f"u{n}" for n in range(count)],
        "media": [str(tmp_path / f"{n}.mp4") for n in range(count)],
        "start": [0.0] * count,
        "end": [1.0] * count,
        "crop": pl.Series([None] * count, dtype=pl.List(pl.Float32)),
        "withheld": pl.Series(withheld, dtype=pl.String),
    }
    artefacts.save_table(tmp_path / "shard.parquet", pl.DataFrame(columns))
    params = faces.Params(device="cpu")
    faces.run(params, shard=tmp_path / "shard.parquet", folder=tmp_path / "faces")


@pytest.mark.fault(
    "faces", "not one video of a shard is there", "the stage stops: a wrong folder; with one or two, absences"
)
def test_a_wrong_path_is_found_whatever_is_withheld(tmp_path):
    with pytest.raises(PipelineError, match="not one of the 3 media files"):
        of_missing_files(tmp_path, [None, "wrong_cut", None, None])
    # two that are asked for may well be broken
    of_missing_files(tmp_path, [None, "wrong_cut", None])
    assert artefacts.load_table(tmp_path / "faces" / "utterances.parquet")["reason"].to_list() == [
        "file_missing",
        "wrong_cut",
        "file_missing",
    ]


@pytest.mark.slow
def test_speakers_of_drawn_dialogues_are_found(tmp_path):
    """Two people in every picture: the crops must lie on the speaker's true box, and hidden ones absent."""
    process = ProcessSettings(dialogues=4, utterances=4, two_shot=1.0, off_screen=0.3)
    corpus.run(corpus.Params(process=process, seed=3, parts=2), folder=tmp_path / "part")
    outputs = {"manifest": tmp_path / "m.parquet", "facts": tmp_path / "f.json"}
    shard = tmp_path / "0.parquet"
    manifest.run(
        manifest.Params(corpus=CorpusSettings(shards=1)), parts=[tmp_path / "part"], **outputs, shards=[shard]
    )
    faces.run(faces.Params(device="cpu"), shard=shard, folder=tmp_path / "faces")
    latent = artefacts.load_table(tmp_path / "part" / "latent.parquet")
    table = artefacts.load_table(tmp_path / "faces" / "utterances.parquet").join(latent, on="utterance")
    crops = artefacts.load_table(tmp_path / "faces" / "crops.parquet")
    pixels = artefacts.load_tensors(tmp_path / "faces" / "crops.safetensors")["crops"]
    assert len(pixels) == len(crops) == table["crops"].sum()
    right = 0
    for row in table.iter_rows(named=True):
        own = crops.filter(utterance=row["utterance"])
        assert len(own) == row["crops"]
        if row["x0"] is None:
            right += row["reason"] in ("no_face", "no_speaking_face")
        elif len(own):
            boxes = own.select("x0", "y0", "x1", "y1").to_numpy().astype(float)
            truth = np.array([[row["x0"], row["y0"], row["x1"], row["y1"]]])
            right += np.median(iou(boxes, truth)) > 0.2
    assert right >= len(table) - 1
