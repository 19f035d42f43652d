"""MELD: a tree with its traps, read with and without media."""

import logging

import fixture_trees as trees
import polars as pl
import pytest

from pipeline import manifest
from pipeline.core.errors import PipelineError
from pipeline.corpora import meld


def kind(said, ends, *values):
    return pytest.param(*values, marks=pytest.mark.fault("labels", said, ends))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return trees.meld(tmp_path_factory.mktemp("meld"))


@pytest.fixture(scope="module")
def corpus(base):
    return meld.read(trees.settings("meld", base, meld={"longest": 2.5}), [])


def row(corpus, utterance):
    return corpus.rows.row(by_predicate=pl.col("utterance") == utterance, named=True)


def edited(base, tmp_path, old, new, name="train_sent_emo.csv"):
    """A copy of the label files in which one text is replaced."""
    for part in meld.TABLES.values():
        text = (base / part).read_text()
        if part == name:
            assert old in text
            text = text.replace(old, new, 1)
        trees.write_text(tmp_path / part, text)
    return tmp_path


def test_a_linked_tree_is_read_alike(base, corpus, tmp_path):
    for name in ("MELD.Raw", *meld.TABLES.values()):
        (tmp_path / name).symlink_to(base / name)
    # both names of a tree lie below the folder
    (tmp_path / "train_splits").symlink_to(base / "MELD.Raw" / "train" / "train_splits")
    (tmp_path / "self").symlink_to(tmp_path)
    linked = meld.read(trees.settings("meld", tmp_path, meld={"longest": 2.5}), [])
    assert linked.rows.drop("media").equals(corpus.rows.drop("media"))
    assert all(len(paths) == 1 for key, paths in meld.clips(tmp_path).items() if key != ("test", 0, 0))


def test_every_line_is_a_row_of_its_split(corpus):
    manifest.check(corpus)
    assert dict(corpus.rows["split"].value_counts().iter_rows()) == {"train": 6, "val": 6, "test": 6}
    assert corpus.rows["dialogue"].n_unique() == 6
    assert corpus.labels == ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")


def test_gaps_in_the_utterance_ids_stay_gaps(corpus):
    assert corpus.rows.filter(dialogue="train_dia0")["position"].to_list() == [0, 1, 3]


def test_ids_that_repeat_across_splits_are_kept_apart(corpus):
    paths = {
        name: row(corpus, name)["media"] for name in ("train_dia1_utt0", "dev_dia1_utt0", "test_dia1_utt0")
    }
    assert "train_splits" in paths["train_dia1_utt0"]
    assert "dev_splits_complete" in paths["dev_dia1_utt0"]
    assert "nested/output_repeated_splits_test" in paths["test_dia1_utt0"]


def test_old_copies_carry_cp1252_which_is_repaired(corpus):
    assert row(corpus, "train_dia0_utt0")["text"] == "Don’t… “you”"


def test_missing_and_broken_clips_stay_rows(corpus):
    missing, broken = row(corpus, "train_dia0_utt3"), row(corpus, "train_dia0_utt1")
    assert missing["media"].endswith("train_splits/dia0_utt3.mp4")
    assert (missing["start"], missing["end"]) == (0.0, 1.0)
    assert (broken["start"], broken["end"], broken["withheld"]) == (0.0, 1.0, None)


def test_a_row_covers_its_whole_clip(corpus):
    assert row(corpus, "train_dia1_utt0")["end"] == pytest.approx(1.0, abs=0.15)
    # the CSV says that this one lasts 0 s
    assert row(corpus, "test_dia1_utt3")["end"] > 0.5


def test_a_wrong_cut_is_withheld_or_kept_by_its_name(base, corpus):
    assert row(corpus, "dev_dia0_utt0")["withheld"] == "wrong_cut"
    assert corpus.rows["withheld"].null_count() == corpus.rows.height - 1
    kept = meld.read(trees.settings("meld", base, meld={"longest": 2.5, "wrong_cuts": "keep"}), [])
    assert kept.rows["withheld"].null_count() == kept.rows.height


@pytest.mark.parametrize(
    ("twins", "name"),
    [
        ("nearest", "final_videos_testdia0_utt0"),
        ("plain", "/dia0_utt0"),
        ("final", "final_videos_testdia0_utt0"),
    ],
)
def test_the_choice_between_twins(base, twins, name):
    read = meld.read(trees.settings("meld", base, meld={"twins": twins}), [])
    assert name in row(read, "test_dia0_utt0")["media"]


def test_annotations_need_no_media(base, tmp_path):
    entries = meld.annotations(edited(base, tmp_path, "Words", "Words"))
    assert meld.found_counts(entries)["train utterances"] == 6


def test_strict_counts_name_what_differs(base):
    with pytest.raises(PipelineError, match=r"train utterances: 6 instead of 9989 \(-9983\)"):
        meld.read(trees.settings("meld", base, counts="strict"), [])


def test_one_fold(base, corpus):
    settings = trees.settings("meld", base)
    table = meld.splits(corpus.rows, settings, "main")
    assert set(table["split"]) == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Emotion", "Feeling", "train_sent_emo.csv: no column 'Emotion'"),
        (",joy,", ",glee,", "train_sent_emo.csv, row 2: unknown label 'glee'"),
        (",0,1,1,1,", ",0,0,1,1,", r"train_sent_emo.csv, row 3: .*second time.*row 2"),
        ("00:01:00,000", "a minute", "row 2, column StartTime: 'a minute' is not a time"),
        (",0,1,1,1,", ",zero,1,1,1,", "row 3, column Dialogue_ID: 'zero' is not a number"),
        kind(
            "MELD: an id that is no whole number",
            "refused, with row and column",
            ",0,1,1,1,",
            ",0.5,1,1,1,",
            "row 3, column Dialogue_ID: '0.5' is not a whole number",
        ),
        kind(
            "MELD: an id of 400 digits",
            "refused, with row and column",
            ",0,1,1,1,",
            f",{'9' * 400},1,1,1,",
            "row 3, column Dialogue_ID: .* is too large",
        ),
        kind(
            "MELD: a line that ends before it begins",
            "refused, with its row",
            "00:01:00,000",
            "00:02:00,000",
            r"row 2: ends at 61\.0 s, starts at 120\.0 s",
        ),
        kind(
            "MELD: a column that stands twice",
            "refused, with its name",
            "Sr No.,",
            "Emotion,",
            "the column 'Emotion' stands twice",
        ),
        kind(
            "MELD: a row with a cell too many",
            "refused, with its row",
            ",joy,",
            ",joy,joy,",
            "row 2: 12 cells, the header has 11",
        ),
    ],
)
def test_faulty_label_files_are_named_with_row(base, tmp_path, old, new, message):
    with pytest.raises(PipelineError, match=message):
        meld.annotations(edited(base, tmp_path, old, new))


def test_a_missing_tree_is_named(base, tmp_path):
    folder = edited(base, tmp_path, "Words", "Words")
    with pytest.raises(PipelineError, match="no folder train_splits"):
        meld.read(trees.settings("meld", folder), [])
    with pytest.raises(PipelineError, match=r"no train_sent_emo\.csv"):
        meld.annotations(trees.write_text(tmp_path / "empty" / "note.txt", "").parent)


def test_no_usable_media_is_one_error(base, tmp_path):
    folder = edited(base, tmp_path, "Words", "Words")
    for tree in meld.TREES.values():
        trees.write_text(folder / tree / "dia0_utt0.mp4", "not a film")
    with pytest.raises(PipelineError, match="no usable media"):
        meld.read(trees.settings("meld", folder), [])


@pytest.mark.parametrize("folder", ["", "nowhere/at/all"])
def test_a_wrong_folder_names_the_key(folder):
    with pytest.raises(PipelineError, match=r"corpus\.folder"):
        meld.read(trees.settings("meld", folder), [])


def lengths(tmp_path, *clips):
    """A corpus whose train clips last so long (s) each, for lines of so many seconds."""
    for part, table in meld.TABLES.items():
        own = clips if part == "train" else [(1.0, 1.0)]
        lines = [trees.MELD_HEAD]
        for number, (told, clip) in enumerate(own):
            lines.append(trees.meld_line(number, "Hi", "joy", 0, number, told))
            trees.write_clip(tmp_path / meld.TREES[part] / f"dia0_utt{number}.mp4", clip)
        trees.write_text(tmp_path / table, "\n".join(lines) + "\n")
    return tmp_path


@pytest.mark.fault("labels", "MELD: a clip six times as long as its line", "wrong_cut, listed and counted")
@pytest.mark.fault("labels", "MELD: a clip a fifth as long as its line", "wrong_cut, listed and counted")
@pytest.mark.fault("labels", "MELD: a clip a little longer than its line", "listed and counted, and used")
@pytest.mark.fault("labels", "MELD: a line of 0 s", "its clip is used as it is")
def test_clips_are_held_to_the_length_of_their_line(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    told = [(1.0, 6.0), (1.0, 0.2), (1.0, 1.0), (1.0, 2.0), (0.0, 1.0), (0.2, 0.6)]
    base = lengths(tmp_path, *told)
    rows = meld.read(trees.settings("meld", base), []).rows.filter(dialogue="train_dia0")
    assert rows["withheld"].to_list() == ["wrong_cut", "wrong_cut", None, None, None, None]
    assert "3 clips differ from the label file by more than 0.5 s; 2 are wrong cuts" in caplog.text
    listed = [line for line in caplog.messages if line.startswith("meld: differs: train_dia0_utt")]
    assert [line.partition("utt")[2][0] for line in listed] == ["0", "1", "3"]
    wide = meld.read(trees.settings("meld", base, meld={"ratio": 5.5}), []).rows["withheld"]
    assert wide.to_list().count("wrong_cut") == 1
    kept = meld.read(trees.settings("meld", base, meld={"wrong_cuts": "keep"}), []).rows["withheld"]
    assert kept.null_count() == len(kept)
