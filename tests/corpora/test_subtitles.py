"""Subtitles that annotating writes, and those as they are found: the very words go in and out."""

import re

import fixture_trees as trees
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.annotation import files
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.corpora import transcripts

SRT = "1\n00:00:00,500 --> 00:00:01,500\nWords of an utterance\n\n2\n00:00:02,200 --> 00:00:03,400\n\n"
C1 = "".join(map(chr, range(0x80, 0xA0)))
ODD = [
    "{laughs}",
    "{\\an8}",
    "\\N",
    "<i>",
    "</b>",
    "<v Ann>",
    "&",
    "&amp;",
    "-->",
    "00:00:01,000 --> 00:00:02,000",
    "00:00:01,000 -> 00:00:02,000",
    "00:00:01,000 00:00:02,000",
    "[Ann]: ",
    "[SPEAKER_00]: ",
    "Speaker 1:",
    "7",
    "\x1c",
]


@settings(max_examples=50)
@given(
    st.lists(
        st.sampled_from([*ODD, "\n", "\n\n", "\u2028", " ", "NOTE"])
        # controls that cp1252 knows are mended by every reader of the project
        | st.text(st.characters(exclude_categories=["Cs"], exclude_characters=C1)),
        max_size=6,
    ).map("".join)
)
def test_subtitles_give_back_the_very_words(tmp_path_factory, said):
    folder = tmp_path_factory.mktemp("subtitles")
    rows = pl.DataFrame(
        {
            "start": [6.0, 7.0001],
            "end": [6.5, 7.0002],
            "speaker": ["A & <b>", None],
            "text": [said, "next"],
            "score": [0.5, -1.0],
        }
    )
    whole = " ".join(
        line.strip() for line in re.split("\r\n?|\n", f"[A & <b>: +0.50]\n{said}") if line.strip()
    )
    for suffix, written in (("srt", files.as_srt), ("vtt", files.as_vtt)):
        artefacts.save_text(folder / f"a.{suffix}", written(rows, "notice"))
        cues = transcripts.read(folder / f"a.{suffix}")
        assert [cue.text for cue in cues] == ["[notice]", whole, "[-1.00] next"]
        assert (cues[1].start, cues[1].end, cues[2].start) == (6.0, 6.5, 7.0)


def test_plain_words_stand_in_subrip_as_they_are():
    rows = pl.DataFrame(
        {"start": [0], "end": [1], "speaker": [None], "text": ["a & b < c {laughs}"], "score": [0]}
    )
    assert "\na & b < c {laughs}\n" in files.as_srt(rows, "")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_transcript_in_utf_16_is_read_and_its_overrides_are_not(tmp_path, encoding):
    told = ("\ufeff" if encoding == "utf-16-be" else "") + SRT.replace("Words", "{\\an8}{\\i1}Wörter")
    (cue, _) = transcripts.read(trees.write_text(tmp_path / "t.srt", told, encoding))
    assert cue.text == "Wörter of an utterance"
    (tmp_path / "t.srt").write_bytes("\ufeffwords".encode("utf-16-be") + b"x")
    with pytest.raises(PipelineError, match=r"t\.srt: begins as UTF-16"):
        transcripts.read(tmp_path / "t.srt")
