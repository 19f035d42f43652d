"""Where an annotation's words come from: a transcript, a recogniser, or nowhere."""

import json
import shutil

import fixture_trees as trees
import polars as pl
import pytest
from fixture_model import write_model, write_talk
from spoken import CLEAR, TINY, load_recogniser, place_recogniser, speech, word_errors
from workflow import copy_project, planned, snakemake, write_overlay

from pipeline import transcribe
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.model import load
from pipeline.settings.annotate import AnnotateSettings, FilmSettings
from pipeline.settings.recognition import SentenceSettings
from pipeline.speech.sentences import WORDS

UNDRAWN = FilmSettings(drawn=False)
SRT = "1\n00:00:00,500 --> 00:00:01,500\nTold\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load(write_model(tmp_path_factory.mktemp("exported") / "model"))


@pytest.fixture
def words(tmp_path):
    """Two sentences, the second of them not sure."""
    rows = [
        (" Words", 0.6, 1.0, 0.9, "en"),
        (" here.", 1.0, 1.4, 0.7, "en"),
        (" Mumble.", 2.3, 9.0, 0.3, "en"),
    ]
    path = tmp_path / "words.parquet"
    artefacts.save_table(path, pl.DataFrame(rows, schema=WORDS, orient="row"))
    return path


def annotated(model, talk, out=None, transcript=None, wanted="auto", **more):
    settings = AnnotateSettings(film=UNDRAWN, words=wanted)
    return model.annotate(talk, transcript, out, settings=settings, device="cpu", **more)


def test_recognised_sentences_are_the_utterances_and_unsure_ones_an_absence(model, tmp_path, words):
    talk = write_talk(tmp_path / "talk.mp4")
    rows = annotated(model, talk, tmp_path / "out", words=words)
    assert rows["text"].to_list() == ["Words here.", "Mumble."]
    assert rows["start"].to_list() == [0.6, 2.3]
    # words may last no longer than the video
    assert rows["end"].to_list() == pytest.approx([1.4, 4.0], abs=0.1)
    assert rows["words"].to_list() == ["recognised"] * 2
    assert rows["words_confidence"].to_list() == pytest.approx([0.8, 0.3])
    assert rows["reason_text"].to_list() == [None, "asr_unsure"]
    assert rows["reason_audio"].to_list() == [None, None]
    about = json.loads((tmp_path / "out/about.json").read_text())
    assert about["cut"] == "recognised" and "language en" in about["said"]
    assert about["words"] == {"source": "recognised", "confidence": 0.55}
    assert about["missing"]["text"] == {"asr_unsure": 1}
    assert "Mumble." in (tmp_path / "out/annotations.srt").read_text()
    surer = annotated(model, talk, words=words, sentences=SentenceSettings(unsure=0.2))
    assert surer["reason_text"].to_list() == [None, None]
    # what is not sure is not read: the same as another text there would be
    other = artefacts.load_table(words).with_columns(word=pl.col("word").replace(" Mumble.", " Other."))
    artefacts.save_table(words, other)
    again = annotated(model, talk, words=words)
    assert again["confidence"].to_list() == rows["confidence"].to_list()
    assert again["text"].to_list() != rows["text"].to_list()


def test_which_words_are_read(model, tmp_path, words):
    talk = write_talk(tmp_path / "talk.mp4")
    told = trees.write_text(tmp_path / "told.txt", SRT).rename(tmp_path / "told.srt")

    def texts(**more):
        rows = annotated(model, talk, **more)
        return rows["text"].to_list(), rows["words"].to_list()

    found = ["Words here.", "Mumble."], ["recognised"] * 2
    given, none = (["Told"], ["given"]), ([None, None], [None, None])
    assert texts(words=words) == found and texts() == none
    assert texts(words=words, wanted="none") == none
    assert texts(words=words, transcript=told) == given
    assert texts(words=words, transcript=told, wanted="recognised") == found
    # what lies beside the video is a transcript, too
    told.rename(tmp_path / "talk.srt")
    assert texts(words=words) == given and texts(wanted="given") == given
    assert texts(words=words, wanted="recognised") == found and texts(wanted="none") == none


def test_where_no_word_was_recognised_the_picture_is_judged(model, tmp_path, words):
    artefacts.save_table(words, pl.DataFrame(schema=WORDS))
    rows = annotated(model, write_talk(tmp_path / "talk.mp4"), tmp_path / "out", words=words)
    assert set(rows["reason_text"]) == {"no_transcript"} and set(rows["reason_audio"]) == {"no_speech"}
    about = json.loads((tmp_path / "out/about.json").read_text())
    assert about["cut"] == "windows" and "no word was recognised" in about["said"]


@pytest.mark.fault("config", "`annotate.words: given` without a transcript", "says how to name one")
def test_given_words_that_are_not_there_are_an_error(model, tmp_path):
    with pytest.raises(PipelineError, match=r"annotate\.words is given, and there is no transcript"):
        annotated(model, write_talk(tmp_path / "talk.mp4"), wanted="given")


@pytest.mark.fault("config", "`annotate.words: recognised` without recognised words", "says what makes them")
def test_recognised_words_that_are_not_there_are_an_error(model, tmp_path):
    with pytest.raises(PipelineError, match=r"python -m pipeline\.transcribe"):
        annotated(model, write_talk(tmp_path / "talk.mp4"), wanted="recognised")


def check_annotations(out, spans):
    """What was said stands in table and subtitles when it was said, and there is a film."""
    rows = pl.read_parquet(out / "annotations.parquet")
    assert len(rows) == len(spans) and set(rows["words"]) == {"recognised"}
    for row, said, span in zip(rows.iter_rows(named=True), CLEAR, spans, strict=False):
        assert word_errors(said, row["text"]) <= 0.2
        assert (row["start"], row["end"]) == pytest.approx(span, abs=0.2)
        assert row["text"] in (out / "annotations.srt").read_text()
    assert (out / "annotated.mp4").stat().st_size > 10_000


@pytest.mark.slow
def test_a_video_without_transcript_has_words_in_table_subtitles_and_film(model, tmp_path):
    wave, spans = speech(CLEAR[:2])
    talk = write_talk(tmp_path / "talk.mp4", wave=wave)
    (tmp_path / "hub").mkdir()
    transcribe.run(
        transcribe.Params(device="cpu", threads=1),
        recogniser=load_recogniser(tmp_path / "hub"),
        media=talk,
        words=tmp_path / "words.parquet",
    )
    model.annotate(talk, None, tmp_path / "out", device="cpu", words=tmp_path / "words.parquet")
    check_annotations(tmp_path / "out", spans)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = copy_project(tmp_path_factory.mktemp("words") / "project")
    write_model(folder / "runs/embedded/model/corekd/0")
    weights = {"name": TINY.name, "revision": TINY.revision, "files": {"model.bin": ""}}
    write_overlay(folder, {"recognition": {"weights": weights}, "device": "cpu"})
    return folder


CONFIGURED = ("--configfile", "small.json", "--config", "video=talk.mp4")


@pytest.mark.slow
def test_words_are_recognised_first_where_the_weights_were_placed(project):
    write_talk(project / "talk.mp4", 0.5)
    assert planned(project, "annotate", *CONFIGURED) == {"annotate": 1}
    placed = place_recogniser(project)
    assert planned(project, "annotate", *CONFIGURED) == {"annotate": 1, "recogniser": 1, "transcribe": 1}
    shutil.rmtree(placed)


@pytest.mark.long
def test_a_model_placed_by_hand_is_all_that_annotate_needs(project):
    wave, spans = speech(CLEAR[:2])
    write_talk(project / "talk.mp4", wave=wave)
    placed = place_recogniser(project)
    snakemake(project, "--cores", "1", "annotate", *CONFIGURED)
    check_annotations(project / "runs/embedded/annotations/talk", spans)
    assert planned(project, "annotate", *CONFIGURED) == {}
    shutil.rmtree(placed)


@pytest.mark.slow
@pytest.mark.fault("weights", "`annotate.words: recognised`, nothing placed, no network", "one paragraph")
def test_recognised_without_weights_is_an_error(project, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    write_talk(project / "other.mp4", 0.5)
    named = (
        "--configfile",
        "small.json",
        "--config",
        "video=other.mp4",
        "run=bare",
        "model=runs/embedded/model/corekd/0",
    )
    write_overlay(project, {"annotate": {"words": "recognised"}}, "words.json")
    named = (*named[:2], "words.json", *named[2:])
    done = snakemake(project, "--cores", "1", "annotate", *named, check=False)
    assert done.returncode
    said = (project / "runs/bare/logs/recogniser.log").read_text()
    assert "error: weights tests/whisper-tiny-en" in said and "hf download" in said
    assert "Traceback" not in said
