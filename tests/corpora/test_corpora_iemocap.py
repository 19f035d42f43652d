"""IEMOCAP: protocols, folds and crops on a tree of its layout."""

import shutil

import fixture_trees as trees
import polars as pl
import pytest

from pipeline import manifest
from pipeline.core.errors import PipelineError
from pipeline.core.registries.corpora import CORPORA
from pipeline.corpora import iemocap


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
