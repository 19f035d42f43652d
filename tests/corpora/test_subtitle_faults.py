"""Subtitles as tools and people write them: what is repaired, what is left out, and what is refused."""

import logging

import fixture_trees as trees
import pysubs2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import PipelineError
from pipeline.corpora import captions, subtitles, transcripts

FIRST = "00:00:01,000 --> 00:00:02,000"
SECOND = "00:00:02,000 --> 00:00:03,000"
KEPT = "every word stays in its own utterance"


def kind(said, ends, *values, area="subtitles", id):
    return pytest.param(*values, marks=pytest.mark.fault(area, said, ends), id=id)


def heard(cues):
    return [(cue.start, cue.end, cue.speaker, cue.text) for cue in cues]


def spoken(cues):
    return [cue.text for cue in cues]


TWO = ["one", "two"]
SRT = [
    kind(
        "no blank line between two cues",
        KEPT,
        f"1\n{FIRST}\none\n2\n{SECOND}\ntwo\n",
        TWO,
        subtitles.UNPARTED,
        id="unparted",
    ),
    kind(
        "neither a blank line nor a number between two cues",
        KEPT,
        f"{FIRST}\none\n{SECOND}\ntwo\n",
        TWO,
        subtitles.UNPARTED,
        id="bare",
    ),
    *(
        kind(
            f"an arrow written {arrow!r}",
            "the cue is read by its two times",
            f"1\n{FIRST.replace('-->', arrow)}\none\n\n2\n{SECOND}\ntwo\n",
            TWO,
            subtitles.ARROWS,
            id=f"arrow{number}",
        )
        for number, arrow in enumerate(("->", "=>", "–>", "- ->", "→", "-", "--->"))
    ),
    kind(
        "no arrow between the times",
        "the cue is read by its two times",
        f"1\n{FIRST}\none\n\n2\n{SECOND.replace('--> ', '')}\ntwo\n",
        TWO,
        subtitles.ARROWS,
        id="no-arrow",
    ),
    kind(
        "a blank line within a cue",
        KEPT,
        f"1\n{FIRST}\none\n\nmore\n\n2\n{SECOND}\ntwo\n",
        ["one more", "two"],
        subtitles.TORN,
        id="torn",
    ),
    kind(
        "a blank line between the number and the times",
        "the number is no word",
        f"1\n\n{FIRST}\none\n\n2\n\n{SECOND}\ntwo\n",
        None,
        None,
        id="number-apart",
    ),
    kind(
        "the same cue twice",
        "it is one utterance",
        f"1\n{FIRST}\none\n\n2\n{FIRST}\none\n\n3\n{SECOND}\ntwo\n",
        TWO,
        captions.TWICE,
        id="twice",
    ),
    kind(
        "a number after the last cue",
        "the number is no word",
        f"1\n{FIRST}\none\n\n2\n{SECOND}\ntwo\n\n3\n",
        TWO,
        None,
        id="trailing-number",
    ),
    kind(
        "words that are a number",
        KEPT,
        f"1\n{FIRST}\nhow many\n42\n\n2\n{SECOND}\n43\n",
        ["how many 42", "43"],
        None,
        id="spoken-number",
    ),
    kind(
        "a cue without words",
        "an utterance without words",
        f"1\n{FIRST}\n\n2\n{SECOND}\ntwo\n",
        [None, "two"],
        None,
        id="wordless",
    ),
    kind(
        "words with < and >",
        KEPT,
        f"1\n{FIRST}\nif a<b and c>d\n\n2\n{SECOND}\n<3 you <laughs>\n",
        ["if a<b and c>d", "<3 you <laughs>"],
        None,
        id="less-and-more",
    ),
    kind(
        "formatting of players",
        "it is no word",
        f'1\n{FIRST}\n{{\\an8}}<i>o</i>ne<font color="#fff">\n\n2\n{SECOND}\n<b>two</b></font>\n',
        TWO,
        None,
        id="formatted",
    ),
    kind(
        "entities without a semicolon",
        KEPT,
        f"1\n{FIRST}\nR&copy &amp; AT&T\n\n2\n{SECOND}\na &lt; b\n",
        ["R&copy & AT&T", "a < b"],
        None,
        id="entities",
    ),
    kind(
        "U+2028, U+0085 or U+001C within a line",
        KEPT,
        f"1\n{FIRST}\no\u2028n\x1ce\n\n2\n{SECOND}\ntwo\n",
        ["o\u2028n\x1ce", "two"],
        None,
        area="text",
        id="separators",
    ),
    kind(
        "lines that end in CR alone",
        KEPT,
        f"1\n{FIRST}\none\n\n2\n{SECOND}\ntwo\n".replace("\n", "\r"),
        TWO,
        None,
        area="text",
        id="cr",
    ),
    kind(
        "an arrow within the words",
        KEPT,
        f"1\n{FIRST}\npress File --> Open\n\n2\n{SECOND}\nfrom 10:30 to 11:00\n",
        ["press File --> Open", "from 10:30 to 11:00"],
        None,
        id="spoken-arrow",
    ),
    kind(
        "words before the first line of times",
        "left out, and counted in the log",
        f"1\nlost\n\n1\n{FIRST}\none\n\n2\n{SECOND}\ntwo\n",
        TWO,
        subtitles.BEFORE,
        id="before",
    ),
    kind(
        "a player's position behind the times",
        "it is no word",
        f"1\n{FIRST} X1:40 X2:600 Y1:20 Y2:50\none\n\n2\n{SECOND}\ntwo\n",
        TWO,
        None,
        id="position",
    ),
]


@pytest.mark.parametrize(("text", "words", "repair"), SRT)
def test_subrip_as_it_is_found(tmp_path, text, words, repair, caplog):
    caplog.set_level(logging.INFO)
    cues, repaired = transcripts.told(trees.write_text(tmp_path / "t.srt", text))
    assert spoken(cues) == (words or TWO)
    assert [(cue.start, cue.end) for cue in cues] == [(1.0, 2.0), (2.0, 3.0)]
    assert repaired == ({repair: 1} if repair else {})
    # what was done is said, with its count
    assert (repair or "repaired") in caplog.text or not repair


ROLLING = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.389 align:start position:0%
 
hello<00:00:00.480><c> everyone</c>

00:00:02.389 --> 00:00:02.399 align:start position:0%
hello everyone
 

00:00:02.399 --> 00:00:04.710 align:start position:0%
hello everyone
welcome<00:00:02.879><c> to</c>

00:00:04.710 --> 00:00:04.720 align:start position:0%
welcome to
 

00:00:04.720 --> 00:00:06.000 align:start position:0%
welcome to
welcome to
"""


def plainly(text):
    """Captions as a converter writes them: SubRip, without tags and settings."""
    return text.replace("<00:00:00.480><c>", "").replace("<00:00:02.879><c>", "").replace("</c>", "")


VTT = [
    kind(
        "automatic captions that roll, with bridges of 10 ms",
        "each line is said once",
        ROLLING,
        [
            (0.16, 2.389, "unknown", "hello everyone"),
            (2.399, 4.71, "unknown", "welcome to"),
            (4.72, 6.0, "unknown", "welcome to"),
        ],
        {captions.BRIDGES: 2, captions.REPEATED: 2},
        id="rolling",
    ),
    kind(
        "automatic captions that roll, without their bridges",
        "each line is said once",
        "WEBVTT\n\n00:00.000 --> 00:01.000\na\n\n00:01.000 --> 00:02.000\na\nb\n\n"
        "00:02.000 --> 00:03.000\nb\nc\n",
        [(0, 1, "unknown", "a"), (1, 2, "unknown", "b"), (2, 3, "unknown", "c")],
        {captions.REPEATED: 2},
        id="rolling-bare",
    ),
    kind(
        "somebody who says the same twice",
        "both stay",
        "WEBVTT\n\n00:00.000 --> 00:01.000\nNo!\n\n00:01.000 --> 00:02.000\nNo!\n",
        [(0, 1, "unknown", "No!"), (1, 2, "unknown", "No!")],
        {},
        id="said-twice",
    ),
    kind(
        "two voices in one cue",
        "an utterance of each, at the times of the cue",
        "WEBVTT\n\n00:00.000 --> 00:01.000\n<v Ann>Hi</v><v.loud Ben>Go\nnow\n",
        [(0, 1, "Ann", "Hi"), (0, 1, "Ben", "Go now")],
        {transcripts.VOICES: 1},
        id="voices",
    ),
    kind(
        "one voice twice in a cue",
        "one utterance",
        "WEBVTT\n\n00:00.000 --> 00:01.000\n<v Ann>Hi</v>\n<v Ann>you</v>\n",
        [(0, 1, "Ann", "Hi you")],
        {},
        id="one-voice",
    ),
    kind(
        "comments, styles and regions",
        "they are no words",
        "WEBVTT\n\nSTYLE\n::cue { color: red }\n\nNOTE a --> b\nof no use\n\n00:00.000 --> 00:01.000\nHi\n\n"
        "NOTE\nof no use\n",
        [(0, 1, "unknown", "Hi")],
        {},
        id="comments",
    ),
    kind(
        "cues with names",
        "the names are no words",
        "WEBVTT\n\nintro\n00:00.000 --> 00:01.000\nHi\n\nthe end\n00:01.000 --> 00:02.000\nBye\n",
        [(0, 1, "unknown", "Hi"), (1, 2, "unknown", "Bye")],
        {},
        id="named",
    ),
    kind(
        "a header in the middle, as of joined files",
        "it is no word",
        "WEBVTT\n\n00:00.000 --> 00:01.000\nHi\n\nWEBVTT\nX-TIMESTAMP-MAP=LOCAL:0\n\n"
        "00:01.000 --> 00:02.000\nBye\n",
        [(0, 1, "unknown", "Hi"), (1, 2, "unknown", "Bye")],
        {},
        id="joined",
    ),
    *(
        kind(
            f"a speaker written {written!r}",
            "the speaker is known, and is no word",
            f"WEBVTT\n\n00:00.000 --> 00:01.000\n{written} hello there\n",
            [(0, 1, name, "hello there")],
            {},
            id=name.replace(" ", ""),
        )
        for written, name in (
            ("[SPEAKER_00]:", "SPEAKER_00"),
            ("[SPEAKER_01]", "SPEAKER_01"),
            ("(SPEAKER 2)", "SPEAKER 2"),
            ("Speaker 3:", "Speaker 3"),
            ("spk_4:", "spk_4"),
            ("[Ann B.]:", "Ann B."),
        )
    ),
    kind(
        "brackets that name no speaker",
        KEPT,
        "WEBVTT\n\n00:00.000 --> 00:01.000\n[laughs] yes\n\n"
        "00:01.000 --> 00:02.000\nnote: no\n[12:30]: noon\n",
        [(0, 1, "unknown", "[laughs] yes"), (1, 2, "unknown", "note: no [12:30]: noon")],
        {},
        id="no-speaker",
    ),
    kind(
        "a voice tag within a word",
        KEPT,
        "WEBVTT\n\n00:00.000 --> 00:01.000\ni<v and u>w\n",
        [(0, 1, "unknown", "i<v and u>w")],
        {},
        id="no-voice",
    ),
    kind(
        "a cue that ends where it begins",
        "an utterance of its words alone",
        "WEBVTT\n\n00:01.000 --> 00:01.000\nHi\n",
        [(1, 1, "unknown", "Hi")],
        {},
        id="no-length",
    ),
    kind(
        "times without hours, or with very many",
        "they are read",
        "WEBVTT\n\n00:01.000 --> 1000:00:00.000\nHi\n",
        [(1, 3_600_000, "unknown", "Hi")],
        {},
        id="hours",
    ),
]


@pytest.mark.parametrize(("text", "expected", "repaired"), VTT)
def test_webvtt_as_it_is_found(tmp_path, text, expected, repaired):
    cues, counts = transcripts.told(trees.write_text(tmp_path / "t.vtt", text))
    assert heard(cues) == expected
    assert counts == repaired


@pytest.mark.fault("subtitles", "automatic captions saved as .srt", "each line is said once")
@pytest.mark.parametrize("strange", ["\x1c", "\x1d", "\x1e", "\x1f"])
def test_a_separator_of_files_beside_a_number_is_blank(tmp_path, strange):
    path = tmp_path / "a.srt"
    times = "00:00:01,000 --> 00:00:02,000"
    path.write_text(f"{strange}1\n{times}\nHi.\n\n{strange}2{strange}\n{times}\nYes.\n")
    assert [cue.text for cue in transcripts.read(path)] == ["Hi.", "Yes."]


def test_rolling_captions_are_found_without_their_tags(tmp_path):
    text = plainly(ROLLING).removeprefix("WEBVTT\nKind: captions\nLanguage: en\n\n").replace(".", ",")
    cues = transcripts.read(trees.write_text(tmp_path / "t.srt", text))
    assert spoken(cues) == ["hello everyone", "welcome to", "welcome to"]


REFUSED = [
    kind(
        "a letter in a time",
        "refused, with its line",
        "1\n00:00:0a,000 --> 00:00:02,000\nhello\n",
        r"t\.srt, line 2: .* is no line of times",
        id="letter",
    ),
    kind(
        "a time that cannot be read in the first cue, with another arrow",
        "refused, with its line",
        f"1\n00:00:01,000 -> 00:0O:02,000\none\n\n2\n{SECOND}\ntwo\n",
        r"t\.srt, line 2: .* is no line of times",
        id="first",
    ),
    kind(
        "a cue without an end",
        "refused, with its line",
        f"1\n{FIRST}\none\n\n2\n00:00:02,000 -->\ntwo\n",
        r"t\.srt, line 6: .* is no line of times",
        id="no-end",
    ),
    kind(
        "a time that cannot be read below a cue, without a blank line",
        "refused, with its line",
        f"1\n{FIRST}\none\n2\n00:00:02,0x0 -> 00:00:03,000\ntwo\n",
        r"t\.srt, line 5: .* is no line of times",
        id="below",
    ),
    kind(
        "a cue that ends before it begins",
        "refused, with its line",
        "1\n00:00:03,000 --> 00:00:02,000\nhello\n",
        r"t\.srt, line 2: ends at 2\.0 s, starts at 3\.0 s",
        id="backwards",
    ),
    kind(
        "a time of 400 digits",
        "refused, with its line",
        f"1\n00:00:01,000 --> {'9' * 400}:00:00,000\nhello\n",
        r"t\.srt, line 2: .*\(410 characters\) is no time of any medium",
        id="digits",
    ),
    kind(
        "a time of 5,000 digits",
        "refused, with its line",
        f"1\n00:00:01,000 --> {'9' * 5000}:00:00,000\nhello\n",
        r"t\.srt, line 2: .* is no time of any medium",
        id="many-digits",
    ),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path, text, message):
    with pytest.raises(PipelineError, match=message):
        transcripts.read(trees.write_text(tmp_path / "t.srt", text))


STRAY = f"1\n{FIRST}\nWörter und Ähren\n\n2\n{SECOND}\nüber\n".encode()
ENCODED = [
    kind(
        "one stray byte in a file of UTF-8",
        "it alone is read as cp1252",
        STRAY.replace(b"und", b"\x96"),
        "Wörter – Ähren",
        "1 byte",
        area="text",
        id="stray",
    ),
    kind(
        "UTF-8 with its mark and a stray byte",
        "it alone is read as cp1252",
        b"\xef\xbb\xbf" + STRAY.replace(b"\xc3\xbcber", b"ber").replace(b"und", b"\xe9\xe9\xe9"),
        "Wörter ééé Ähren",
        "3 byte",
        area="text",
        id="marked",
    ),
    kind(
        "a file in cp1252",
        "read as such",
        STRAY.decode().replace("und", "–").encode("cp1252"),
        "Wörter – Ähren",
        "read as cp1252",
        area="text",
        id="cp1252",
    ),
    kind(
        "words in capitals before a quotation mark in cp1252",
        "read as such",
        STRAY.decode().replace("Wörter und", "“CAFÉ” é").encode("cp1252"),
        "“CAFÉ” é Ähren",
        "read as cp1252",
        area="text",
        id="capitals",
    ),
    kind(
        "a file in UTF-16 with its mark",
        "read as such",
        STRAY.decode().encode("utf-16"),
        "Wörter und Ähren",
        "",
        area="text",
        id="utf16",
    ),
    kind(
        "a file in UTF-32 with its mark",
        "read as such",
        STRAY.decode().encode("utf-32"),
        "Wörter und Ähren",
        "",
        area="text",
        id="utf32",
    ),
]


@pytest.mark.parametrize(("raw", "words", "said"), ENCODED)
def test_encodings(tmp_path, caplog, raw, words, said):
    caplog.set_level(logging.INFO)
    (tmp_path / "t.srt").write_bytes(raw)
    assert spoken(transcripts.read(tmp_path / "t.srt"))[0] == words
    assert said in caplog.text


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 5_000),
            st.integers(60, 5_000),
            st.lists(st.from_regex(r"[a-zA-Zäß,.?!']{1,12}( [a-zäß]{1,8}){0,3}", fullmatch=True), max_size=3),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_what_is_well_formed_is_read_as_pysubs2_reads_it(tmp_path_factory, told):
    file, now = pysubs2.SSAFile(), 0
    for gap, length, words in told:
        file.append(pysubs2.SSAEvent(start=now + gap, end=now + gap + length, text="\\N".join(words)))
        now += gap + length
    folder = tmp_path_factory.mktemp("whole")
    for suffix in ("srt", "vtt"):
        file.save(str(folder / f"t.{suffix}"))
        cues = transcripts.read(folder / f"t.{suffix}")
        theirs = list(pysubs2.load(str(folder / f"t.{suffix}")))
        if any(cue.text is None for cue in cues):
            # it takes the number of the next cue for words where a cue has none
            theirs = list(file)
        assert len(cues) == len(theirs)
        for own, event in zip(cues, theirs, strict=True):
            assert (own.start, own.end) == pytest.approx((event.start / 1000, event.end / 1000))
            assert (own.text or "") == " ".join(event.plaintext.split("\n")).strip()
