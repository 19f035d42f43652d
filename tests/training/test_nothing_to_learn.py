"""Training and scoring need targets: none, or labels of one class alone, stop before anything is made."""

import numpy as np
import polars as pl
import pytest
import torch
from dialogues import write_dataset, write_masks
from trained_world import SMALL, outputs

from pipeline import conflicts, simple, student, teacher
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.evaluation.answers import load_truth
from pipeline.training import loop
from pipeline.training.dialogues import Dataset
from pipeline.training.linear import logistic


def relabelled(folder, split, label, *, regression=False):
    """A dataset in which the targets of a split are what `label` makes of them."""
    dataset = write_dataset(folder / "main" / "dataset", regression=regression)
    path = dataset / "utterances.parquet"
    table = artefacts.load_table(path)
    column = "score" if regression else "label"
    changed = pl.when(pl.col("split") == split).then(label).otherwise(pl.col(column))
    artefacts.save_table(path, table.with_columns(changed.cast(table.schema[column]).alias(column)))
    return dataset


def train_teacher(dataset, folder, **changes):
    teacher.run(teacher.Params(**SMALL, folds=2, **changes), dataset=dataset, **outputs(folder / "teacher"))


def train_student(dataset, folder):
    masks = write_masks(folder / "masks.safetensors", dataset)
    objective = {"prediction": 0, "fused": 0, "modality": 0, "nce": 0}
    params = student.Params(**SMALL, objective=objective)
    paths = outputs(folder / "student")
    student.run(params, dataset=dataset, masks=masks, references=[], teacher=[], **paths)


def fit_rows(dataset, folder):
    masks = write_masks(folder / "masks.safetensors", dataset)
    conflicts.run(conflicts.Params(), dataset=dataset, conflicts=folder / "conflicts.parquet")
    simple.run(
        simple.Params(),
        dataset=dataset,
        masks=masks,
        conflicts=folder / "conflicts.parquet",
        simple=folder / "simple.parquet",
    )


STAGES = {"teacher": train_teacher, "student": train_student, "simple": fit_rows}


@pytest.mark.fault(
    "labels", "no training utterance has a label", "teacher, student and simple stop; no weights are written"
)
@pytest.mark.parametrize("stage", STAGES)
def test_without_a_label_nothing_is_trained(tmp_path, stage):
    dataset = relabelled(tmp_path, "train", None)
    with pytest.raises(PipelineError, match=r"split 'train': not one of its .* has a label"):
        STAGES[stage](dataset, tmp_path)
    assert not list(tmp_path.rglob("weights.safetensors")) + list(tmp_path.rglob("simple.parquet"))


@pytest.mark.fault(
    "labels", "no training utterance has a score (regression)", "the teacher stops; no weights are written"
)
def test_without_a_score_nothing_is_trained(tmp_path):
    dataset = relabelled(tmp_path, "train", None, regression=True)
    with pytest.raises(PipelineError, match=r"split 'train': not one of its .* has a score"):
        train_teacher(dataset, tmp_path)


@pytest.mark.fault(
    "labels", "all training labels are of one class", "teacher, student and simple stop, naming it"
)
@pytest.mark.parametrize("stage", STAGES)
def test_with_one_class_nothing_is_trained(tmp_path, stage):
    dataset = relabelled(tmp_path, "train", 1)
    with pytest.raises(PipelineError, match="labelled other than 'y'"):
        STAGES[stage](dataset, tmp_path)


@pytest.mark.fault("labels", "the labels lie in the held-out fold alone", "the held-out teacher stops")
def test_a_fold_without_labels_is_refused(tmp_path):
    from pipeline.training.crossfit import fold_dialogues

    dataset = write_dataset(tmp_path / "main" / "dataset")
    held = fold_dialogues(Dataset.load(dataset), 2)[0]
    path = dataset / "utterances.parquet"
    table = artefacts.load_table(path)
    lost = (pl.col("split") == "train") & ~pl.col("dialogue").is_in(list(held))
    label = pl.when(lost).then(None).otherwise(pl.col("label")).alias("label")
    artefacts.save_table(path, table.with_columns(label))
    with pytest.raises(PipelineError, match="has a label"):
        train_teacher(dataset, tmp_path, held_out=0)


@pytest.mark.fault(
    "labels", "no validation utterance has a label", "the teacher stops: no epoch can be chosen"
)
def test_without_validation_labels_no_epoch_is_chosen(tmp_path):
    dataset = relabelled(tmp_path, "val", None)
    with pytest.raises(PipelineError, match="split 'val': no utterance has a target"):
        train_teacher(dataset, tmp_path)


@pytest.mark.fault("labels", "no test utterance has a label", "the scores stop: nothing can be scored")
def test_without_test_labels_nothing_is_scored(tmp_path):
    dataset = relabelled(tmp_path, "test", None)
    conflicts.run(conflicts.Params(), dataset=dataset, conflicts=tmp_path / "conflicts.parquet")
    with pytest.raises(PipelineError, match="test split has a label, so nothing can be scored"):
        load_truth([dataset], [tmp_path / "conflicts.parquet"])


@pytest.mark.fault(
    "labels",
    "a class that no training utterance has",
    "it is named in the log; other classes weigh as without it",
)
def test_a_class_that_never_occurs_is_named_and_weighs_nothing(tmp_path, caplog):
    caplog.set_level("INFO", "pipeline")
    dataset = relabelled(tmp_path, "train", pl.col("row") % 2)
    data = Dataset.load(dataset)
    data.require_targets()
    assert "nothing can learn z" in caplog.text
    weights = loop.class_weights(data, "balanced")
    label = data.label[data.rows(["train"])]
    count = torch.bincount(label[label >= 0], minlength=3)[:2].float()
    assert weights.tolist() == pytest.approx([*(count.sum() / (2 * count)).tolist(), 1.0])


def test_rows_of_one_class_tell_nothing_apart():
    """A part of the dialogues may hold one class alone, in the choice of a linear model's strength."""
    model = logistic(np.eye(3), np.array([1, 1, 1]), 0.01, 3)
    assert np.argmax(model(np.eye(3)), axis=1).tolist() == [1, 1, 1]
    assert not model.weights.any()
