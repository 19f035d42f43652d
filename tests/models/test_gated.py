"""What the gated network promises beyond the laws of every network: how far a slot is read."""

from dataclasses import replace

import pytest
import torch
from dialogues import CLASSES, DIMENSIONS, make_batch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batch import Batch
from models.modalities import MODALITIES
from models.networks.gated import WIDER, Network
from pipeline.settings.network import NetworkSettings
from pipeline.training.networks import build

GAUGES = {"text": 2, "audio": 3, "visual": 1}
quick = settings(max_examples=25, deadline=None)
lengths = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)
seeds = st.integers(0, 10_000)


def network_of(seed=0, name="gated", learnt=True, outputs=CLASSES, **changes):
    torch.manual_seed(seed)
    keys = NetworkSettings(hidden=16, heads=2, **changes).keys_of(name)
    network = build(name, DIMENSIONS, outputs, keys, GAUGES).eval()
    if learnt:
        with torch.no_grad():
            for value in network.parameters():
                value.add_(0.3 * torch.randn(value.shape))
    return network


def measured(batch: Batch, seed: int, unknown: float = 0.3) -> Batch:
    """The batch with reliability inputs behind its features, some of them not known."""
    generator = torch.Generator().manual_seed(seed)
    features = {}
    for name, values in batch.features.items():
        inputs = 2 * torch.randn(*values.shape[:2], GAUGES[name], generator=generator)
        inputs[torch.rand(inputs.shape, generator=generator) < unknown] = torch.nan
        features[name] = torch.cat([values, inputs], dim=-1)
    return replace(batch, features=features)


def answers(network: Network, batch: Batch) -> list[torch.Tensor]:
    told = network(batch)
    return [told.logits, told.fused, told.states, told.modality_logits, told.beliefs]


@quick
@given(lengths=lengths, seed=seeds, through=st.sampled_from(["lstm", "attention"]))
def test_an_untrained_gate_equals_the_structured_network(lengths, seed, through):
    """Bit for bit, whatever is measured: it begins at fully open."""
    plain = make_batch(lengths, seed)
    own, other = (
        network_of(seed, name, learnt=False, structured={"through": through})
        for name in ("gated", "structured")
    )
    for one, two in zip(answers(own, measured(plain, seed)), answers(other, plain), strict=True):
        assert torch.equal(one, two)


@quick
@given(lengths=lengths, seed=seeds)
def test_where_nothing_is_known_a_learnt_gate_is_open(lengths, seed):
    plain, network = make_batch(lengths, seed), network_of(seed)
    unknown = measured(plain, seed, unknown=1.0)
    for batch in (unknown, plain):  # without inputs nothing is known, too
        for one, two in zip(answers(network, batch), answers(network.reader, plain), strict=True):
            assert torch.equal(one, two)


@quick
@given(lengths=lengths, seed=seeds, filled=st.sampled_from([0.0, 1e6, float("nan"), float("inf")]))
def test_the_inputs_of_an_absent_slot_cannot_matter(lengths, seed, filled):
    batch, network = measured(make_batch(lengths, seed), seed), network_of(seed)
    features = {
        name: torch.where(batch.available[..., place, None], values, filled)
        for place, (name, values) in enumerate(batch.features.items())
    }
    for one, two in zip(
        answers(network, batch), answers(network, replace(batch, features=features)), strict=True
    ):
        assert torch.equal(one, two)


@quick
@given(seed=seeds)
def test_padding_and_batch_mates_change_nothing(seed):
    network = network_of(seed)
    batch = measured(make_batch((2, 5, 3), seed), seed)
    together = network(batch).logits
    for place, length in enumerate((2, 5, 3)):
        alone = network(batch.take(torch.tensor([place]))).logits
        assert torch.allclose(alone[0], together[place, :length], atol=1e-5)


@quick
@given(lengths=lengths, seed=seeds, name=st.sampled_from(MODALITIES), outputs=st.sampled_from([1, CLASSES]))
def test_a_closed_gate_is_an_absent_modality(lengths, seed, name, outputs):
    """Trust 0 in a whole dialogue and its absence are the same, and trust 1 is what is read as ever."""
    plain, place = make_batch(lengths, seed), MODALITIES.index(name)
    reader = network_of(seed, "structured", outputs=outputs, structured={"evidence": True})
    trust = torch.ones(plain.available.shape)
    assert torch.equal(reader.trusting(plain, trust).logits, reader(plain).logits)
    trust[..., place] = 0
    shown = plain.available.clone()
    shown[..., place] = False
    absent = reader(plain.showing(shown))
    closed = reader.trusting(plain, trust)
    for one, two in ((closed.logits, absent.logits), (closed.fused, absent.fused)):
        assert torch.allclose(one[plain.valid], two[plain.valid], atol=1e-5)


@quick
@given(seed=seeds, scale=st.sampled_from([0.1, 10.0, 1000.0]))
def test_a_gate_lies_between_closed_and_a_little_more_than_open(seed, scale):
    network = network_of(seed)
    with torch.no_grad():
        for value in network.gates.parameters():
            value.mul_(scale)
    trust = network.trust(measured(make_batch((5, 4), seed), seed))
    assert (trust > 0).all() and (trust <= 1 + WIDER).all()


def test_every_gate_learns_from_its_own_modality():
    """The first gradient is there, although the gate begins at 1."""
    network = network_of(3, learnt=False)
    with torch.no_grad():  # the structured network's own start says nothing yet
        for value in network.reader.parameters():
            value.add_(0.1 * torch.randn(value.shape))
    batch = measured(make_batch((5, 4), 1, rate=0.0), 1, unknown=0.0)
    network(batch).logits[batch.valid][:, 0].sum().backward()
    for gate in network.gates.values():
        assert gate.out.weight.grad.abs().sum() > 0


def test_inputs_are_withheld_at_random_in_training_alone():
    network, batch = network_of(2), measured(make_batch((5,) * 40, 1, rate=0.0), 1, unknown=0.0)
    assert torch.equal(network.trust(batch), network.trust(batch))
    network.train()
    torch.manual_seed(0)
    drawn = [network.trust(batch) for _ in range(2)]
    assert not torch.equal(*drawn)
    # of a modality with one input: withheld by itself or with all of its slot, 1 - 0.8 * 0.8
    opened = torch.stack([one[..., 2] == 1 for one in drawn]).float().mean()
    assert float(opened) == pytest.approx(0.36, abs=0.06)


def test_the_teacher_is_the_heir_of_the_part_that_reads():
    own, plain = network_of(1), network_of(1, "structured")
    own.heir.load_state_dict(plain.state_dict())
    batch = make_batch((4, 2), 5)
    assert torch.equal(own(batch).logits, plain(batch).logits)
