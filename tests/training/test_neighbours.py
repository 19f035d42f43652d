"""The published neighbours as variants: what follows the course of a training, stored, resumed and told."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pytest
import torch
import yaml
from dialogues import DIMENSIONS, make_batch, write_dataset
from pydantic import ValidationError
from trained_world import SMALL, World, outputs
from workflow import ROOT

from models.modalities import MODALITIES
from models.networks.balanced import pace
from models.terms import TERMS
from pipeline import curves, student
from pipeline.config import read_config
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.settings.network import NetworkSettings
from pipeline.settings.objective import ObjectiveSettings
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


ADA2I = {**ALONE, "network": "balanced", "own": 1.0}


def test_the_pace_of_an_epoch_follows_from_the_one_before(world):
    paths = world.train_student("ada2i", ADA2I, training={**SMALL["training"], "averaging": 0.0})
    history = artefacts.load_table(paths["history"])
    assert history.row(0, named=True)["pace_text"] == 1.0
    for last, now in pairwise(history.iter_rows(named=True)):
        expected = pace([last[f"own_{name}"] for name in MODALITIES], 1.0)
        assert [now[f"pace_{name}"] for name in MODALITIES] == pytest.approx(expected)
    stacked = artefacts.load_tensors(paths["epochs"])["fusion.pace"]
    assert stacked[:, 0] == pytest.approx(history["pace_text"].to_numpy())


def test_the_pace_of_an_interrupted_training_is_the_same(world, monkeypatch):
    whole = world.train_student("whole_ada2i", ADA2I)
    assert same(whole, interrupted(world, monkeypatch, "broken_ada2i", ADA2I, 2))


def test_what_a_network_sets_by_epoch_is_drawn(world, tmp_path):
    paths = world.train_student("drawn", ADA2I)
    plain = world.train_student("plain", {})
    folder, tables = tmp_path / "figures", {}
    for name, own in (("ada2i", paths), ("corekd", plain)):
        place = tmp_path / name / "0" / "history.parquet"
        place.parent.mkdir(parents=True)
        shutil.copy(own["history"], place)
        tables[name] = place
    curves.run(curves.Params(), histories=list(tables.values()), folder=folder)
    drawn = {name: (folder / f"{name}.svg").read_text() for name in tables}
    assert "set by epoch" in drawn["ada2i"]
    assert "pace visual" in drawn["ada2i"]
    assert "set by epoch" not in drawn["corekd"]


DHMD = {
    **ALONE,
    **{"network": "decoupled", "parts": 1.0, "apart": 0.1, "rebuilt": 0.3, "graph": 0.3, "dictionary": 0.1},
}


def test_the_dictionary_is_matched_in_the_second_stage_alone(world, monkeypatch):
    plain = {"training": {**SMALL["training"], "averaging": 0.0}}
    whole = world.train_student("dhmd", DHMD, **plain)
    history = artefacts.load_table(whole["history"])
    assert history["matching"].to_list() == [0.0, 0.0, 1.0]
    assert [value > 0 for value in history["dictionary"]] == [False, False, True]
    assert same(whole, interrupted(world, monkeypatch, "broken_dhmd", DHMD, 2, **plain))


@pytest.mark.fault(
    "config",
    "a term of a published neighbour without its network",
    "ends before training: names the term, what it needs, and the network that gives it",
)
@pytest.mark.parametrize(
    ("key", "network"),
    [
        ("anchor", "anchored"),
        ("anchor_angle", "anchored"),
        ("own", "balanced"),
        ("graph", "decoupled"),
        ("dictionary", "decoupled"),
    ],
)
def test_a_term_asks_for_its_network(key, network):
    with pytest.raises(ValidationError, match=f"write network: {network}, or set the weight to 0"):
        student.Params(**SMALL, objective={**ALONE, key: 0.5})
    assert student.Params(**SMALL, objective={**ALONE, key: 0.5, "network": network})


@pytest.mark.parametrize("variant", ["eacl", "ada2i", "dhmd"])
def test_the_neighbours_of_the_configuration_read_no_teacher(variant):
    config = read_config(yaml.safe_load((ROOT / "config.yaml").read_text()))
    assert not config.objective_of(variant).needs_references
    assert variant not in config.compare
    combined = {"eacl": "corekd_anchors", "ada2i": "corekd_balanced", "dhmd": "corekd_decoupled"}[variant]
    assert config.objective_of(combined).needs_references
    assert config.network_of(combined).name == config.network_of(variant).name


def test_every_term_of_a_neighbour_is_off_by_default():
    own = {name for name, term in TERMS.items() if term.needs in ("anchors", "pace", "parts")}
    assert len(own) == 10
    assert not own & set(ObjectiveSettings().weights.computed)
