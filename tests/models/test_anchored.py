"""Anchors of classes: known answers and laws of their terms, where they begin, and how they answer."""

import math

import pytest
import torch
import torch.nn.functional as F
from dialogues import CLASSES, DIMENSIONS, make_batch, make_network
from hypothesis import given, settings
from hypothesis import strategies as st

from models import losses
from models.objective import terms_of
from models.passes import Options
from models.terms import Weights

seeds = st.integers(0, 10_000)
quick = settings(max_examples=20, deadline=None)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def least_angle(anchors: torch.Tensor) -> float:
    own = F.normalize(anchors, dim=-1)
    return float((own @ own.T - 3 * torch.eye(len(own))).max().clamp(-1, 1).acos())


def test_anchors_in_one_place_have_a_finite_slope():
    anchors = torch.ones(3, 4, requires_grad=True)
    losses.anchor_angle(anchors).backward()
    assert torch.isfinite(anchors.grad).all()


@pytest.mark.parametrize(
    ("anchors", "expected"),
    [([[1.0, 0.0], [0.0, 2.0]], 0.5), ([[1.0, 0.0], [-3.0, 0.0]], 0.0), ([[1.0, 1.0], [2.0, 2.0]], 1.0)],
)
def test_the_angle_of_two_anchors(anchors, expected):
    assert losses.anchor_angle(torch.tensor(anchors)).item() == pytest.approx(expected, abs=1e-3)


@quick
@given(classes=st.integers(1, 7), seed=seeds, scale=st.floats(0.1, 50))
def test_the_angle_looks_at_directions_alone(classes, seed, scale):
    anchors = random(classes, 8, seed=seed)
    turn = torch.linalg.qr(random(8, 8, seed=seed + 1)).Q
    value = losses.anchor_angle(anchors).item()
    assert 0 <= value <= 1
    assert losses.anchor_angle(scale * anchors @ turn).item() == pytest.approx(value, abs=1e-3)


@quick
@given(classes=st.integers(2, 7), seed=seeds, near=st.floats(0.001, 2))
def test_anchors_that_lie_close_move_apart(classes, seed, near):
    """From wherever they begin, nearly in one place too, they end nearly at a right angle or beyond."""
    anchors = (random(1, 8, seed=seed) + near * random(classes, 8, seed=seed + 1)).requires_grad_()
    optimizer = torch.optim.Adam([anchors], lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        losses.anchor_angle(anchors).backward()
        optimizer.step()
    assert least_angle(anchors.detach()) > math.pi / 2 - 0.15


def plain_pull(state, anchors, label, mask, temperature) -> float:
    """Utterance by utterance, in Python."""
    places = [tuple(place) for place in mask.nonzero().tolist()]
    told = []
    for place in places:
        others = [(state[other], int(label[other])) for other in places if other != place]
        others += [(anchor, number) for number, anchor in enumerate(anchors)]
        near = [float(F.cosine_similarity(state[place], other, dim=0)) / temperature for other, _ in others]
        whole = math.log(sum(math.exp(value) for value in near))
        own = [
            whole - value for value, (_, kind) in zip(near, others, strict=True) if kind == int(label[place])
        ]
        told.append(sum(own) / len(own))
    return sum(told) / len(told) if told else 0.0


@quick
@given(seed=seeds, temperature=st.sampled_from([0.1, 0.5, 2.0]), shown=st.floats(0, 1))
def test_the_pull_is_the_contrast_with_states_and_anchors(seed, temperature, shown):
    state, anchors = random(2, 4, 6, seed=seed), random(CLASSES, 6, seed=seed + 1)
    label = torch.randint(CLASSES, (2, 4), generator=torch.Generator().manual_seed(seed))
    mask = torch.rand(2, 4, generator=torch.Generator().manual_seed(seed)) < shown
    found = losses.anchor_pull(state, anchors, label, mask, temperature)
    assert found.item() == pytest.approx(plain_pull(state, anchors, label, mask, temperature), rel=1e-4)


@quick
@given(seed=seeds)
def test_the_pull_brings_a_state_to_its_anchor_and_from_the_others(seed):
    state, anchors = random(1, 1, 6, seed=seed).requires_grad_(), random(CLASSES, 6, seed=seed + 1)
    label, mask = torch.tensor([[seed % CLASSES]]), torch.ones(1, 1, dtype=torch.bool)
    optimizer = torch.optim.Adam([state], lr=0.1)
    for _ in range(80):
        optimizer.zero_grad()
        losses.anchor_pull(state, anchors, label, mask, 0.2).backward()
        optimizer.step()
    nearest = F.cosine_similarity(state[0, 0].detach(), anchors, dim=-1).argmax()
    assert int(nearest) == seed % CLASSES


def test_what_is_not_shown_is_not_pulled():
    network, batch = make_network(name="anchored"), make_batch((4, 3), rate=0.0)
    hidden = batch.available.clone()
    hidden[0, 1] = False
    weights = Weights(anchor=1.0)

    def pull(label: torch.Tensor) -> float:
        view = batch.with_features(batch.features, hidden)
        relabelled = type(view)(**{**vars(view), "label": label})
        return terms_of(network, relabelled, relabelled, None, None, weights, Options())["anchor"].item()

    other = batch.label.clone()
    other[0, 1] = (other[0, 1] + 1) % CLASSES
    assert pull(batch.label) == pull(other)
    other[0, 0] = (other[0, 0] + 1) % CLASSES
    assert pull(batch.label) != pull(other)


def begun(seed: int = 0, **changes):
    return make_network(seed=seed, name="anchored", **changes)


def test_anchors_begin_at_the_names_of_the_labels():
    network, names = begun(), random(CLASSES, DIMENSIONS["text"])
    network.name_classes(names)
    expected = network.modalities["text"].project(names)
    assert torch.equal(network.residual.anchors, expected)
    # names that are alike begin as anchors that are alike
    network.name_classes(names[[0, 0, 1]])
    torch.testing.assert_close(network.residual.anchors[0], network.residual.anchors[1])


def test_without_names_anchors_begin_at_the_mean_text_of_their_class():
    network, batch = begun(), make_batch((5, 4), rate=0.2)
    label = batch.label.clone()
    label[label == 2] = 1  # a class that training lacks
    batch = type(batch)(**{**vars(batch), "label": label})
    before = network.residual.anchors[2].clone()
    network.begin([batch])
    for kind in range(2):
        said = batch.features["text"][(batch.label == kind) & batch.available[..., 0]]
        expected = network.modalities["text"].project(said.mean(dim=0))
        torch.testing.assert_close(network.residual.anchors[kind], expected)
    assert torch.equal(network.residual.anchors[2], before)


@quick
@given(seed=seeds, epochs=st.integers(1, 40), share=st.floats(0, 0.99))
def test_the_second_stage_is_the_last_share_of_the_epochs(seed, epochs, share):
    network = begun(anchored={"adaptation": share})
    adapting = []
    for epoch in range(epochs):
        network.enter(epoch / epochs, {})
        adapting.append(network.course()["adapting"] > 0)
        learns = {name for name, value in network.named_parameters() if value.requires_grad}
        if adapting[-1]:
            assert learns == {"residual.anchors", "residual.heat"}
        else:
            assert learns == {name for name, _ in network.named_parameters()}
    assert adapting == sorted(adapting)
    assert sum(adapting) <= share * epochs + 1e-6


def test_then_the_nearest_anchor_answers():
    network, states = begun(), random(3, 4, 16)
    network.enter(0.99, {})
    near = F.cosine_similarity(states[..., None, :], network.residual.anchors, dim=-1)
    assert torch.equal(network.residual(states).argmax(-1), near.argmax(-1))
    network.enter(0.0, {})
    assert torch.equal(network.residual(states), network.residual.linear(states))


def test_while_anchors_adapt_their_terms_move_nothing():
    network, batch = begun(), make_batch((4, 3))
    network.enter(0.99, {})
    weights = Weights(incomplete=1.0, anchor=1.0, anchor_angle=1.0)
    terms = terms_of(network, batch, batch, None, None, weights, Options())
    assert not terms["anchor"].requires_grad
    assert not terms["anchor_angle"].requires_grad
    terms["incomplete"].backward()
    moved = {name for name, value in network.named_parameters() if value.grad is not None}
    assert moved == {"residual.anchors", "residual.heat"}
