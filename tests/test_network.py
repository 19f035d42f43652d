"""Laws of the network (docs/method.md, Network)."""

from dataclasses import replace

import pytest
import torch
from dialogues import DIMENSIONS, make_batch, make_network
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batch import MODALITIES, Batch
from models.fusion import FewTokenAttention
from models.network import Output
from models.temporal import Attention

lengths = st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple)
seeds = st.integers(0, 10_000)
quick = settings(max_examples=25, deadline=None)


def parts(output: Output) -> dict[str, torch.Tensor]:
    named = {name: getattr(output, name) for name in ("logits", "fused", "states", "modality_logits")}
    return named | output.guesses


@pytest.mark.parametrize("imputer", [False, True])
@pytest.mark.parametrize("junk", [torch.nan, torch.inf, -1e30, 7.0])
@quick
@given(lengths=lengths, seed=seeds, rate=st.sampled_from([0.2, 0.6, 1.0]))
def test_absent_slots_change_no_bit(junk: float, imputer: bool, lengths, seed, rate):
    network, batch = make_network(imputer=imputer), make_batch(lengths, seed, rate)
    spoiled = {
        name: torch.where(batch.available[..., index, None], batch.features[name], junk)
        for index, name in enumerate(MODALITIES)
    }
    left, right = network(batch), network(batch.with_features(spoiled, batch.available))
    for name, value in parts(left).items():
        assert torch.equal(value[batch.valid], parts(right)[name][batch.valid]), name


@quick
@given(sequences=st.integers(1, 5), tokens=st.integers(1, 5), seed=seeds, own_heads=st.booleans())
def test_attention_of_few_tokens_is_the_plain_attention(sequences, tokens, seed, own_heads):
    torch.manual_seed(seed)
    plain, few = Attention(16, 4), FewTokenAttention(16, 4)
    few.load_state_dict(plain.state_dict())
    x = torch.randn(sequences, tokens, 16, requires_grad=True)
    bias = torch.randn(sequences, 4 if own_heads else 1, tokens if own_heads else 1, tokens)
    bias[..., 1:] = bias[..., 1:].masked_fill(torch.rand(bias[..., 1:].shape) < 0.3, -torch.inf)
    weights = torch.randn(sequences, tokens, 16)
    outputs = [attention(x, bias) for attention in (plain, few)]
    gradients = [torch.autograd.grad((output * weights).sum(), x)[0] for output in outputs]
    torch.testing.assert_close(outputs[1], outputs[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-4, rtol=1e-3)


def test_absent_slots_change_no_gradient():
    network, batch = make_network(), make_batch((4, 3), rate=0.5)
    spoiled = {
        name: torch.where(batch.available[..., index, None], batch.features[name], torch.nan)
        for index, name in enumerate(MODALITIES)
    }
    network(batch.with_features(spoiled, batch.available)).logits[batch.valid].square().sum().backward()
    own = {name: value.grad.clone() for name, value in network.named_parameters() if value.grad is not None}
    network.zero_grad()
    network(batch).logits[batch.valid].square().sum().backward()
    for name, value in network.named_parameters():
        if value.grad is not None:
            assert torch.equal(value.grad, own[name]), name


@pytest.mark.parametrize("imputer", [False, True])
def test_nothing_available_is_finite(imputer):
    batch = make_batch((5, 1), rate=1.0)
    output = make_network(imputer=imputer)(batch)
    for name, value in parts(output).items():
        assert torch.isfinite(value[batch.valid]).all(), name


def test_an_utterance_with_nothing_is_judged_from_its_context():
    network, batch = make_network(), make_batch((5,), rate=0.0)
    hidden = batch.available.clone()
    hidden[0, 2] = False
    view = batch.showing(hidden)
    changed = {name: value.clone() for name, value in view.features.items()}
    changed["text"][0, 1] += 3.0
    other = view.with_features(changed, view.available)
    assert not torch.allclose(network(view).logits[0, 2], network(other).logits[0, 2])


@quick
@given(lengths=lengths, seed=seeds)
def test_batch_composition_and_padding_do_not_matter(lengths, seed):
    network, batch = make_network(), make_batch(lengths, seed)
    together = network(batch)
    for place, length in enumerate(lengths):
        alone = Batch(
            features={name: value[place : place + 1, :length] for name, value in batch.features.items()},
            **{
                name: getattr(batch, name)[place : place + 1, :length]
                for name in ("available", "speaker", "valid", "label", "score", "row")
            },
        )
        for name, value in parts(network(alone)).items():
            assert torch.allclose(value[0], parts(together)[name][place, :length], atol=2e-5), name


def test_what_padding_holds_does_not_matter():
    network, batch = make_network(), make_batch((4, 2))
    features = {name: value.clone() for name, value in batch.features.items()}
    for value in features.values():
        value[1, 2:] = torch.nan
    speaker = batch.speaker.clone()
    speaker[1, 2:] = 5
    other = replace(batch, features=features, speaker=speaker)
    assert torch.equal(network(batch).logits[batch.valid], network(other).logits[batch.valid])


def test_speakers_beyond_the_table_are_accepted():
    network, batch = make_network(speakers=2), make_batch((6,))
    many = replace(batch, speaker=torch.arange(6)[None])
    assert torch.isfinite(network(many).logits).all()
    assert not torch.allclose(network(many).logits, network(batch).logits)


def test_a_view_never_shows_more_than_there_is():
    batch = make_batch((4, 2), rate=0.5)
    assert torch.equal(batch.showing(torch.ones_like(batch.available)).available, batch.available)
    full = batch.with_features(batch.features, torch.ones_like(batch.available))
    assert torch.equal(full.available, batch.valid[..., None].expand(-1, -1, 3))


def test_the_imputer_leaves_available_features_alone():
    network, batch = make_network(imputer=True), make_batch((4, 2), rate=0.5)
    filled, guesses = network.imputer(batch)
    for index, name in enumerate(MODALITIES):
        there = batch.available[..., index]
        assert torch.equal(filled.features[name][there], batch.features[name][there])
        assert torch.equal(filled.features[name][~there], guesses[name][~there])
        assert guesses[name].shape[-1] == DIMENSIONS[name]
    assert torch.equal(filled.available, batch.valid[..., None].expand(-1, -1, 3))
