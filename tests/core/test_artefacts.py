"""Artefacts appear whole or not at all, and damaged ones are named."""

import numpy as np
import polars as pl
import pytest

from pipeline.core import artefacts
from pipeline.core.errors import PipelineError


def test_tensors_come_back_bit_for_bit(tmp_path):
    arrays = {
        "a": np.arange(6, dtype=np.uint8).reshape(2, 3),
        "b": np.array([[np.nan, 1.5]], np.float32).T,
    }
    path = tmp_path / "deep" / "x.safetensors"
    artefacts.save_tensors(path, arrays, {"note": "n"})
    back = artefacts.load_tensors(path)
    assert set(back) == {"a", "b"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
    assert artefacts.load_metadata(path) == {"note": "n"}
    assert list(artefacts.load_tensors(path, ["b"])) == ["b"]


@pytest.mark.fault(
    "artefacts", "a stage fails while it writes", "the old artefact stays, nothing half is left"
)
@pytest.mark.parametrize("writer", ["replacing", "replacing_folder"])
def test_a_failed_write_leaves_the_old_artefact_and_no_litter(tmp_path, writer):
    target = tmp_path / "artefact"
    if writer == "replacing":
        target.write_text("old")
    else:
        target.mkdir()
        (target / "old").write_text("old")
    with pytest.raises(RuntimeError), getattr(artefacts, writer)(target) as temporary:
        (temporary if writer == "replacing" else temporary / "new").write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["artefact"]
    kept = target if writer == "replacing" else target / "old"
    assert kept.read_text() == "old"


@pytest.mark.fault(
    "artefacts", "an artefact is missing, empty or garbage", "the stage stops; the file is named"
)
@pytest.mark.parametrize(
    ("load", "name"),
    [
        (artefacts.load_tensors, "x.safetensors"),
        (artefacts.load_table, "x.parquet"),
        (artefacts.load_json, "x.json"),
        (artefacts.load_metadata, "x.safetensors"),
    ],
)
@pytest.mark.parametrize("content", [None, b"", b"garbage that is no artefact at all"])
@pytest.mark.fault(
    "artefacts", "an artefact that is missing, empty or garbage", "one paragraph that names it"
)
def test_missing_and_damaged_files_are_named(tmp_path, load, name, content):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PipelineError, match=name):
        load(path)


@pytest.mark.fault("artefacts", "an artefact lacks an array or a column", "the stage stops, naming it")
def test_missing_names_and_columns_are_named(tmp_path):
    artefacts.save_tensors(tmp_path / "x.safetensors", {"a": np.zeros(1)})
    with pytest.raises(PipelineError, match="'b'"):
        artefacts.load_tensors(tmp_path / "x.safetensors", ["b"])
    artefacts.save_table(tmp_path / "x.parquet", pl.DataFrame({"a": [1]}))
    with pytest.raises(PipelineError, match="'b'"):
        artefacts.load_table(tmp_path / "x.parquet", ["b"])


def test_digest_of_facts_ignores_order():
    assert artefacts.facts_digest({"a": 1, "b": [2]}) == artefacts.facts_digest({"b": [2], "a": 1})
    assert artefacts.facts_digest({"a": 1}) != artefacts.facts_digest({"a": 2})
