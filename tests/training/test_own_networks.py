"""What the networks that are here do beside the laws of all networks."""

from dataclasses import replace

import pytest
import torch
from dialogues import DIMENSIONS, make_batch, make_network
from hypothesis import given, settings
from hypothesis import strategies as st

from models.fusion import FewTokenAttention
from models.modalities import MODALITIES
from models.temporal import Attention

seeds = st.integers(0, 10_000)
quick = settings(max_examples=25, deadline=None)
with_context = pytest.mark.parametrize("name", ["attention", "imputation"])


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


@with_context
def test_an_utterance_with_nothing_is_judged_from_its_context(name):
    network, batch = make_network(name=name), make_batch((5,), rate=0.0)
    hidden = batch.available.clone()
    hidden[0, 2] = False
    view = batch.showing(hidden)
    changed = {name: value.clone() for name, value in view.features.items()}
    changed["text"][0, 1] += 3.0
    other = view.with_features(changed, view.available)
    assert not torch.allclose(network(view).logits[0, 2], network(other).logits[0, 2])


def test_speakers_beyond_the_table_are_accepted():
    network, batch = make_network(speakers=2), make_batch((6,))
    many = replace(batch, speaker=torch.arange(6)[None])
    assert torch.isfinite(network(many).logits).all()
    assert not torch.allclose(network(many).logits, network(batch).logits)


def test_the_imputer_leaves_available_features_alone():
    network, batch = make_network(name="imputation"), make_batch((4, 2), rate=0.5)
    filled, guesses = network.imputer(batch)
    for index, name in enumerate(MODALITIES):
        there = batch.available[..., index]
        assert torch.equal(filled.features[name][there], batch.features[name][there])
        assert torch.equal(filled.features[name][~there], guesses[name][~there])
        assert guesses[name].shape[-1] == DIMENSIONS[name]
    assert torch.equal(filled.available, batch.valid[..., None].expand(-1, -1, 3))
