"""Donors of the conflict views: who may be one, and what is measured."""

import numpy as np
import polars as pl
import pytest

from pipeline.conflicts import choose_donors
from pipeline.core.errors import PipelineError
from pipeline.settings.protocol import ConflictSettings


def made_up(task: str, seed: int = 0, count: int = 300):
    rng = np.random.default_rng(seed)
    table = pl.DataFrame(
        {
            "row": np.arange(count),
            "dialogue": [f"d{n // 6}" for n in range(count)],
            "split": [("train", "test")[n // 6 % 2] for n in range(count)],
            "label": rng.integers(-1, 3, count) if task == "classification" else np.full(count, -1),
            "score": rng.uniform(-3, 3, count).round(1),
        }
    )
    return table, rng.random((count, 3)) > 0.15


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_laws_of_the_views(task):
    table, available = made_up(task)
    found = choose_donors(table, available, task, ConflictSettings(draws=2), seed=3)
    row, donor = found["row"].to_numpy(), found["donor"].to_numpy()
    split, dialogue = table["split"].to_numpy(), table["dialogue"].to_numpy()
    assert (split[row] == "test").all() and (split[donor] == "test").all()
    assert (dialogue[row] != dialogue[donor]).all()
    assert available[row].all() and available[donor][:, 1:].all()
    value = table["label" if task == "classification" else "score"].to_numpy()
    gap = np.abs(value[row] - value[donor])
    kind = found["kind"].to_numpy()
    if task == "classification":
        assert (value[donor] >= 0).all() and (value[row] >= 0).all()
        assert (gap[kind == "different"] > 0).all() and (gap[kind == "same"] == 0).all()
        plain = kind != "shuffled"
        assert (found["reference"].to_numpy()[plain] == value[donor][plain]).all()
    else:
        assert (gap[kind == "different"] >= 1).all() and (gap[kind == "same"] < 0.5).all()
        different = found.filter(pl.col("kind") == "different", pl.col("reference").is_not_null())
        assert (different["reference"].to_numpy() == (value[different["donor"].to_numpy()] > 0)).all()
    # one donor a target, kind and draw, whichever channels are swapped
    assert not found.select("kind", "draw", "row").is_duplicated().any()
    assert set(found["draw"].unique()) == {0, 1}


def test_draws_differ_and_a_seed_repeats():
    table, available = made_up("classification")
    first, again = (
        choose_donors(table, available, "classification", ConflictSettings(draws=2), 3) for _ in range(2)
    )
    assert first.equals(again)
    draws = first.filter(pl.col("kind") == "different").partition_by("draw")
    assert not draws[0]["donor"].equals(draws[1]["donor"])


def test_shuffled_reference_is_unrelated_to_the_donor():
    table, available = made_up("classification", count=3000)
    found = choose_donors(table, available, "classification", ConflictSettings(draws=1), 3)
    shuffled = found.filter(pl.col("kind") == "shuffled")
    label = table["label"].to_numpy()
    same = (label[shuffled["donor"].to_numpy()] == shuffled["reference"].to_numpy()).mean()
    assert same == pytest.approx(1 / 3, abs=0.05)


def test_no_donor_is_an_error():
    table, available = made_up("classification")
    table = table.with_columns(pl.lit(1).alias("label"))
    with pytest.raises(PipelineError, match="different"):
        choose_donors(table, available, "classification", ConflictSettings(), 0)


def test_a_modality_that_is_nowhere_leaves_no_views():
    table, available = made_up("classification")
    available[:, 2] = False
    found = choose_donors(table, available, "classification", ConflictSettings(), seed=0)
    assert found.height == 0
    assert found.columns == ["kind", "draw", "row", "donor", "reference"]
