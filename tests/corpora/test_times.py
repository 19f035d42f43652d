"""Times of utterances, held to what their medium can hold; and which transcript is a video's."""

import logging
import math

import fixture_trees as trees
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import manifest
from pipeline.core import media
from pipeline.core.errors import PipelineError
from pipeline.corpora import folder, siblings, times

DRAWN_BACK = "drawn back to what the file holds, and logged"


def kind(said, ends, *values, area="tables", id):
    return pytest.param(*values, marks=pytest.mark.fault(area, said, ends), id=id)


@pytest.mark.parametrize(
    ("told", "duration", "expected"),
    [
        pytest.param((1, 2), 10, (1, 2, None), id="plain"),
        # a declared length may be too short: what goes on a little longer is left to extraction
        pytest.param((1, 12.5), 10, (1, 12.5, None), id="a-little-longer"),
        pytest.param((-0.5, 2), 10, (0, 2, None), id="early"),
        kind("an end of 1e9 s", DRAWN_BACK, (1, 1e9), 10, (1, 10, None), id="1e9"),
        kind("an end of 1e300 s", DRAWN_BACK, (1, 1e300), 10, (1, 10, None), id="1e300"),
        kind(
            "a start and an end of 1e300 s and more",
            "out of the file's range, as any time after its end",
            (1e300, 2e300),
            10,
            (3e5, 3e5 + 60, None),
            id="far",
        ),
        kind(
            "an end of 1e9 s for a file without a length",
            "an hour at most",
            (1, 1e9),
            0,
            (1, 3601, None),
            id="untold",
        ),
        kind(
            "an end of 1e9 s for a file that is not there",
            "the file is missing",
            (1, 1e9),
            None,
            (1, 3601, None),
            id="missing",
        ),
        kind(
            "an utterance that ends where it begins",
            "its sound and picture are absent: no_length",
            (3, 3),
            10,
            (3, 3.001, "no_length"),
            id="no-length",
        ),
        kind(
            "an utterance that ends before the file begins",
            "its sound and picture are absent: out_of_range",
            (-3, -2),
            10,
            (0, 0.001, "out_of_range"),
            id="before",
        ),
    ],
)
def test_times_are_held_to_the_medium(told, duration, expected, caplog):
    caplog.set_level(logging.INFO)
    assert times.span(*told, duration, "t.csv, row 2") == pytest.approx(expected)
    kept = expected == (max(0, told[0]), told[1], None)
    assert ("t.csv, row 2: " in caplog.text) != kept


@given(st.floats(-1e308, 1e308), st.floats(0, 1e308), st.none() | st.floats(0, 1e6))
def test_any_finite_times_become_times_that_the_manifest_takes(start, length, duration):
    end = start + length
    if not math.isfinite(end):
        return
    own = times.span(start, end, duration, "here")
    assert 0 <= own.start < own.end <= own.start + max(times.LONGEST, (duration or 0) + times.SLACK) + 1


def test_an_end_before_its_start_is_named():
    with pytest.raises(PipelineError, match=r"a\.txt, line 3: ends at 1 s, starts at 2 s"):
        times.in_order(2, 1, "a.txt, line 3")


def read(base, **own):
    corpus = folder.read(trees.settings("folder", base, own=own), [])
    manifest.check(corpus)
    return corpus.rows


@pytest.mark.fault("corpora", "one cue without a length in a folder of videos", "the others are as before")
def test_one_cue_without_a_length_costs_itself_alone(tmp_path):
    for name, second in (("a", "0.6,0.6"), ("b", "0.6,0.9")):
        trees.write_clip(tmp_path / f"{name}.mp4")
        trees.write_text(tmp_path / f"{name}.csv", f"start,end,text\n0,0.5,Hi\n{second},Bye\n")
    rows = read(tmp_path)
    assert rows["withheld"].to_list() == [None, "no_length", None, None]
    assert rows["text"].to_list() == ["Hi", "Bye"] * 2
    assert rows["start"].to_list() == [0, 0.6, 0, 0.6]


@pytest.mark.fault("corpora", "times of 1e9 and 1e300 s in a folder of videos", "the manifest is made")
def test_absurd_times_in_a_folder(tmp_path):
    path = trees.write_clip(tmp_path / "a.mp4")
    trees.write_text(tmp_path / "a.csv", "start,end\n0,0.5\n0.5,1e9\n1e9,2e9\n1e300,1e301\n")
    rows, length = read(tmp_path), media.probe(path).duration
    assert rows["end"][:2].to_list() == pytest.approx([0.5, length])
    assert (rows["end"] - rows["start"]).max() <= times.SLACK
    assert rows["start"][2:].min() > length


@pytest.mark.fault("names", "a transcript with a language in its name", "it is that of the video")
@pytest.mark.parametrize("name", ["talk.en.vtt", "talk.en-US.srt", "talk.DEU.csv", "talk.pt_BR.auto.SRT"])
def test_a_transcript_may_name_its_language(tmp_path, name):
    video = trees.write_text(tmp_path / "talk.mp4", "")
    trees.write_text(tmp_path / name, "")
    assert siblings.one_beside(video) == tmp_path / name
    assert folder.pairs(tmp_path, "error") == {video: tmp_path / name}


@pytest.mark.fault("names", "transcripts in several languages, and one that names none", "that one is read")
def test_the_plain_name_comes_first(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    video = trees.write_text(tmp_path / "talk.mp4", "")
    for name in ("talk.srt", "talk.de.srt", "talk.en.srt"):
        trees.write_text(tmp_path / name, "")
    assert siblings.one_beside(video) == tmp_path / "talk.srt"
    assert folder.pairs(tmp_path, "error") == {video: tmp_path / "talk.srt"}
    assert "others are not: talk.de.srt, talk.en.srt" in caplog.text


@pytest.mark.fault("names", "transcripts in two languages, and none that names none", "refused, with both")
def test_two_languages_are_one_too_many(tmp_path):
    video = trees.write_text(tmp_path / "talk.mp4", "")
    for name in ("talk.de.srt", "talk.en.srt"):
        trees.write_text(tmp_path / name, "")
    with pytest.raises(PipelineError, match=r"talk\.de\.srt and talk\.en\.srt: two transcripts of one video"):
        siblings.one_beside(video)
    with pytest.raises(PipelineError, match=r"talk\.de\.srt and .*talk\.en\.srt: two .* of one name"):
        folder.pairs(tmp_path, "error")


@pytest.mark.fault("names", "`talk.en.srt` beside `talk.en.mp4` and `talk.mp4`", "it is that of the first")
def test_a_video_may_name_its_language_too(tmp_path):
    for name in ("talk.mp4", "talk.en.mp4", "talk.en.srt"):
        trees.write_text(tmp_path / name, "")
    assert siblings.beside(tmp_path / "talk.mp4") == []
    assert siblings.beside(tmp_path / "talk.en.mp4") == [tmp_path / "talk.en.srt"]
    pairs = {tmp_path / "talk.mp4": None, tmp_path / "talk.en.mp4": tmp_path / "talk.en.srt"}
    assert folder.pairs(tmp_path, "whole") == pairs


@pytest.mark.parametrize("name", ["talk.old.srt", "talks.srt", "talk.en.txt", "._talk.srt", "talk2.en.srt"])
def test_what_is_no_transcript_of_a_video(tmp_path, name):
    video = trees.write_text(tmp_path / "talk.mp4", "")
    trees.write_text(tmp_path / name, "")
    assert siblings.beside(video) == []


@pytest.mark.fault("names", "a transcript whose ending is in capital letters", "it is that of the video")
def test_an_ending_may_be_in_capitals(tmp_path, monkeypatch):
    trees.write_text(tmp_path / "talk.mp4", "")
    trees.write_text(tmp_path / "talk.SRT", "")
    monkeypatch.chdir(tmp_path)
    assert [str(path) for path in siblings.beside(trees.Path("talk.mp4"))] == ["talk.SRT"]
