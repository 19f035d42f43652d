"""Networks and exported models that were written before networks had names still load and say the same."""

import json

import numpy as np
import pytest
import torch
from dialogues import make_batch, make_network
from fixture_model import LABELS, WIDTH, write_model

from models.modalities import MODALITIES
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.model import load
from pipeline.training import checkpoint

# the names of that time: what read the features stood beside the imputer
FORMER = {"attention": lambda name: name, "imputation": lambda name: name.removeprefix("reader.")}
# the shape of that time, as it stood in weights.safetensors and config.json
SHAPE = {
    "dimensions": {"text": WIDTH, "audio": WIDTH, "visual": WIDTH},
    "outputs": len(LABELS),
    "hidden": 16,
    "layers": 1,
    "context_layers": 1,
    "heads": 2,
    "dropout": 0.3,
    "feature_dropout": 0.3,
    "speakers": 8,
    "reach": 8,
}
# the network that read what the imputer filled
READ = {"imputation": {"reader": "attention"}}
METADATA = {
    "shown": '["text", "audio", "visual"]',
    "notes": '{"held_out": null, "folds": 4, "seed": 0}',
    "epoch": "3",
    "validation": "0.5",
    "epochs": "[1, 2]",
}


def former(name: str, path, stack: int = 0):
    """A network of today, stored as it was then; `stack` epochs of it, or the one alone."""
    network = make_network(name=name, outputs=len(LABELS), dimensions=SHAPE["dimensions"], **READ)
    arrays = {FORMER[name](key): value for key, value in checkpoint.parameters_of(network).items()}
    assert {key.partition(".")[0] for key in arrays} == {
        *("encoders", "fusion", "context", "head", "modality_heads"),
        *(["imputer"] if name == "imputation" else []),
    }
    if stack:
        arrays = {key: np.stack([value] * stack) for key, value in arrays.items()}
    shape = json.dumps({**SHAPE, "imputer": name == "imputation"}, sort_keys=True)
    artefacts.save_tensors(path, arrays, {"shape": shape, **METADATA})
    return network


@pytest.mark.parametrize("name", FORMER)
def test_a_former_checkpoint_loads(name, tmp_path):
    network = former(name, tmp_path / "weights.safetensors")
    again, shown = checkpoint.load_network(tmp_path / "weights.safetensors")
    assert (type(again), shown) == (type(network), MODALITIES)
    assert checkpoint.load_notes(tmp_path / "weights.safetensors")["folds"] == 4
    batch = make_batch((4, 2))
    wide = {key: torch.randn(2, 4, WIDTH) for key in MODALITIES}
    batch = batch.with_features(wide, batch.available)
    assert torch.equal(network(batch).logits, again(batch).logits)
    former(name, tmp_path / "epochs.safetensors", stack=2)
    for _, epoch in checkpoint.load_epochs(tmp_path):
        assert torch.equal(network(batch).logits, epoch(batch).logits)


@pytest.mark.parametrize("name", FORMER)
def test_a_former_exported_model_loads_and_predicts_the_same(name, tmp_path):
    folder = write_model(tmp_path / "model")
    network = make_network(name=name, outputs=len(LABELS), dimensions=SHAPE["dimensions"], **READ)
    checkpoint.save_network(folder / "weights.safetensors", network, MODALITIES, 3, 0.5)
    facts = artefacts.load_json(folder / "config.json")
    artefacts.save_json(folder / "config.json", {**facts, "network": name, "shape": network.shape.as_dict()})
    random = np.random.default_rng(0)
    features = {key: random.normal(size=(6, WIDTH)).astype(np.float32) for key in MODALITIES}
    available = random.random((6, 3)) < 0.6
    expected = load(folder).predict(features, available, list("ABABCA"))

    former(name, folder / "weights.safetensors")
    del facts["network"]
    artefacts.save_json(
        folder / "config.json", {**facts, "shape": {**SHAPE, "imputer": name == "imputation"}}
    )
    model = load(folder)
    assert model.facts.network == name
    assert np.array_equal(model.predict(features, available, list("ABABCA")), expected)


@pytest.mark.fault("weights", "a checkpoint of a later version", "the load stops, naming the file")
def test_a_network_of_a_later_version_is_named(tmp_path):
    path = tmp_path / "weights.safetensors"
    former("attention", path)
    arrays = artefacts.load_tensors(path)
    artefacts.save_tensors(path, arrays, {"network": "later", "shape": json.dumps(SHAPE), **METADATA})
    with pytest.raises(PipelineError, match=r"does not describe a network of this version .*later"):
        checkpoint.load_network(path)
