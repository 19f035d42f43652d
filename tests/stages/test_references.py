"""The references of one, of held-out and of several teachers, and what a student refuses to read."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
import torch
from scipy.special import softmax
from scipy.stats import ortho_group
from trained_world import SMALL, World, outputs

from pipeline import references, student
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.training import checkpoint
from pipeline.training.crossfit import align, fold_dialogues
from pipeline.training.dialogues import Dataset


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def test_references_are_the_frozen_teachers_words_on_complete_views(world):
    data = Dataset.load(world.dataset)
    told = artefacts.load_tensors(world.references["in_sample"])
    network, _ = checkpoint.load_network(world.teacher)
    for batch in data.batches(["train", "val"], 5):
        with torch.no_grad():
            output = network(batch)
        rows = batch.row[batch.valid].numpy()
        names = {"logits": "logits", "fused": "fused", "states": "states", "evidence": "modality_logits"}
        for name, field in names.items():
            expected = getattr(output, field)[batch.valid].numpy()
            assert np.allclose(told[name][rows], expected, atol=1e-5)
    for array in told.values():
        assert np.isnan(array[data.rows(["test"]).numpy()]).all()


def test_cross_fitted_logits_come_from_the_teacher_that_held_the_dialogue_out(world):
    data = Dataset.load(world.dataset)
    told = artefacts.load_tensors(world.references["cross_fitted"])
    full = artefacts.load_tensors(world.references["in_sample"])
    for fold, names in enumerate(fold_dialogues(data, 2)):
        own = references.judge(checkpoint.load_network(world.folds[fold])[0], data, torch.device("cpu"))
        held = data.holding_out(names).rows(["held_out"]).numpy()
        assert np.array_equal(told["logits"][held], own["logits"][held])
    val = data.rows(["val"]).numpy()
    assert np.array_equal(told["states"][val], full["states"][val])
    quality = json.loads(artefacts.load_metadata(world.references["cross_fitted"])["alignment"])
    assert len(quality) == 2
    assert all(entry["shared_after"] > entry["shared_before"] for entry in quality)


def test_an_ensemble_speaks_for_each_dialogue_with_the_mean_of_teachers_that_have_not_seen_it(world):
    data = Dataset.load(world.dataset)
    told = artefacts.load_tensors(world.references["ensemble"])
    full = artefacts.load_tensors(world.references["in_sample"])
    for fold, names in enumerate(fold_dialogues(data, 2)):
        out = data.holding_out(names)
        held, shared = out.rows(["held_out"]).numpy(), out.rows(["train"]).numpy()
        own = [
            references.judge(checkpoint.load_network(paths[fold])[0], data, torch.device("cpu"))
            for paths in (world.folds, world.others)
        ]
        # probabilities: the normalised geometric mean
        product = np.sqrt(softmax(own[0]["logits"][held], 1) * softmax(own[1]["logits"][held], 1))
        expected = product / product.sum(1, keepdims=True)
        assert np.allclose(softmax(told["logits"][held], 1), expected, atol=1e-5)
        turned = [align(one["fused"][shared], full["fused"][shared])(one["fused"][held]) for one in own]
        assert np.allclose(told["fused"][held], np.mean(turned, axis=0), atol=1e-5)
    val = data.rows(["val"]).numpy()
    assert np.array_equal(told["logits"][val], full["logits"][val])


def test_alignment_undoes_a_rotation():
    random = np.random.default_rng(0)
    target = random.normal(size=(50, 6))
    turn = ortho_group.rvs(6, random_state=0)
    source = (target - 0.3) @ turn + 1.0
    found = align(source, target)
    assert np.allclose(found(source), target, atol=1e-5)
    assert np.allclose(found.rotation @ found.rotation.T, np.eye(6))


def test_folds_part_the_training_dialogues(world):
    data = Dataset.load(world.dataset)
    parts = fold_dialogues(data, 3)
    assert sorted(name for part in parts for name in part) == sorted(data.dialogues("train"))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_held_out_fold_is_not_trained_on(world):
    data = Dataset.load(world.dataset)
    names = fold_dialogues(data, 2)[0]
    out = data.holding_out(names)
    seen = {data.names[n] for batch in out.batches(["train"], 3) for n in data.dialogue[batch.row[:, 0]]}
    assert seen == set(data.dialogues("train")) - set(names)


def test_fold_teachers_in_the_wrong_order_are_refused(world, tmp_path):
    params = references.Params(references="cross_fitted", folds=2, device="cpu")
    with pytest.raises(PipelineError, match="fold 0 of 2 was expected"):
        references.run(
            params,
            dataset=world.dataset,
            teacher=world.teacher,
            folds=world.folds[::-1],
            references=tmp_path / "r.safetensors",
        )


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("cross_fitted", ["others"], "fold teachers of the seeds \\[1\\]"),
        ("ensemble", ["folds", "folds"], "a seed stands twice"),
        ("ensemble", [], "0 fold teachers were given"),
    ],
)
def test_fold_teachers_of_other_seeds_are_refused(world, tmp_path, kind, given, message):
    with pytest.raises(PipelineError, match=message):
        references.run(
            references.Params(references=kind, folds=2, device="cpu"),
            dataset=world.dataset,
            teacher=world.teacher,
            folds=[path for name in given for path in getattr(world, name)],
            references=tmp_path / "r.safetensors",
        )


def test_references_of_another_dataset_or_seed_are_refused(world, tmp_path):
    table = artefacts.load_table(world.dataset / "utterances.parquet")
    other = tmp_path / "dataset"
    shutil.copytree(world.dataset, other)
    renamed = table.with_columns(utterance=pl.col("utterance") + "x")
    artefacts.save_table(other / "utterances.parquet", renamed)
    told = {"masks": world.masks, "references": [world.references["in_sample"]], "teacher": []}
    with pytest.raises(PipelineError, match="of other utterances"):
        student.run(student.Params(**SMALL), dataset=other, **told, **outputs(tmp_path))
    with pytest.raises(PipelineError, match="its teacher has the seed 0 and this student the seed 1"):
        student.run(student.Params(**SMALL, seed=1), dataset=world.dataset, **told, **outputs(tmp_path))


def test_a_teacher_without_a_chain_has_no_beliefs_to_compare(world, tmp_path):
    told = artefacts.load_tensors(world.references["in_sample"])
    metadata = artefacts.load_metadata(world.references["in_sample"])
    del told["beliefs"]
    artefacts.save_tensors(tmp_path / "told.safetensors", told, metadata)
    params = student.Params(**SMALL, objective={"beliefs": 1.0})
    with pytest.raises(PipelineError, match="it holds no beliefs, which a term of the objective compares"):
        student.run(
            params,
            dataset=world.dataset,
            masks=world.masks,
            references=[tmp_path / "told.safetensors"],
            teacher=[],
            **outputs(tmp_path / "student"),
        )


def test_how_sure_a_teacher_is_of_a_score_is_not_asked(tmp_path):
    world = World(tmp_path, regression=True)
    with pytest.raises(PipelineError, match="how sure the teacher is of a class"):
        world.train_student("student", {"trust": "sure", "references": "cross_fitted"})
