"""Who speaks in an annotated video: names of the transcript, voices told apart, one speaker, and doubts."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import fixture_trees as trees
import numpy as np
import polars as pl
import pytest
import torch
from fixture_model import write_model, write_talk
from spoken import RESEMBLYZER, place_voices, say, speech
from workflow import ROOT, copy_project, planned, snakemake, write_overlay

from models.modalities import MODALITIES
from pipeline import weights
from pipeline.annotation.perception import Perceived
from pipeline.annotation.speakers import Telling, told
from pipeline.core.errors import PipelineError
from pipeline.model import load
from pipeline.settings.annotate import AnnotateSettings, FilmSettings
from pipeline.settings.encoders import AudioSettings
from pipeline.settings.speakers import TellingSettings

TEXTS = ("The children walked to the river in the morning.", "They bought bread, milk and a bag of apples.")
NAMED = "WEBVTT\n\n00:00.500 --> 00:01.500\n<v Ann>Words\n\n00:02.200 --> 00:03.400\n<v Ben>More\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load(write_model(tmp_path_factory.mktemp("exported") / "model"))


def annotated(model, talk, out=None, transcript=None, wanted="auto", **more):
    settings = AnnotateSettings(film=FilmSettings(drawn=False), speakers=wanted)
    return model.annotate(talk, transcript, out, settings=settings, device="cpu", **more)


def said(out: Path) -> dict:
    return json.loads((out / "about.json").read_text())["speakers"]


def test_names_of_a_transcript_stand_and_without_any_there_is_one_speaker(model, tmp_path):
    talk = write_talk(tmp_path / "talk.mp4")
    named = trees.write_text(tmp_path / "named.vtt", NAMED)
    for wanted in ("auto", "one"):
        rows = annotated(model, talk, tmp_path / wanted, named, wanted)
        assert rows["speaker"].to_list() == ["Ann", "Ben"]
        assert said(tmp_path / wanted)["source"] == "given"
    rows = annotated(model, talk, tmp_path / "out")
    assert rows["speaker"].to_list() == [None, None] == rows["speaker_doubt"].to_list()
    about = said(tmp_path / "out")
    assert about["source"] == "one" and "encoder of voices are not there" in about["said"]
    annotated(model, talk, tmp_path / "other", wanted="one")
    assert "annotate.speakers is one" in said(tmp_path / "other")["said"]


@pytest.mark.fault("config", "`annotate.speakers: found` without an encoder of voices", "says what makes one")
@pytest.mark.parametrize("wanted", ["found", 2])
def test_speakers_to_be_found_without_an_encoder_are_an_error(model, tmp_path, wanted):
    with pytest.raises(PipelineError, match=r"annotate\.speakers is .*python -m pipeline\.weights") as caught:
        annotated(model, write_talk(tmp_path / "talk.mp4"), wanted=wanted)
    assert "\n" not in str(caught.value) and "--voices" in str(caught.value)


class Known:
    """Hears the voice in the level: each whole second of the sound is a voice of its own."""

    DISTANCE = 0.3

    def load(self, folder: Path, device: torch.device) -> "Known":
        return self

    def encode(self, sound: np.ndarray) -> np.ndarray:
        return np.eye(8, dtype=np.float32)[round(float(np.abs(sound).max()) * 10)]


@pytest.fixture
def perceived(monkeypatch, tmp_path):
    """Six turns of two levels of sound, faces of two people, and the video that they are from."""
    from pipeline.annotation import cutting, speakers
    from pipeline.core import media

    monkeypatch.setattr(speakers, "speaker_encoder", lambda folder: Known())
    levels = (1, 2, 1, 2, 1, 2, 2)
    sound = np.concatenate([np.full(2 * media.SAMPLE_RATE, level / 10, np.float32) for level in levels])
    video = cutting.Video(tmp_path / "talk.mp4", 14.0, media.Heard(sound, (), 0, 1, 1, ""), "", None)
    rows = [
        {"utterance": str(n), "speaker": "unknown", "start": 2.0 * n, "end": 2.0 * n + 2, "withheld": None}
        for n in range(7)
    ]
    rows[6]["end"] -= 1.2
    faces = np.eye(4, dtype=np.float32)[[0, 1, 0, 1, 1, 1, 1]]
    features = {"visual": faces}
    reasons = {name: [None] * 7 for name in MODALITIES}
    seen = Perceived(rows, "speech", "", features, reasons, pl.DataFrame(), {}, "none")
    return seen, video


def tell(perceived, wanted, **settings):
    seen, video = perceived
    telling = Telling(wanted, Path("folder"), TellingSettings(**settings))
    return told(seen, video, telling, AudioSettings(), torch.device("cpu"))


def test_found_speakers_are_named_in_order_and_doubts_are_recorded(perceived):
    found = tell(perceived, "auto")
    assert [row["speaker"] for row in found.rows] == [f"speaker {n}" for n in (1, 2, 1, 2, 1, 2, 2)]
    # the fifth turn shows the face of the other's turns; the last is too short to found a speaker
    assert found.doubts == [None, None, None, None, "face", None, "short"]
    assert found.speakers["source"] == "found" and found.speakers["number"] == 2
    assert found.speakers["doubted"] == {"face": 1, "short": 1}
    assert (found.speakers["within"], found.speakers["between"]) == (0.0, 1.0)
    assert tell(perceived, "auto", margin=1.5).doubts == [None] * 6 + ["short"]
    assert {row["speaker"] for row in tell(perceived, "auto", distance=1.5).rows} == {"speaker 1"}


def test_names_that_are_given_are_doubted_by_faces_and_overruled_where_voices_are_asked_for(perceived):
    seen, video = perceived
    names = ["Ann", "Ben", "Ann", "Ben", "Ann", "Ben", "Ben"]
    named = replace(seen, rows=[{**row, "speaker": name} for row, name in zip(seen.rows, names, strict=True)])
    found = tell((named, video), "auto")
    assert [row["speaker"] for row in found.rows] == names
    assert found.doubts == [None, None, None, None, "face", None, None]
    assert tell((named, video), "found").rows[0]["speaker"] == "speaker 1"
    counted = tell((named, video), 1)
    assert {row["speaker"] for row in counted.rows} == {"speaker 1"}
    assert counted.speakers["source"] == "counted" and counted.speakers["distance"] is None


def test_a_turn_that_cannot_be_heard_has_no_speaker(perceived):
    seen, video = perceived
    video.heard.samples[: 4 * 16_000] = 0
    rows = [dict(row) for row in seen.rows]
    rows[2]["withheld"] = "out_of_range"
    found = tell((replace(seen, rows=rows), video), "found")
    assert [row["speaker"] for row in found.rows[:4]] == ["unknown"] * 3 + ["speaker 1"]
    mute = replace(video, heard=None, deaf="no_audio_track")
    silent = tell((seen, mute), "found")
    assert silent.speakers["source"] == "one" and "no_audio_track" in silent.speakers["said"]
    video.heard.samples[:] = 0
    assert "no turn can be heard" in tell((seen, video), "found").speakers["said"]
    nobody = tell((replace(seen, cut="windows"), video), "found")
    assert "nobody was found to speak" in nobody.speakers["said"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = copy_project(tmp_path_factory.mktemp("voices") / "project")
    write_model(folder / "runs/embedded/model/corekd/0")
    write_overlay(folder, {"device": "cpu", "annotate": {"film": {"drawn": False}}})
    return folder


CONFIGURED = ("--configfile", "small.json", "--config", "video=talk.mp4")


@pytest.mark.slow
def test_two_synthetic_voices_in_turn_are_two_speakers_in_table_and_subtitles(project):
    wave, spans = speech(TEXTS * 2, voices=("en-us", "en-us+Annie", "en-us+Annie", "en-us"))
    write_talk(project / "talk.mp4", wave=wave)
    assert planned(project, "annotate", *CONFIGURED) == {"annotate": 1}
    place_voices(project)
    assert planned(project, "annotate", *CONFIGURED) == {"annotate": 1, "speakers": 1}
    snakemake(project, "--cores", "1", "annotate", *CONFIGURED)
    out = project / "runs/embedded/annotations/talk"
    rows = pl.read_parquet(out / "annotations.parquet")
    middles = [(start + end) / 2 for start, end in spans]
    order = ("speaker 1", "speaker 2", "speaker 2", "speaker 1")
    for middle, speaker in zip(middles, order, strict=True):
        there = rows.filter((pl.col("start") < middle) & (pl.col("end") > middle))
        assert there["speaker"].to_list() == [speaker]
    assert "[speaker 2: " in (out / "annotations.srt").read_text()
    about = said(out)
    assert about["number"] == 2 and about["within"] < about["distance"] < about["between"]
    assert planned(project, "annotate", *CONFIGURED) == {}


@pytest.mark.slow
@pytest.mark.fault("weights", "`annotate.speakers: found`, nothing placed, no network", "one paragraph")
def test_found_without_weights_is_an_error(project, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    write_talk(project / "other.mp4", 0.5)
    weights = {"name": "some/sv", "revision": "0" * 40, "files": {"pretrained.pt": ""}}
    write_overlay(project, {"annotate": {"speakers": 2}, "speakers": {"weights": weights}}, "found.json")
    named = ("video=other.mp4", "run=bare", "model=runs/embedded/model/corekd/0")
    done = snakemake(
        project, "--cores", "1", "annotate", "--configfile", "found.json", "--config", *named, check=False
    )
    assert done.returncode
    told_why = (project / "runs/bare/logs/speakers.log").read_text()
    assert "error: weights some/sv" in told_why and "hf download some/sv" in told_why
    assert "weights/some--sv" in told_why and "Traceback" not in told_why


HOURS = """
import resource
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch

from models.modalities import MODALITIES
from pipeline.annotation.cutting import Video
from pipeline.annotation.perception import Perceived
from pipeline.annotation.speakers import Telling, told
from pipeline.core.media import Heard
from pipeline.settings.encoders import AudioSettings
from pipeline.settings.speakers import TellingSettings

sound = np.memmap(sys.argv[1], np.float32, "r")
turns = len(sound) // 40_000
rows = [
    {"utterance": str(n), "speaker": "unknown", "start": 2.5 * n, "end": 2.5 * (n + 1), "withheld": None}
    for n in range(turns)
]
reasons = {name: [None] * turns for name in MODALITIES}
faces = {"visual": np.ones((turns, 4), np.float32)}
seen = Perceived(rows, "speech", "", faces, reasons, pl.DataFrame(), {}, "none")
video = Video(Path("talk.mp4"), 7200.0, Heard(sound, (), 0, 1, 1, ""), "", None)
telling = Telling("found", Path(sys.argv[2]), TellingSettings())
found = told(seen, video, telling, AudioSettings(), torch.device("cpu"))
names = [row["speaker"] for row in found.rows]
assert names == ["speaker 1", "speaker 2"] * (turns // 2), sorted(set(names))
print(turns, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, round(time.process_time()))
"""


@pytest.mark.long
def test_two_hours_of_two_voices_in_turn_take_less_than_two_gigabytes(tmp_path, monkeypatch):
    place_voices(tmp_path)
    monkeypatch.chdir(tmp_path)
    params = weights.Params(weights=RESEMBLYZER, kind="speakers")
    weights.run(params, folder=tmp_path / "speakers")
    half = [np.resize(say(TEXTS[0], voice), 40_000) for voice in ("en-us", "en-us+Annie")]
    with (tmp_path / "sound").open("wb") as file:
        for _ in range(1440):
            file.write(np.concatenate(half).astype(np.float32).tobytes())
    command = [sys.executable, "-c", HOURS, str(tmp_path / "sound"), str(tmp_path / "speakers")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr[-2000:]
    turns, megabytes, seconds = map(int, done.stdout.split())
    print(f"{megabytes} MB, {seconds} s of processor time")
    assert turns == 2880 and megabytes < 2000
