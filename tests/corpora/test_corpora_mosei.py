"""CMU-MOSEI: both trees, both kinds of labels, strange ids, folds."""

import json
import logging
import shutil

import fixture_trees as trees
import h5py
import numpy as np
import pytest

from pipeline import manifest
from pipeline.core.errors import PipelineError
from pipeline.corpora import mosei, mosei_labels


def settings(base, **keys):
    return trees.settings("mosei", base, mosei={"folds": trees.pinned(base / "folds.json")} | keys)


def kind(said, ends, *values):
    return pytest.param(*values, marks=pytest.mark.fault("labels", said, ends))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return trees.mosei(tmp_path_factory.mktemp("segmented"))


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return trees.mosei(tmp_path_factory.mktemp("full"), tree="Full", level=False, labels="csd")


def by_name(corpus):
    return {row["utterance"]: row for row in corpus.rows.iter_rows(named=True)}


def test_segments_are_dialogues_of_their_own(base):
    corpus = mosei.read(settings(base), [])
    manifest.check(corpus)
    rows = by_name(corpus)
    assert len(rows) == corpus.rows["dialogue"].n_unique() == 17
    assert corpus.task == "regression"
    row = rows["-3g5yACwYnA_1"]
    assert (row["split"], row["score"], row["text"]) == ("train", 2.0, "Words -3g5yACwYnA 1")
    assert row["media"].endswith("Videos/Segmented/Combined/-3g5yACwYnA_1.mp4")
    assert (row["start"], row["end"]) == (0.0, pytest.approx(1.0, abs=0.15))


@pytest.mark.parametrize("kind", ["base", "full"])
def test_a_linked_tree_is_read_alike(request, tmp_path, kind):
    real = request.getfixturevalue(kind)
    (tmp_path / "Raw").mkdir()
    for path in (*(path for path in real.iterdir() if path.is_file()), *(real / "Raw").iterdir()):
        (tmp_path / path.relative_to(real)).symlink_to(path)
    (tmp_path / "again").symlink_to(real)
    (tmp_path / "self").symlink_to(tmp_path)
    linked = mosei.read(settings(tmp_path), []).rows
    assert linked.drop("media").equals(mosei.read(settings(real), []).rows.drop("media"))
    assert set(linked["media"].str.starts_with(str(tmp_path))) == {True}


def test_ids_of_digits_stay_text(base):
    rows = by_name(mosei.read(settings(base), []))
    assert rows["0042_3"]["split"] == "test"
    assert rows["100499_0"]["split"] == "val"
    assert rows["0042_0"]["group"] == "0042"


def test_full_videos_are_cut_by_the_transcript(full):
    rows = by_name(mosei.read(settings(full), []))
    row = rows["_abc_1"]
    assert row["media"].endswith("Videos/Combined/_abc.mp4")
    assert (row["start"], row["end"]) == (pytest.approx(0.8), pytest.approx(2.0))
    assert rows["_abc_0"]["start"] == 0.0


def test_labels_of_csv_and_csd_agree(base, full):
    segmented, whole = (by_name(mosei.read(settings(folder), [])) for folder in (base, full))
    assert {name: row["score"] for name, row in segmented.items()} == pytest.approx(
        {name: row["score"] for name, row in whole.items()}
    )


def test_a_clip_without_media_stays_and_one_without_a_label_goes(base):
    rows = by_name(mosei.read(settings(base), []))
    assert {"zz-z_0", "zz-z_1", "zz-z_3"} <= set(rows)
    assert rows["zz-z_0"]["end"] > 0
    assert "_abc_3" not in rows
    assert not [name for name in rows if name.startswith("nowhere")]


def test_official_splits(base):
    chosen = settings(base)
    table = mosei.splits(mosei.read(chosen, []).rows, chosen, "main")
    counts = dict(table["split"].value_counts().iter_rows())
    assert counts == {"train": 5, "val": 3, "test": 9}


@pytest.mark.parametrize("suffix", ["csv", "json", "py"])
def test_fold_files_of_each_form(tmp_path, suffix):
    text = {
        "csv": "video,split\n" + "".join(f"{v},{s}\n" for s, own in trees.MOSEI_FOLDS.items() for v in own),
        "json": json.dumps(trees.MOSEI_FOLDS),
        "py": "".join(f"standard_{s}_fold={own!r}\n" for s, own in trees.MOSEI_FOLDS.items()),
    }[suffix]
    folds = mosei.read_folds(trees.write_text(tmp_path / f"folds.{suffix}", text))
    assert folds["0042"] == "test"
    assert folds["100499"] == "val"
    assert folds["-3g5yACwYnA"] == "train"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("f.py", "import os\nstandard_train_fold = os.listdir()\n", "not a fold file"),
        ("f.py", "x = 1\n", "no list whose name"),
        ("f.json", '{"train": ["a"], "test": ["a"]}', "'a' stands in two folds"),
        ("f.csv", "video,split\na,practice\n", "'practice'"),
        ("f.csv", "clip,split\na,train\n", "no column 'video'"),
        kind(
            "CMU-MOSEI: a fold without a name of a video",
            "refused",
            "f.csv",
            "video,split\n,train\n",
            "no name",
        ),
        kind(
            "CMU-MOSEI: folds that are no lists",
            "refused",
            "f.json",
            '{"train": "abc"}',
            "no object of lists",
        ),
        kind("CMU-MOSEI: folds of other JSON", "refused", "f.json", "[1]", "no object of lists"),
        kind("CMU-MOSEI: folds nested without end", "refused", "f.json", "[" * 100_000, "not a fold file"),
    ],
)
def test_faulty_fold_files(tmp_path, name, text, message):
    with pytest.raises(PipelineError, match=message):
        mosei.read_folds(trees.write_text(tmp_path / name, text))


def test_folds_must_be_named_and_be_the_right_ones(base):
    with pytest.raises(PipelineError, match=r"corpus\.mosei\.folds: .* not named"):
        mosei.read(trees.settings("mosei", base), [])
    wrong = {"path": str(base / "folds.json"), "sha256": "0" * 64}
    with pytest.raises(PipelineError, match="SHA-256"):
        mosei.read(trees.settings("mosei", base, mosei={"folds": wrong}), [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Input.VIDEO_ID,Answer.sentiment\na,1\n", r"no column 'Input\.CLIP'"),
        ("Input.VIDEO_ID,Input.CLIP,Answer.sentiment\na,0,much\n", "row 2, column Answer.sentiment: 'much'"),
        ("Input.VIDEO_ID,Input.CLIP,Answer.sentiment\na,0,1\na,0,7\n", r"row 3: 7 is not within -3\.\.3"),
        ("Input.VIDEO_ID,Input.CLIP,Answer.sentiment\n,0,1\n", "row 2, column Input.VIDEO_ID: empty"),
        kind(
            "CMU-MOSEI: a clip that is no whole number",
            "refused, with row and column",
            "Input.VIDEO_ID,Input.CLIP,Answer.sentiment\na,0.5,1\n",
            r"row 2, column Input\.CLIP: '0\.5' is not a whole number",
        ),
    ],
)
def test_faulty_label_files_are_named_with_row(tmp_path, text, message):
    with pytest.raises(PipelineError, match=message):
        mosei_labels.from_csv(trees.write_text(tmp_path / "b.csv", text))


def test_an_empty_answer_does_not_count(tmp_path):
    path = trees.write_text(
        tmp_path / "b.csv", "Input.VIDEO_ID,Input.CLIP,Answer.sentiment\n-a,0,1\n-a,0,\n-a,0,2\n"
    )
    assert mosei_labels.from_csv(path) == {("-a", 0): 1.5}


def test_labels_of_csd_go_to_the_nearest_line(tmp_path):
    path = tmp_path / "labels.csd"
    with h5py.File(path, "w") as file:
        group = file.create_group("All Labels/data/9")
        group["intervals"] = [[-0.3, 2.0], [2.1, 4.0], [50.0, 51.0]]
        group["features"] = [[1.0] + [0] * 6, [-2.0] + [0] * 6, [3.0] + [0] * 6]
    found = mosei_labels.from_csd(path, {("9", 0): (0.0, 2.0), ("9", 1): (2.0, 4.0), ("8", 0): (0.0, 2.0)})
    assert found == {("9", 0): 1.0, ("9", 1): -2.0}


def test_a_csd_of_another_layout_is_named(tmp_path):
    with h5py.File(tmp_path / "a.csd", "w") as file:
        file["x"] = [1]
    with pytest.raises(PipelineError, match="not a computational sequence"):
        mosei_labels.from_csd(tmp_path / "a.csd", {})
    with pytest.raises(PipelineError, match="not a computational sequence"):
        mosei_labels.from_csd(trees.write_text(tmp_path / "b.csd", "no HDF5"), {})


def test_missing_parts_are_named(base, tmp_path):
    chosen = {"folds": trees.pinned(base / "folds.json")}
    own = trees.settings("mosei", tmp_path, mosei=chosen)
    with pytest.raises(PipelineError, match="Transcript/Segmented/Combined"):
        mosei.read(own, [])
    line = "-a___0___0.0___1.0___Words\n"
    trees.write_text(tmp_path / "Transcript" / "Segmented" / "Combined" / "-a.txt", line)
    with pytest.raises(PipelineError, match="found none"):
        mosei.read(own, [])
    head = "Input.VIDEO_ID,Input.CLIP,Answer.sentiment\n"
    trees.write_text(tmp_path / "Labels" / "b.csv", f"{head}-3g5yACwYnA,0,1\n")
    with pytest.raises(PipelineError, match="Videos/Segmented/Combined"):
        mosei.read(own, [])
    path = tmp_path / "Transcript" / "Segmented" / "Combined" / "-a.txt"
    trees.write_text(path, line * 2)
    with pytest.raises(PipelineError, match=r"-a\.txt, line 2: .*second time"):
        mosei.read(own, [])
    trees.write_text(path, "-a___0___0.0\n")
    with pytest.raises(PipelineError, match=r"-a\.txt, line 1: not video___clip"):
        mosei.read(own, [])


def test_strict_counts_name_what_differs(base):
    own = settings(base).model_copy(update={"counts": "strict"})
    with pytest.raises(PipelineError, match=r"train clips: 5 instead of 16326"):
        mosei.read(own, [])


def packed(path, intervals, features):
    with h5py.File(path, "w") as file:
        group = file.create_group("All Labels/data/9")
        group["intervals"], group["features"] = intervals, features
    return path


@pytest.mark.fault(
    "labels", "CMU-MOSEI: a segment labelled twice with other scores in a .csd", "refused, with both"
)
def test_a_segment_with_two_scores_is_named(tmp_path):
    times = {("9", 0): (0.0, 2.0)}
    same = packed(tmp_path / "a.csd", [[0.0, 2.0]] * 2, [[1.0], [1.0]])
    assert mosei_labels.from_csd(same, times) == {("9", 0): 1.0}
    other = packed(tmp_path / "b.csd", [[0.0, 2.0]] * 2, [[1.0], [-1.0]])
    with pytest.raises(PipelineError, match=r"b\.csd, video 9, 0 s to 2 s: labelled twice, 1 and -1"):
        mosei_labels.from_csd(other, times)


@pytest.mark.fault(
    "labels",
    "CMU-MOSEI: two labels of a .csd near one line, with other scores",
    "the nearer, and the log counts it",
)
def test_two_labels_near_one_line_are_counted(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    near = packed(tmp_path / "a.csd", [[0.0, 2.1], [0.0, 2.0], [0.1, 2.1]], [[-1.0], [1.0], [-2.0]])
    assert mosei_labels.from_csd(near, {("9", 0): (0.0, 2.0)}) == {("9", 0): 1.0}
    assert "2 labels lie farther from their transcript line than another" in caplog.text


@pytest.mark.parametrize(
    ("intervals", "features"),
    [
        kind(
            "CMU-MOSEI: more labels than times in a .csd", "refused, with the video", [[0, 1]], [[1.0], [2.0]]
        ),
        kind(
            "CMU-MOSEI: times that are no pairs in a .csd",
            "refused, with the video",
            [[0], [1]],
            [[1.0], [2.0]],
        ),
        kind("CMU-MOSEI: labels without a column in a .csd", "refused, with the video", [[0, 1]], [[]]),
        kind("CMU-MOSEI: text for times in a .csd", "refused", [[b"a", b"b"]], [[1.0]]),
    ],
)
def test_a_csd_of_other_shapes_is_named(tmp_path, intervals, features):
    with pytest.raises(PipelineError, match=r"a\.csd: not a computational sequence"):
        mosei_labels.from_csd(packed(tmp_path / "a.csd", intervals, features), {})


@pytest.mark.fault(
    "labels", "CMU-MOSEI: times that are NaN in a .csd", "a label without a line, counted in the log"
)
def test_a_label_without_a_time_is_left_out(tmp_path):
    path = packed(tmp_path / "a.csd", [[np.nan, np.nan], [0, 2]], [[3.0], [1.0]])
    assert mosei_labels.from_csd(path, {("9", 0): (0.0, 2.0)}) == {("9", 0): 1.0}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        kind(
            "CMU-MOSEI: a time of 400 digits",
            "refused, with its line",
            f"a___0___2.0___{'9' * 400}___Hi",
            "too large",
        ),
        kind(
            "CMU-MOSEI: a clip of 1e300",
            "refused, with its line",
            "a___1e300___2.0___3.0___Hi",
            "not a whole number",
        ),
    ],
)
def test_a_faulty_line_of_a_transcript_is_named(tmp_path, line, message):
    trees.write_text(tmp_path / "Transcript" / "Combined" / "a.txt", f"a___1___0___1___Hi\u2028you\n{line}\n")
    with pytest.raises(PipelineError, match=rf"a\.txt, line 2: .*{message}"):
        mosei.transcripts(tmp_path)


@pytest.mark.fault("text", "CMU-MOSEI: U+2028 within the words", "every word stays")
def test_words_may_hold_a_separator_of_lines(tmp_path):
    trees.write_text(tmp_path / "Transcript" / "Combined" / "a.txt", "a___1___0___1___Hi\u2028you\x1cthere\n")
    assert mosei.transcripts(tmp_path)["a", 1].text == "Hi\u2028you\x1cthere"


@pytest.mark.fault("labels", "CMU-MOSEI: a segment that ends before it begins", "refused, with its line")
@pytest.mark.fault("labels", "CMU-MOSEI: a segment of 1e9 s in a whole video", "drawn back to its video")
def test_a_segment_ends_with_its_video(full, tmp_path):
    copied = shutil.copytree(full, tmp_path / "corpus", symlinks=True)
    path = next((copied / "Raw" / "Transcript").rglob("_abc.txt"))
    path.write_text(path.read_text().replace("___2.00___", "___1000000000___"))
    with h5py.File(copied / "CMU_MOSEI_Labels.csd", "a") as file:
        file["All Labels/data/_abc/intervals"][1, 1] = 1e9
    row = by_name(mosei.read(settings(copied), []))["_abc_1"]
    assert (row["start"], row["end"]) == (pytest.approx(0.8), pytest.approx(4.0, abs=0.1))
    path.write_text(path.read_text().replace("___1000000000___", "___0.50___"))
    with h5py.File(copied / "CMU_MOSEI_Labels.csd", "a") as file:
        file["All Labels/data/_abc/intervals"][1, 1] = 0.5
    with pytest.raises(PipelineError, match=r"_abc\.txt, line 2: ends at 0\.5 s, starts at 0\.8 s"):
        mosei.read(settings(copied), [])
