"""Nothing of the test split reaches a training, and donors of its conflict views are training utterances."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from dialogues import CLASSES, make_network, write_dataset, write_masks
from trained_world import SMALL, outputs

from pipeline import references, student, teacher
from pipeline.core import artefacts
from pipeline.settings.objective import ObjectiveSettings
from pipeline.training import step
from pipeline.training.dialogues import Dataset

# every term that a student can have, so that whatever a term reads is read
EVERY = {"nce_reference": 0.5, "auxiliary": 0.3, "network": "imputation", "reconstruction": 1.0}


def scramble(dataset: Path, masks: Path, split: str, seed: int = 5) -> None:
    """Other features, availability, targets, speakers and masks in all rows of a split."""
    rng = np.random.default_rng(seed)
    table = artefacts.load_table(dataset / "utterances.parquet")
    inside = (table["split"] == split).to_numpy()
    tensors = artefacts.load_tensors(dataset / "features.safetensors")
    changed = {name: value.copy() for name, value in tensors.items()}
    for name, value in changed.items():
        drawn = rng.integers(0, 2, value.shape) if name == "available" else 9 * rng.normal(size=value.shape)
        value[inside] = drawn[inside]
    artefacts.save_tensors(dataset / "features.safetensors", changed)
    shown = artefacts.load_tensors(masks)
    for name, value in shown.items():
        shown[name] = np.where(inside[:, None], 1 - value, value).astype(np.uint8)
    artefacts.save_tensors(masks, shown)
    columns = {
        "label": pl.lit(pl.Series(rng.integers(0, CLASSES, len(table)))),
        "score": pl.lit(pl.Series(rng.uniform(-3, 3, len(table)))),
        "speaker": pl.lit("nobody"),
    }
    here = pl.col("split") == split
    table = table.with_columns(
        pl.when(here & pl.col(name).is_not_null())
        .then(value)
        .otherwise(name)
        .cast(table.schema[name])
        .alias(name)
        for name, value in columns.items()
    )
    artefacts.save_table(dataset / "utterances.parquet", table)


def train(root: Path) -> dict[str, dict]:
    """Epochs and histories of a short training of a teacher and of a student of it."""
    dataset, masks, told = root / "dataset", root / "masks.safetensors", root / "references.safetensors"
    paths = {name: outputs(root / name) for name in ("teacher", "student")}
    teacher.run(teacher.Params(**SMALL), dataset=dataset, **paths["teacher"])
    first = paths["teacher"]["weights"]
    references.run(references.Params(device="cpu"), dataset=dataset, teacher=first, folds=[], references=told)
    params = student.Params(**SMALL, objective={"references": "in_sample", **EVERY})
    student.run(params, dataset=dataset, masks=masks, references=[told], teacher=[first], **paths["student"])
    found = {
        name: {
            "epochs": artefacts.load_tensors(own["epochs"]),
            "history": artefacts.load_table(own["history"]),
        }
        for name, own in paths.items()
    }
    return {**found, "references": artefacts.load_tensors(told)}


def equal(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> bool:
    return sorted(one) == sorted(two) and all(
        np.array_equal(one[name], two[name], equal_nan=True) for name in one
    )


@pytest.mark.parametrize("regression", [False, True])
def test_the_test_split_changes_no_bit_of_a_training(tmp_path, regression):
    plain = tmp_path / "plain"
    write_dataset(plain / "dataset", regression=regression)
    write_masks(plain / "masks.safetensors", plain / "dataset")
    for split in ("test", "val"):
        shutil.copytree(plain, tmp_path / split)
        scramble(tmp_path / split / "dataset", tmp_path / split / "masks.safetensors", split)
    wanted, found = train(plain), train(tmp_path / "test")
    assert equal(found["references"], wanted["references"])
    for name in ("teacher", "student"):
        assert equal(found[name]["epochs"], wanted[name]["epochs"]), name
        assert found[name]["history"].equals(wanted[name]["history"]), name
    # the same scrambling of the validation split is seen, and moves the selection alone
    other = train(tmp_path / "val")
    assert equal(other["teacher"]["epochs"], wanted["teacher"]["epochs"])
    for name in ("teacher", "student"):
        assert not other[name]["history"]["validation"].equals(wanted[name]["history"]["validation"]), name


@pytest.mark.parametrize("regression", [False, True])
def test_donors_of_a_training_are_training_utterances(tmp_path, monkeypatch, regression):
    data = Dataset.load(write_dataset(tmp_path / "dataset", regression=regression, val=8, test=8))
    drawn, plain = [], step.conflict_view

    def noted(batch, *rest):
        drawn.append((batch, plain(batch, *rest)))
        return drawn[-1][1]

    monkeypatch.setattr(step, "conflict_view", noted)
    monkeypatch.setattr(step, "terms_of", lambda *inputs: {})
    conflict = {"share": 1.0, "same_share": 0.2}
    one = step.Step(data, ObjectiveSettings(conflict=conflict), None, torch.device("cpu"))
    network = make_network()
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        for batch in data.batches(["train"], 4):
            one(network, batch, generator)
    allowed, taken = set(data.rows(["train"]).tolist()), set()
    for batch, view in drawn:
        for index, (name, letter) in enumerate((("audio", "a"), ("visual", "v")), start=1):
            swapped = view.swapped & (view.batch.features[name] != batch.features[name]).any(dim=-1)
            assert view.batch.available[swapped][:, index].all(), letter
            for value in view.batch.features[name][swapped]:
                rows = (data.features[name] == value).all(dim=1).nonzero()[:, 0].tolist()
                assert len(rows) == 1, "the features of a donor are of one utterance"
                taken.add(rows[0])
    assert taken <= allowed
    assert len(taken) > len(allowed) / 2
