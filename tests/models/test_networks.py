"""Laws of every registered network (docs/method.md, Network): a new one is held to them by its name."""

from dataclasses import fields, replace

import numpy as np
import polars as pl
import pytest
import torch
from dialogues import CLASSES, make_batch, make_network, write_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batch import Batch
from models.modalities import MODALITIES
from models.network import Output
from pipeline.core import artefacts
from pipeline.core.registries.networks import BESIDE, NETWORKS
from pipeline.training import checkpoint
from pipeline.training.dialogues import Dataset
from pipeline.training.networks import name_of, rebuild

lengths = st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple)
seeds = st.integers(0, 10_000)
quick = settings(max_examples=25, deadline=None)
every_network = pytest.mark.parametrize("name", NETWORKS)


def parts(output: Output) -> dict[str, torch.Tensor]:
    """Every tensor of an output, what a network says beside the plain output too."""
    found = {}
    for field in fields(output):
        value = getattr(output, field.name)
        found |= (
            {f"{field.name} of {key}": own for key, own in value.items()} if isinstance(value, dict) else {}
        )
        found |= {} if isinstance(value, dict) else {field.name: value}
    return found


def spoiled(batch: Batch, junk: float) -> Batch:
    """The same batch with something else in its absent slots."""
    features = {
        name: torch.where(batch.available[..., index, None], batch.features[name], junk)
        for index, name in enumerate(MODALITIES)
    }
    return batch.with_features(features, batch.available)


def alone(batch: Batch, place: int, length: int) -> Batch:
    """One dialogue of a batch, without padding."""
    own = {
        field.name: getattr(batch, field.name)[place : place + 1, :length]
        for field in fields(batch)
        if field.name != "features"
    }
    features = {name: value[place : place + 1, :length] for name, value in batch.features.items()}
    return Batch(features=features, **own)


@every_network
@pytest.mark.parametrize("outputs", [1, CLASSES])
def test_the_output_has_the_shapes_that_everything_else_reads(name, outputs):
    network, batch = make_network(name=name, outputs=outputs), make_batch((4, 2))
    output, width = network(batch), network.width
    assert width >= 2
    shapes = {"logits": (outputs,), "fused": (width,), "states": (3, width), "modality_logits": (3, outputs)}
    for part, shape in shapes.items():
        assert getattr(output, part).shape == (2, 4, *shape), part
    for beside in BESIDE.get(name, ()):
        assert hasattr(output, beside)


@every_network
@pytest.mark.parametrize("junk", [torch.nan, torch.inf, -1e30, 7.0])
@quick
@given(lengths=lengths, seed=seeds, rate=st.sampled_from([0.2, 0.6, 1.0]))
def test_absent_slots_change_no_bit(junk: float, name: str, lengths, seed, rate):
    network, batch = make_network(name=name), make_batch(lengths, seed, rate)
    left, right = parts(network(batch)), parts(network(spoiled(batch, junk)))
    for part, value in left.items():
        assert torch.equal(value[batch.valid], right[part][batch.valid]), part


@every_network
def test_absent_slots_change_no_gradient(name):
    network, batch = make_network(name=name), make_batch((4, 3), rate=0.5)
    network(spoiled(batch, torch.nan)).logits[batch.valid].square().sum().backward()
    own = {key: value.grad.clone() for key, value in network.named_parameters() if value.grad is not None}
    assert own
    network.zero_grad()
    network(batch).logits[batch.valid].square().sum().backward()
    for key, value in network.named_parameters():
        if value.grad is not None:
            assert torch.equal(value.grad, own[key]), key


@every_network
def test_nothing_available_is_finite(name):
    batch = make_batch((5, 1), rate=1.0)
    for part, value in parts(make_network(name=name)(batch)).items():
        assert torch.isfinite(value[batch.valid]).all(), part


@every_network
@quick
@given(lengths=lengths, seed=seeds)
def test_batch_composition_and_padding_do_not_matter(name, lengths, seed):
    network, batch = make_network(name=name), make_batch(lengths, seed)
    together = parts(network(batch))
    for place, length in enumerate(lengths):
        for part, value in parts(network(alone(batch, place, length))).items():
            assert torch.allclose(value[0], together[part][place, :length], atol=2e-5), part


@every_network
def test_what_padding_holds_does_not_matter(name):
    network, batch = make_network(name=name), make_batch((4, 2))
    features = {key: value.clone() for key, value in batch.features.items()}
    for value in features.values():
        value[1, 2:] = torch.nan
    speaker = batch.speaker.clone()
    speaker[1, 2:] = 5
    other = replace(batch, features=features, speaker=speaker)
    assert torch.equal(network(batch).logits[batch.valid], network(other).logits[batch.valid])


@every_network
@pytest.mark.parametrize("speakers", [1, 2, 3, 12])
def test_any_number_of_speakers_is_read(name, speakers):
    network, batch = make_network(name=name, speakers=2), make_batch((14,))
    many = replace(batch, speaker=torch.arange(14)[None] % speakers)
    assert torch.isfinite(network(many).logits).all()


@every_network
def test_renaming_the_speakers_changes_nothing(name, tmp_path):
    """Who is who counts by first appearance in the dialogue, so other names are the same."""
    folder = write_dataset(tmp_path / "dataset")
    table = artefacts.load_table(folder / "utterances.parquet")
    tensors = artefacts.load_tensors(folder / "features.safetensors")
    people = sorted(set(table["speaker"]))
    other = dict(zip(people, np.random.default_rng(0).permutation(people), strict=True))
    renamed = table.with_columns(pl.col("speaker").replace(other))
    facts = artefacts.load_json(folder / "facts.json")
    network = make_network(name=name)
    sides = [next(Dataset.build(one, facts, tensors).batches(["train"], 99)) for one in (table, renamed)]
    left, right = (parts(network(batch)) for batch in sides)
    for part, value in left.items():
        assert torch.equal(value[sides[0].valid], right[part][sides[0].valid]), part


@every_network
def test_a_network_comes_back_from_its_checkpoint_by_its_name(name, tmp_path):
    network, batch = make_network(name=name), make_batch((4, 2))
    assert name_of(network) == name
    checkpoint.save_network(tmp_path / "w.safetensors", network, MODALITIES, 1, 0.5)
    stored = checkpoint.describe(tmp_path / "w.safetensors")
    assert (stored.name, stored.shape) == (name, network.shape.as_dict())
    again, shown = checkpoint.load_network(tmp_path / "w.safetensors")
    assert shown == MODALITIES
    assert type(again) is type(rebuild(name, stored.shape)) is type(network)
    for part, value in parts(network(batch)).items():
        assert torch.equal(value, parts(again(batch))[part]), part


def test_a_view_never_shows_more_than_there_is():
    batch = make_batch((4, 2), rate=0.5)
    assert torch.equal(batch.showing(torch.ones_like(batch.available)).available, batch.available)
    full = batch.with_features(batch.features, torch.ones_like(batch.available))
    assert torch.equal(full.available, batch.valid[..., None].expand(-1, -1, 3))
