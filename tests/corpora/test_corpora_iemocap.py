"""IEMOCAP: protocols, folds and crops on a tree of its layout."""

import logging
import shutil
import wave

import fixture_trees as trees
import polars as pl
import pytest

from pipeline import manifest
from pipeline.core import media
from pipeline.core.errors import PipelineError
from pipeline.core.registries.corpora import CORPORA
from pipeline.corpora import iemocap


def kind(said, ends, *values):
    return pytest.param(*values, marks=pytest.mark.fault("labels", said, ends))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return trees.iemocap(tmp_path_factory.mktemp("iemocap"))


@pytest.fixture(scope="module")
def corpus(base):
    return iemocap.read(trees.settings("iemocap", base, protocol="four"), [])


def labelled(corpus):
    """Label name (or None) of every utterance of the first session."""
    names = dict(enumerate(corpus.labels))
    rows = corpus.rows.filter(group="session1")
    return {row["utterance"]: names.get(row["label"]) for row in rows.iter_rows(named=True)}


def ids_file(tmp_path, lines):
    return {"ids": trees.pinned(trees.write_text(tmp_path / "ids.csv", "\n".join(lines) + "\n"))}


def test_four_classes_merge_excited_and_keep_others_as_context(corpus):
    manifest.check(corpus)
    assert corpus.rows.height == 35
    assert labelled(corpus) == {
        "Ses01F_impro01_F000": "neutral",
        "Ses01F_impro01_M000": "happy",
        "Ses01F_impro01_F001": None,
        "Ses01M_script01_1b_M000": "angry",
        "Ses01M_script01_1b_F000": "happy",
        "Ses01M_script01_1b_M001": "sad",
        "Ses01M_script01_1b_F001": None,
    }


def test_linked_sessions_are_read_alike(base, corpus, tmp_path):
    for path in base.iterdir():
        (tmp_path / path.name).symlink_to(path)
    linked = iemocap.read(trees.settings("iemocap", tmp_path, protocol="four"), [])
    assert linked.rows.drop("media").equals(corpus.rows.drop("media"))


def test_six_classes(base):
    names = labelled(iemocap.read(trees.settings("iemocap", base, protocol="six"), []))
    assert names["Ses01F_impro01_M000"] == "excited"
    assert names["Ses01F_impro01_F001"] == "frustrated"
    assert names["Ses01M_script01_1b_F001"] is None


def test_the_id_file_labels_what_it_lists_and_the_rest_is_context(base, tmp_path):
    lines = ["utterance,label", "Ses01F_impro01_F000,neu", "Ses01F_impro01_M000", "Ses01M_script01_1b_F001"]
    own = ids_file(tmp_path, lines)
    names = labelled(iemocap.read(trees.settings("iemocap", base, protocol="six_by_ids", iemocap=own), []))
    assert names["Ses01F_impro01_F000"] == "neutral"
    assert names["Ses01F_impro01_M000"] == "excited"
    # EmoEvaluation has no class for it: one of those that the feature files call happy
    assert names["Ses01M_script01_1b_F001"] == "happy"
    assert sum(name is not None for name in names.values()) == 3


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["Ses09F_impro01_F000"], "no utterance of the corpus"),
        (["Ses01F_impro01_F000,glee"], r"ids\.csv, row 1: unknown label 'glee'"),
        (["Ses01F_impro01_F000"] * 2, r"ids\.csv, row 2: .*second time"),
    ],
)
def test_faulty_id_files(base, tmp_path, lines, message):
    own = ids_file(tmp_path, lines)
    with pytest.raises(PipelineError, match=message):
        iemocap.read(trees.settings("iemocap", base, protocol="six_by_ids", iemocap=own), [])


def test_the_id_file_must_be_named_and_be_the_right_one(base, tmp_path):
    with pytest.raises(PipelineError, match=r"corpus\.iemocap\.ids: .* not named"):
        iemocap.read(trees.settings("iemocap", base, protocol="six_by_ids"), [])
    own = ids_file(tmp_path, ["Ses01F_impro01_F000"])
    own["ids"]["sha256"] = "0" * 64
    with pytest.raises(PipelineError, match="SHA-256"):
        iemocap.read(trees.settings("iemocap", base, protocol="six_by_ids", iemocap=own), [])


def test_dropping_other_turns_has_its_own_name(base):
    read = iemocap.read(trees.settings("iemocap", base, iemocap={"other": "drop"}), [])
    assert read.rows.height == 25
    assert read.rows["label"].null_count() == 0


def test_turns_are_in_the_order_of_time(corpus):
    rows = corpus.rows.filter(dialogue="Ses01F_impro01").sort("position")
    assert rows["start"].to_list() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(("half", "left"), [("left", True), ("right", False)])
def test_the_crop_shows_the_speaker(base, half, left):
    rows = iemocap.read(trees.settings("iemocap", base, iemocap={"marked_half": half}), []).rows
    crops = dict(rows.select("utterance", "crop").iter_rows())
    halves = {True: [0.0, 0.0, 0.5, 1.0], False: [0.5, 0.0, 1.0, 1.0]}
    assert crops["Ses01F_impro01_F000"] == halves[left]
    assert crops["Ses01F_impro01_M000"] == halves[not left]
    assert crops["Ses01M_script01_1b_M000"] == halves[left]


def test_text_comes_without_remarks(corpus):
    texts = dict(corpus.rows.select("utterance", "text").iter_rows())
    assert texts["Ses01F_impro01_F000"] == "Words of Ses01F_impro01_F000."
    assert not [name for name in texts if "XX" in name]


def test_leave_one_session_out(base, corpus):
    settings = trees.settings("iemocap", base, validation=0.2)
    for fold in CORPORA["iemocap"].folds:
        table = iemocap.splits(corpus.rows, settings, fold)
        tested = table.filter(split="test")["dialogue"].to_list()
        number = 5 if fold == "main" else int(fold[-1])
        assert sorted(tested) == [f"Ses0{number}F_impro01", f"Ses0{number}M_script01_1b"]
        assert table.filter(split="val").height == 2
        assert table.height == 10
    again = iemocap.splits(corpus.rows.reverse(), settings, "main").sort("dialogue")
    assert again.equals(iemocap.splits(corpus.rows, settings, "main").sort("dialogue"))
    part = corpus.rows.filter(pl.col("group") != "session5")
    with pytest.raises(PipelineError, match="no dialogue of session5"):
        iemocap.splits(part, settings, "main")


def test_a_missing_video_stays_in_the_manifest(corpus):
    rows = corpus.rows.filter(dialogue="Ses03F_impro01")
    assert rows.height == 3
    assert rows["media"][0].endswith("Session3/dialog/avi/DivX/Ses03F_impro01.avi")


def test_full_counts_are_those_of_the_literature():
    assert sum(iemocap.EXPECTED[code] for code in iemocap.CODES) == 10_039
    codes = iemocap.EXPECTED
    six = sum(codes[code] for code in iemocap.NAMES)
    assert (six, six - codes["fru"]) == (7380, 5531)
    assert sum(codes[f"{name} dialogues"] for name in iemocap.SESSIONS) == 151


def test_strict_counts_name_what_differs(base):
    with pytest.raises(PipelineError, match=r"session1 dialogues: 2 instead of 28 \(-26\).*labelled: 25"):
        iemocap.read(trees.settings("iemocap", base, counts="strict"), [])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\tneu\t", "\tnue\t", r"Ses01F_impro01\.txt, line \d+: unknown label 'nue'"),
        ("_F001\tfru", "_F000\tfru", r"Ses01F_impro01\.txt, line \d+: .*second time"),
        ("Ses01F_impro01_F000", "Ses01F_impro02_F000", "is not an utterance of the dialogue Ses01F_impro01"),
        kind(
            "IEMOCAP: a turn that ends before it begins",
            "refused, with its line",
            "[0.0000 - 1.0000]",
            "[1.0000 - 0.5000]",
            r"Ses01F_impro01\.txt, line \d+: ends at 0\.5 s, starts at 1\.0 s",
        ),
        kind(
            "IEMOCAP: a turn without its bracket",
            "refused, with its line",
            "[0.0000 - 1.0000]",
            "0.0000 - 1.0000]",
            r"Ses01F_impro01\.txt, line \d+: .* is not a turn",
        ),
        kind(
            "IEMOCAP: a turn without its label",
            "refused, with its line",
            "\tneu\t",
            "\t",
            r"Ses01F_impro01\.txt, line \d+: .* is not a turn",
        ),
        kind(
            "IEMOCAP: a time that is no number",
            "refused, with its line",
            "[0.0000",
            "[0:00",
            r"Ses01F_impro01\.txt, line \d+: '0:00' is not a number",
        ),
        kind(
            "IEMOCAP: a time of 400 digits",
            "refused, with its line",
            "1.0000]",
            "9" * 400 + "]",
            r"Ses01F_impro01\.txt, line \d+: .* is too large a number",
        ),
    ],
)
def test_faulty_label_files_are_named_with_line(base, tmp_path, old, new, message):
    source = base / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt"
    text = source.read_text()
    assert old in text
    folder = tmp_path / "Session1"
    trees.write_text(folder / "dialog" / "EmoEvaluation" / source.name, text.replace(old, new, 1))
    with pytest.raises(PipelineError, match=message):
        iemocap.evaluated("session1", folder)


def test_missing_trees_are_named(base, tmp_path):
    with pytest.raises(PipelineError, match="no Session1 to Session5"):
        iemocap.read(trees.settings("iemocap", tmp_path), [])
    (tmp_path / "Session1").mkdir()
    with pytest.raises(PipelineError, match="EmoEvaluation: there are no label files"):
        iemocap.read(trees.settings("iemocap", tmp_path), [])
    shutil.copytree(base / "Session2", tmp_path / "Session1", dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "Session1" / "dialog" / "avi")
    with pytest.raises(PipelineError, match="no usable media"):
        iemocap.read(trees.settings("iemocap", tmp_path), [])


def write_sound(path, seconds):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(b"\x00\x10" * round(16_000 * seconds))


@pytest.fixture
def words_and_labels(base, tmp_path):
    """Two sessions without their videos."""
    for name in ("Session1", "Session5"):
        shutil.copytree(base / name, tmp_path / name)
        shutil.rmtree(tmp_path / name / "dialog" / "avi")
    return tmp_path


@pytest.mark.fault("corpora", "IEMOCAP: blanks for tabs in EmoEvaluation", "read as the tabs")
def test_blanks_for_tabs_lose_no_dialogue(base, tmp_path):
    source = base / "Session1" / "dialog" / "EmoEvaluation"
    for path in source.glob("Ses*.txt"):
        text = path.read_text().replace("\t", "    ")
        trees.write_text(tmp_path / "Session1" / "dialog" / "EmoEvaluation" / path.name, text)
    copied = iemocap.evaluated("session1", tmp_path / "Session1")
    whole = iemocap.evaluated("session1", base / "Session1")
    assert [(turn.utterance, turn.start, turn.code) for turn in copied] == [
        (turn.utterance, turn.start, turn.code) for turn in whole
    ]


@pytest.mark.fault("corpora", "IEMOCAP: a file of labels without a turn", "refused, with its name")
def test_a_file_without_a_turn_is_named(tmp_path):
    path = tmp_path / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt"
    trees.write_text(path, "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n")
    with pytest.raises(PipelineError, match=r"Ses01F_impro01\.txt: there is no turn in it"):
        iemocap.evaluated("session1", tmp_path / "Session1")


@pytest.mark.fault("corpora", "IEMOCAP: a line of a transcript that cannot be read", "no_text, with its line")
def test_a_line_of_a_transcript_that_cannot_be_read_is_logged(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    text = "Ses01F_impro01_F000 [006.2901-008.2357]: One\u2028more\nSes01F_impro01_M000: two\nF: (laughs)\n"
    trees.write_text(tmp_path / "dialog" / "transcriptions" / "Ses01F_impro01.txt", text)
    assert iemocap.transcripts(tmp_path) == {"Ses01F_impro01_F000": "One\u2028more"}
    assert "Ses01F_impro01.txt, line 2: 'Ses01F_impro01_M000: two' is no line of a transcript" in caplog.text


@pytest.mark.fault("corpora", "IEMOCAP: no videos, but the cut sounds", "faces are absent: no_video_stream")
def test_without_videos_the_cut_sounds_are_read(words_and_labels, caplog):
    caplog.set_level(logging.INFO)
    for turn in iemocap.evaluated("session1", words_and_labels / "Session1"):
        path = words_and_labels / "Session1" / "sentences" / "wav" / turn.dialogue / f"{turn.utterance}.wav"
        write_sound(path, 0.75)
    corpus = iemocap.read(trees.settings("iemocap", words_and_labels), [])
    manifest.check(corpus)
    heard = corpus.rows.filter(group="session1")
    assert heard["media"].str.ends_with(".wav").all()
    assert set(zip(heard["start"], heard["end"], strict=True)) == {(0.0, 0.75)}
    # of the other session nothing is there, and its rows keep the names of the videos
    assert corpus.rows.filter(group="session5")["media"].str.ends_with(".avi").all()
    assert "7 turns have no video that can be opened; their sound files are read" in caplog.text
    media_of = trees.Path(heard["media"][0])
    with pytest.raises(media.MediaAbsence) as lack:
        next(media.frames(media_of, [0.0]))
    assert lack.value.reason == "no_video_stream"
    assert len(media.audio(media_of)) == 12_000


@pytest.mark.fault("corpora", "IEMOCAP: no videos, but the sounds of whole dialogues", "faces are absent")
def test_without_videos_the_sound_of_a_dialogue_is_read(words_and_labels):
    write_sound(words_and_labels / "Session1" / "dialog" / "wav" / "Ses01F_impro01.wav", 3.0)
    rows = iemocap.read(trees.settings("iemocap", words_and_labels), []).rows.filter(
        dialogue="Ses01F_impro01"
    )
    assert rows["media"].str.ends_with("dialog/wav/Ses01F_impro01.wav").all()
    assert rows["start"].to_list() == [0.0, 1.0, 2.0]


@pytest.mark.fault("corpora", "IEMOCAP: a turn of 1e9 s", "drawn back to what its file holds")
@pytest.mark.fault("corpora", "IEMOCAP: a turn that ends where it begins", "no_length")
def test_absurd_times_of_turns(base, tmp_path):
    for name in ("Session1", "Session5"):
        shutil.copytree(base / name, tmp_path / name)
    path = tmp_path / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt"
    text = path.read_text().replace("[2.0000 - 3.0000]", "[2.0000 - 1000000000]")
    path.write_text(text.replace("[1.0000 - 2.0000]", "[1.0000 - 1.0000]"))
    corpus = iemocap.read(trees.settings("iemocap", tmp_path), [])
    manifest.check(corpus)
    rows = corpus.rows.filter(dialogue="Ses01F_impro01")
    assert rows["withheld"].to_list() == [None, "no_length", None]
    assert rows["end"].to_list() == pytest.approx([1.0, 1.001, 3.0], abs=0.1)
