"""Extracted features: the index, the arrays of both kinds, folds, and the stage that slices them."""

import io
import zipfile

import fixture_trees as trees
import numpy as np
import polars as pl
import pytest

from pipeline import given, manifest
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.corpora import features

INDEX = "utterance,dialogue,label,speaker\n" + "".join(
    f"u{n},d{n // 2},{'yes' if n % 2 else 'no'},s{n % 2}\n" for n in range(8)
)
TEXT = np.arange(24, dtype=np.float64).reshape(8, 3)
AUDIO = np.ones((8, 2), np.float32)


def build(tmp_path, index=INDEX, suffix=".npz", **arrays):
    named = arrays or {"text": {"pooled": TEXT}, "audio": {"pooled": AUDIO, "available": np.arange(8) > 1}}
    return trees.features(tmp_path, index, named, suffix)


def read(base, **own):
    corpus = features.read(trees.settings("features", base, features=own), [])
    manifest.check(corpus)
    return corpus


def sliced(base, tmp_path, modality, names):
    """The stage for one shard with these utterances: pooled, and the index by utterance."""
    shard = tmp_path / "shard.parquet"
    artefacts.save_table(shard, pl.DataFrame({"utterance": names}))
    params = given.Params(folder=str(base), modality=modality)
    out = tmp_path / "out.safetensors"
    given.run(params, shard=shard, features=out, index=out.with_suffix(".parquet"))
    return artefacts.load_tensors(out)["pooled"], artefacts.load_table(out.with_suffix(".parquet"))


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_rows_go_to_their_utterances_in_any_order(tmp_path, suffix):
    named = {
        "text": {"pooled": TEXT},
        "audio": {"pooled": AUDIO, "available": (np.arange(8) > 1).astype(np.uint8)},
    }
    base = trees.features(tmp_path, INDEX, named, suffix)
    assert read(base).rows.height == 8
    pooled, table = sliced(base, tmp_path, "text", ["u5", "u0"])
    assert pooled.dtype == np.float32
    assert pooled.tolist() == [[15, 16, 17], [0, 1, 2]]
    assert table["available"].to_list() == [True, True]
    pooled, table = sliced(base, tmp_path, "audio", ["u5", "u0"])
    assert pooled.tolist() == [[1, 1], [0, 0]]
    assert table["reason"].to_list() == [None, "not_given"]


@pytest.mark.fault(
    "corpora", "extracted features without a file of one modality", "it is absent everywhere: not_given"
)
def test_a_modality_without_a_file_is_absent_everywhere(tmp_path):
    pooled, table = sliced(build(tmp_path), tmp_path, "visual", ["u5", "u0"])
    assert pooled.shape == (2, 1)
    assert table["reason"].to_list() == ["not_given", "not_given"]


@pytest.mark.fault(
    "corpora",
    "a row of extracted features that is NaN in part",
    "the stage stops, naming the row; a row all NaN is absent",
)
def test_rows_of_nan_are_absent_and_single_nan_is_a_fault(tmp_path):
    text = TEXT.copy()
    text[3] = np.nan
    base = build(tmp_path, text={"pooled": text})
    assert sliced(base, tmp_path, "text", ["u3", "u4"])[1]["available"].to_list() == [False, True]
    text[3, 1] = 0
    build(tmp_path, text={"pooled": text})
    with pytest.raises(PipelineError, match=r"text\.npz, row 3 of `pooled`"):
        sliced(base, tmp_path, "text", ["u4"])


def test_names_positions_and_speakers(tmp_path):
    rows = read(build(tmp_path)).rows
    assert rows.filter(dialogue="d1")["position"].to_list() == [0, 1]
    assert rows["label"].to_list() == [0, 1] * 4
    bare = read(build(tmp_path, "utterance,dialogue\n" + "".join(f"u{n},d\n" for n in range(8))))
    assert set(bare.rows["speaker"]) == {"d"}


def test_a_parquet_index_may_hold_label_numbers(tmp_path):
    base = build(tmp_path)
    (base / "index.csv").unlink()
    index = pl.DataFrame(
        {"utterance": [f"u{n}" for n in range(8)], "dialogue": ["d"] * 8, "label": [0, 1] * 4}
    )
    index.write_parquet(base / "index.parquet")
    assert read(base, labels=["bad", "good"]).labels == ("bad", "good")
    with pytest.raises(PipelineError, match="row 3: unknown label 1"):
        read(base, labels=["bad"])


def test_folds_are_columns_of_the_index(tmp_path):
    lines = ["utterance,dialogue,split_first,split_second"]
    swapped = {"train": "train", "val": "test", "test": "val"}
    for n in range(8):
        split = ("train", "train", "val", "test")[n // 2]
        lines.append(f"u{n},d{n // 2},{split},{swapped[split]}")
    base = build(tmp_path, "\n".join(lines) + "\n")
    corpus = read(base)
    assert corpus.folds == ("first", "second")
    assert not corpus.timed
    chosen = trees.settings("features", base)
    assert dict(features.splits(corpus.rows, chosen, "first").iter_rows())["d3"] == "test"
    assert dict(features.splits(corpus.rows, chosen, "second").iter_rows())["d3"] == "val"
    with pytest.raises(PipelineError, match="folds first, second"):
        features.splits(corpus.rows, chosen, "main")
    build(tmp_path, "\n".join(lines).replace("u1,d0,train", "u1,d0,test") + "\n")
    with pytest.raises(PipelineError, match="'d0' lies in more than one split"):
        features.splits(corpus.rows, chosen, "first")


def test_drawn_splits(tmp_path):
    base = build(tmp_path)
    table = features.splits(read(base).rows, trees.settings("features", base), "main")
    assert sorted(table["split"]) == ["test", "train", "train", "val"]


def test_regression(tmp_path):
    scores = [-3, -1.5, 0, 0.5, 1, 2, 2.5, 3]

    def told(values):
        return "utterance,dialogue,score\n" + "".join(f"u{n},d,{one}\n" for n, one in enumerate(values))

    assert read(build(tmp_path, told(scores)), task="regression").rows["score"].to_list() == scores
    with pytest.raises(PipelineError, match=r"index\.csv, row 9, column score: 4 is not within -3\.\.3"):
        read(build(tmp_path, told([*scores[:7], 4])), task="regression")


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (INDEX.replace("dialogue", "video"), r"index\.csv: no column 'dialogue'"),
        (INDEX.replace("u1,", "u0,"), r"index\.csv, rows 2 and 3: the utterance 'u0' occurs twice"),
        (INDEX.replace("u1,", ","), r"index\.csv, row 3: utterance and dialogue must not be empty"),
        (INDEX.replace("u7,d3,yes,s1\n", ""), r"text\.npz: 8 rows, .*index\.csv has 7"),
        (INDEX.replace("u1,d0,yes", "u1,d0,maybe"), r"index\.csv, row 3: unknown label 'maybe'"),
    ],
)
def test_a_faulty_index_is_named_with_row(tmp_path, index, message):
    with pytest.raises(PipelineError, match=message):
        read(build(tmp_path, index), labels=["no", "yes"])


PLACED = "utterance,dialogue,position\n" + "".join(f"u{n},d,{n}\n" for n in range(8))


@pytest.mark.fault("tables", "a position that is no whole number", "the manifest stops, naming the row")
@pytest.mark.parametrize("cell", ["", "1.5", "first", "1e12"])
def test_a_position_that_is_no_whole_number_is_named_with_row(tmp_path, cell):
    base = build(tmp_path, PLACED.replace("u3,d,3", f"u3,d,{cell}"))
    with pytest.raises(PipelineError, match=r"index\.csv, row 5, column position: .*number"):
        read(base)


@pytest.mark.parametrize(
    "values", [[0.0, None, 2.0], [0.0, 0.5, 2.0], [0.0, float("nan"), 2.0], ["0", "", "2"]]
)
def test_a_position_of_a_parquet_index_is_checked_alike(tmp_path, values):
    index = pl.DataFrame({"utterance": ["a", "b", "c"], "dialogue": ["d"] * 3, "position": values})
    index.write_parquet(tmp_path / "index.parquet")
    np.savez(tmp_path / "text.npz", pooled=TEXT[:3])
    with pytest.raises(PipelineError, match=r"index\.parquet, row 3, column position: .*number"):
        read(tmp_path)


@pytest.mark.fault("tables", "a column of numbers that holds something else", "the manifest stops, naming it")
def test_a_column_of_another_kind_is_named(tmp_path):
    index = pl.DataFrame({"utterance": ["a", "b"], "dialogue": ["d"] * 2, "position": [[0], [1]]})
    index.write_parquet(tmp_path / "index.parquet")
    np.savez(tmp_path / "text.npz", pooled=TEXT[:2])
    with pytest.raises(PipelineError, match=r"index\.parquet, column position: .*List"):
        read(tmp_path)


def as_bytes(save, *arrays, **named) -> bytes:
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


@pytest.mark.fault("tables", "an .npz that is none", "the manifest stops, naming it")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no archive",
        b"PK\x03\x04 no archive either",
        as_bytes(np.save, TEXT),
        as_bytes(np.savez, pooled=TEXT)[:300],
        as_bytes(np.savez, pooled=TEXT).replace(b"NUMPY", b"NUMBY"),
    ],
    ids=["empty", "text", "torn", "npy", "cut", "damaged"],
)
def test_a_file_that_is_no_npz_is_named(tmp_path, content):
    base = build(tmp_path)
    (base / "text.npz").write_bytes(content)
    with pytest.raises(PipelineError, match=r"text\.npz: cannot be read as \.npz"):
        read(base)


@pytest.mark.fault(
    "tables", "extracted arrays of a wrong shape, kind or number of rows", "the manifest stops, naming them"
)
def test_faulty_arrays_are_named(tmp_path):
    with pytest.raises(PipelineError, match="expected numbers named `pooled`"):
        read(build(tmp_path, text={"features": TEXT}))
    with pytest.raises(PipelineError, match="without pickle"):
        read(build(tmp_path, text={"pooled": np.array([{}] * 8, dtype=object)}))
    with pytest.raises(PipelineError, match=r"`available` has the shape \(3,\)"):
        sliced(build(tmp_path, text={"pooled": TEXT, "available": np.ones(3)}), tmp_path, "text", ["u1"])
    (tmp_path / "text.npz").unlink()
    with pytest.raises(PipelineError, match="no modality has a file"):
        read(tmp_path)
    (tmp_path / "index.csv").unlink()
    with pytest.raises(PipelineError, match=r"no index\.parquet or index\.csv"):
        read(tmp_path)


def test_an_utterance_in_two_splits_of_a_dialogue_is_found_by_the_manifest(tmp_path):
    lines = INDEX.splitlines()
    index = "\n".join(
        [lines[0] + ",split", *(f"{line},{'train' if n else 'test'}" for n, line in enumerate(lines[1:]))]
    )
    corpus = features.read(trees.settings("features", build(tmp_path, index + "\n")), [])
    with pytest.raises(PipelineError, match="more than one split"):
        manifest.check(corpus)


@pytest.mark.fault(
    "tables", "an .npz that declares 358 GiB", "the manifest stops: the file holds less than it declares"
)
@pytest.mark.parametrize("shape", [(10**8, 960), (2, 4), (1, 2)])
def test_an_archive_that_declares_more_than_it_holds_is_refused(tmp_path, shape):
    trees.features(tmp_path, "utterance,dialogue\nu,d\n", {"text": {"pooled": np.zeros((1, 3), np.float32)}})
    head = io.BytesIO()
    facts = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(head, facts)
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive:
        archive.writestr("pooled.npy", head.getvalue() + np.zeros(3, np.float32).tobytes())
    with pytest.raises(PipelineError, match=r"text\.npz: cannot be read as \.npz .*declares"):
        features.arrays(tmp_path, "text")


@pytest.mark.fault(
    "tables", "an index.parquet of one's own with flipped bytes", "the manifest stops; it is one's own file"
)
def test_a_damaged_table_of_ones_own_is_named(tmp_path):
    generator = np.random.default_rng(0)
    names = [f"utterance {n}" for n in range(50)]
    pl.DataFrame({"utterance": names, "dialogue": names}).write_parquet(tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        for place in generator.integers(0, len(data), 3):
            data[place] ^= int(generator.integers(1, 256))
        (tmp_path / "index.parquet").write_bytes(data)
        try:
            features.index(tmp_path)
        except PipelineError as error:
            assert "index.parquet" in str(error)
            refused += 1
    assert refused > 50
