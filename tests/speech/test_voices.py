"""Recognised sentences of videos without a transcript are said by voices that are told apart."""

import numpy as np
import polars as pl
import pytest
from films import write
from spoken import RATE, TINY, place_recogniser, place_voices, speech
from workflow import copy_project, planned, snakemake, write_overlay

from pipeline import voices as stage
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.corpora import folder
from pipeline.encoders import ge2e

TEXTS = ("The children walked to the river in the morning.", "They bought bread, milk and a bag of apples.")
TWO = ("en-us", "en-us+Annie", "en-us+Annie", "en-us")
IN_TURN = ["speaker 1", "speaker 2", "speaker 2", "speaker 1"]


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """A film of two voices that say two sentences each, and from where to where (s)."""
    base = tmp_path_factory.mktemp("talk")
    wave, spans = speech(TEXTS * 2, voices=TWO)
    write(base / "talk.mp4", 2, wave, RATE)
    return base / "talk.mp4", spans


@pytest.fixture
def told(talk, tmp_path):
    """The sentences of three files: the talk and another of silence, with a sentence of nobody, and none."""
    path, spans = talk
    write(tmp_path / "silent.mp4", 2, np.zeros(3 * RATE, np.float32), RATE)
    rows = [(str(path), start, end, "Words.", 0.9) for start, end in spans]
    rows += [(str(tmp_path / "silent.mp4"), 0.5, 2.5, "Heard of nothing.", 0.4)]
    rows += [(str(tmp_path / "gone.mp4"), 0.5, 2.5, "Heard of nothing.", 0.4)]
    artefacts.save_table(tmp_path / "told.parquet", pl.DataFrame(rows, schema=folder.TOLD, orient="row"))
    return tmp_path / "told.parquet"


def run(told, voices, out, **settings):
    stage.run(stage.Params(device="cpu", threads=1, **settings), told=told, encoder=voices, voices=out)
    return artefacts.load_table(out, folder.SAID)


@pytest.mark.slow
@pytest.mark.fault("artefacts", "voices of sentences are told apart, and it is stopped", "the same bytes")
def test_two_voices_of_a_file_are_two_speakers_and_what_is_not_heard_is_nobodys(
    voices, told, tmp_path, monkeypatch
):
    found = run(told, voices, tmp_path / "voices.parquet")
    assert found["speaker"].to_list() == [*IN_TURN, None, None]
    assert found.drop("speaker").equals(artefacts.load_table(told))
    # all are one voice where any distance is
    one = run(told, voices, tmp_path / "one.parquet", telling={"distance": 1.9})
    assert one["speaker"].to_list() == ["speaker 1"] * 4 + [None, None]

    plain, calls = ge2e.VoiceEncoder.encode, []

    def until_the_end(self, sound):
        calls.append(len(sound))
        return plain(self, sound)

    def once(table, *given):
        raise InterruptedError

    monkeypatch.setattr(ge2e.VoiceEncoder, "encode", until_the_end)
    monkeypatch.setattr(artefacts, "save_table", once)
    with pytest.raises(InterruptedError):
        run(told, voices, tmp_path / "again.parquet")
    assert len(calls) == 4 and not (tmp_path / "again.parquet").exists()
    monkeypatch.undo()
    monkeypatch.setattr(ge2e.VoiceEncoder, "encode", once)
    run(told, voices, tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "voices.parquet").read_bytes()
    assert not list(tmp_path.glob(".resume-*"))


def test_no_sentence_is_no_fault_and_what_is_no_encoder_is(voices, told, tmp_path):
    none = artefacts.load_table(told).clear()
    artefacts.save_table(tmp_path / "none.parquet", none)
    assert run(tmp_path / "none.parquet", voices, tmp_path / "out.parquet").is_empty()
    with pytest.raises(PipelineError, match=r"no encoder of voices.*corpus\.own\.speakers is found"):
        run(told, tmp_path, tmp_path / "out.parquet")


@pytest.fixture(scope="module")
def project(talk, tmp_path_factory):
    """A project whose corpus is that one film."""
    path = copy_project(tmp_path_factory.mktemp("voices") / "project")
    (path / "own").mkdir()
    (path / "own/talk.mp4").symlink_to(talk[0])
    place_recogniser(path)
    return path


def overlay(project, **more):
    """The folder with sentences to be recognised whose speakers are found."""
    own = {"untranscribed": "recognised", "speakers": "found"}
    recogniser = {"name": TINY.name, "revision": TINY.revision, "files": {"model.bin": ""}}
    corpus = {"name": "folder", "folder": "own", "shards": 1, "own": own, "counts": "report"}
    settings = {"run": "small", "device": "cpu", "corpus": corpus, "encoders": {"standins": False}}
    write_overlay(project, settings | {"recognition": {"weights": recogniser}} | more)


MANIFEST = ("runs/small/manifest.parquet", "--configfile", "small.json")


@pytest.mark.slow
def test_the_manifest_has_the_speakers_and_another_border_recognises_nothing_again(project):
    overlay(project)
    place_voices(project)
    steps = ("recogniser", "transcripts", "speakers", "voices", "manifest")
    assert planned(project, *MANIFEST) == dict.fromkeys(steps, 1)
    snakemake(project, "--cores", "1", *MANIFEST)
    rows = artefacts.load_table(project / "runs/small/manifest.parquet")
    assert rows["speaker"].to_list() == IN_TURN
    assert rows["words"].to_list() == ["recognised"] * 4
    overlay(project, speakers={"telling": {"distance": 1.9}})
    assert planned(project, *MANIFEST) == {"voices": 1, "manifest": 1}
    overlay(project, speakers={"telling": {"margin": 0.5}})
    assert planned(project, *MANIFEST) == {}


@pytest.mark.slow
@pytest.mark.fault("weights", "`corpus.own.speakers: found`, nothing placed, no network", "one paragraph")
def test_found_without_weights_is_an_error(project, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    weights = {"name": "some/sv", "revision": "0" * 40, "files": {"pretrained.pt": ""}}
    overlay(project, run="bare", speakers={"weights": weights})
    bare = ("runs/bare/manifest.parquet", "--configfile", "small.json")
    assert snakemake(project, "--cores", "1", *bare, check=False).returncode
    why = (project / "runs/bare/logs/speakers.log").read_text()
    assert "error: weights some/sv" in why and "hf download some/sv" in why
    assert "weights/some--sv" in why and "Traceback" not in why
