"""The published neighbours as variants: what follows the course of a training, stored, resumed and told."""

import json

import numpy as np
import pytest
import torch
from dialogues import DIMENSIONS, make_batch, write_dataset
from trained_world import SMALL, World, outputs

from pipeline import student
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.settings.network import NetworkSettings
from pipeline.training import checkpoint, loop
from pipeline.training.dialogues import Dataset
from pipeline.training.resume import ResumeFolder

ALONE = {"prediction": 0, "fused": 0, "modality": 0, "nce": 0}
EACL = {**ALONE, "network": "anchored", "anchor": 0.5, "anchor_angle": 0.2}
# two stages in three epochs, by the last weights
STAGES = {
    "network": {**SMALL["network"], "anchored": {"adaptation": 0.4}},
    "training": {**SMALL["training"], "averaging": 0.0},
}


class Interrupted(Exception):
    pass


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return World(tmp_path_factory.mktemp("neighbours"))


def interrupted(world: World, monkeypatch, name: str, objective: dict, after: int, **changes) -> dict:
    """The outputs of a training that was stopped after an epoch and started again."""
    save = ResumeFolder.save

    def save_and_stop(self, epoch, *rest):
        save(self, epoch, *rest)
        if epoch == after:
            raise Interrupted

    monkeypatch.setattr(ResumeFolder, "save", save_and_stop)
    with pytest.raises(Interrupted):
        world.train_student(name, objective, **changes)
    monkeypatch.undo()
    return world.train_student(name, objective, **changes)


def same(left: dict, right: dict) -> bool:
    one, two = (artefacts.load_tensors(paths["epochs"]) for paths in (left, right))
    tables = [artefacts.load_table(paths["history"]) for paths in (left, right)]
    return tables[0].equals(tables[1]) and all(np.array_equal(one[name], two[name]) for name in one)


def test_in_the_second_stage_the_anchors_move_and_nothing_else(world):
    paths = world.train_student("eacl", EACL, **STAGES)
    history = artefacts.load_table(paths["history"])
    assert history["adapting"].to_list() == [0.0, 0.0, 1.0]
    stacked = artefacts.load_tensors(paths["epochs"])
    moved = {name for name, value in stacked.items() if not np.array_equal(value[1], value[2])}
    assert moved == {"residual.anchors", "residual.heat", "residual.adapting"}


@pytest.mark.parametrize("after", [1, 2])
def test_stages_of_an_interrupted_training_are_the_same(world, monkeypatch, after):
    whole = world.train_student("whole", EACL, **STAGES)
    assert same(whole, interrupted(world, monkeypatch, f"broken-{after}", EACL, after, **STAGES))


def test_a_stored_network_answers_by_the_stage_it_was_in(world):
    paths = world.train_student("stored", EACL, **STAGES)
    epochs = dict(checkpoint.load_epochs(paths["epochs"]))
    assert [network.course()["adapting"] for network in epochs.values()] == [0.0, 0.0, 1.0]
    batch, last = make_batch((4, 2)), epochs[3]
    told = last(batch).logits
    with torch.no_grad():
        last.residual.linear.weight.add_(1.0)
        assert torch.equal(last(batch).logits, told)
        last.residual.anchors.add_(torch.arange(16.0))
        assert not torch.equal(last(batch).logits, told)


def write_names(folder, labels=("x", "y", "z"), width: int = DIMENSIONS["text"]):
    path = folder / "label_names.safetensors"
    vectors = np.random.default_rng(0).normal(size=(len(labels), width)).astype(np.float32)
    artefacts.save_tensors(path, {"text": vectors}, {"labels": json.dumps(list(labels))})
    return path


def test_a_network_begins_from_the_names_that_it_is_given(world, tmp_path):
    data = Dataset.load(world.dataset)
    settings = NetworkSettings(name="anchored", **SMALL["network"])
    path = write_names(tmp_path)
    network, plain = (loop.build_network(data, settings, 0, names) for names in ([path], []))
    names = torch.from_numpy(artefacts.load_tensors(path)["text"])
    assert torch.equal(network.residual.anchors, network.modalities["text"].project(names))
    differ = [
        name
        for name, value in network.state_dict().items()
        if not torch.equal(value, plain.state_dict()[name])
    ]
    assert differ == ["residual.anchors"]


def test_other_networks_do_not_read_names(world, tmp_path):
    """The file may be there for another variant; what is not read is no reason to refuse it."""
    params = student.Params(**SMALL, objective={**ALONE})
    path = write_names(tmp_path, labels=("a", "b"))
    files = {"dataset": world.dataset, "masks": world.masks, "references": [], "teacher": [], "names": [path]}
    student.run(params, **files, **outputs(tmp_path / "read"))


@pytest.mark.fault(
    "artefacts",
    "the vectors of the labels' names are of another dataset",
    "ends before training: names the file, what it holds and what the dataset has",
)
@pytest.mark.parametrize("wrong", [{"labels": ("x", "z", "y")}, {"width": 9}])
def test_names_of_other_labels_are_refused(world, tmp_path, wrong):
    data = Dataset.load(world.dataset)
    settings = NetworkSettings(name="anchored", **SMALL["network"])
    with pytest.raises(PipelineError, match="Rerun the stage label_names"):
        loop.build_network(data, settings, 0, [write_names(tmp_path, **wrong)])


@pytest.mark.fault(
    "config",
    "a term that speaks of classes in a corpus of scores",
    "ends before training: names the key and says to set it to 0",
)
@pytest.mark.parametrize("key", ["anchor", "anchor_angle"])
def test_terms_of_classes_are_refused_for_scores(tmp_path, key):
    dataset = write_dataset(tmp_path / "dataset", regression=True)
    params = student.Params(**SMALL, objective={**ALONE, "network": "anchored", key: 0.5})
    files = {"dataset": dataset, "masks": tmp_path / "none", "references": [], "teacher": []}
    with pytest.raises(PipelineError, match=rf"objective\.{key}: .* this corpus has scores"):
        student.run(params, **files, **outputs(tmp_path / "out"))
