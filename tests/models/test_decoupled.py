"""Decoupled parts: the split is one, edges sum as stated, who is absent neither teaches nor learns."""

import math

import pytest
import torch
from dialogues import CLASSES, make_batch, make_network
from hypothesis import given, settings
from hypothesis import strategies as st

from models import splitting
from models.objective import terms_of
from models.passes import Options
from models.terms import Weights

seeds = st.integers(0, 10_000)
quick = settings(max_examples=15, deadline=None)
OWN = ("parts", "apart", "rebuilt", "graph", "dictionary")


def made(seed: int = 0, rate: float = 0.3, outputs: int = CLASSES):
    network = make_network(seed=seed, name="decoupled", outputs=outputs)
    return network, make_batch((4, 3), seed=seed, rate=rate)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("shared", "own", "expected"), [([1.0, 0.0], [0.0, 3.0], 0.0), ([1.0, 1.0], [-2.0, -2.0], 1.0)]
)
def test_right_angles_are_known(shared, own, expected):
    parts = torch.tensor([shared, own])[None, None, :, None, :].expand(1, 1, 2, 3, 2)
    shown = torch.tensor([[[True, False, True]]])
    assert splitting.apart(parts, shown).item() == pytest.approx(expected)


@quick
@given(seed=seeds, rate=st.sampled_from([0.0, 0.4, 1.0]))
def test_edges_sum_to_one_over_the_others_that_are_shown(seed, rate):
    network, batch = made(seed, rate)
    edges = network(batch).edges
    shown = batch.available
    others = shown.sum(-1, keepdim=True) - shown.long()
    listens = (shown & (others > 0))[:, :, None].expand(-1, -1, 2, -1)
    torch.testing.assert_close(edges.sum(-1), listens.float())
    # nobody is told by itself, nor by who is absent
    assert (edges.diagonal(dim1=-2, dim2=-1) == 0).all()
    assert (edges[~shown[:, :, None, None, :].expand_as(edges)] == 0).all()


def test_what_is_asked_is_the_mixture_of_the_others():
    network, batch = made(rate=0.0)
    output = network(batch)
    said = splitting.asked(output.part_logits, output.edges, regression=False)
    probability = output.part_logits.softmax(-1)
    expected = (
        output.edges[0, 0, 1, 0, 1] * probability[0, 0, 1, 1]
        + output.edges[0, 0, 1, 0, 2] * probability[0, 0, 1, 2]
    )
    torch.testing.assert_close(said[0, 0, 1, 0].exp(), expected)
    torch.testing.assert_close(said[batch.valid].exp().sum(-1), torch.ones_like(said[batch.valid][..., 0]))


def gradients(network, batch, name: str) -> set[str]:
    network.zero_grad()
    terms_of(network, batch, None, None, None, Weights(**{name: 1.0}), Options())[name].backward()
    return {
        key for key, value in network.named_parameters() if value.grad is not None and value.grad.abs().sum()
    }


def test_the_dictionary_begins_in_the_second_stage():
    network, batch = made()
    network.enter(0.4, {})
    assert network.course() == {"matching": 0.0}
    assert not gradients(network, batch, "dictionary")
    network.enter(0.5, {})
    assert network.course() == {"matching": 1.0}
    assert "prototypes" in gradients(network, batch, "dictionary")
    # one dictionary for the shared parts alone
    assert not any(".own." in name for name in gradients(network, batch, "dictionary"))


def test_edges_are_taught_by_whom_it_pays_to_ask():
    """A modality that is always right is listened to more, once the edges alone have learnt."""
    _, batch = made(rate=0.0)
    told = torch.nn.functional.one_hot(batch.label.clamp(min=0), CLASSES).float()
    logits = torch.zeros(*batch.valid.shape, 2, 3, CLASSES)
    logits[..., 0, :] = 6 * told[:, :, None]
    logits[..., 1, :] = 6 * told.roll(1, dims=-1)[:, :, None]
    match = torch.zeros(*batch.valid.shape, 2, 3, 3, requires_grad=True)
    said = splitting.asked(logits, splitting.edges(match, batch.available), regression=False)
    visual = said[:, :, 0, 2][batch.valid]
    torch.nn.functional.nll_loss(visual, batch.label[batch.valid]).backward()
    slope = match.grad[batch.valid][:, 0, 2]
    assert (slope[:, 0] < 0).all()
    assert (slope[:, 1] > 0).all()


def test_distillation_reaches_the_pupil_and_not_its_teachers():
    logits = random(1, 1, 2, 3, CLASSES).requires_grad_()
    edges = splitting.edges(torch.zeros(1, 1, 2, 3, 3), torch.ones(1, 1, 3, dtype=torch.bool))
    said = splitting.asked(logits, edges, regression=False)
    learns = torch.zeros(1, 1, 2, 3, dtype=torch.bool)
    learns[0, 0, 0, 1] = True
    value = splitting.taught(logits, said, learns, regression=False)
    value.backward()
    assert logits.grad[0, 0, 0, 1].abs().sum() > 0
    logits.grad[0, 0, 0, 1] = 0
    assert logits.grad.abs().sum() == 0
    own, told = logits[0, 0, 0, 1].softmax(-1), said[0, 0, 0, 1].exp()
    assert value.item() == pytest.approx(float((told * (told / own).log()).sum().detach()), rel=1e-4)


@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize("name", OWN)
def test_a_view_of_one_modality_has_nobody_to_ask_and_nothing_is_nan(name, regression):
    network, batch = made(rate=0.0, outputs=1 if regression else CLASSES)
    network.enter(0.6, {})
    for shown in ([], [1], [0, 2]):
        view = torch.zeros_like(batch.available)
        view[..., shown] = batch.valid[..., None]
        own = batch.showing(view)
        terms = terms_of(
            network, own, None, None, None, Weights(**{name: 1.0}), Options(regression=regression)
        )
        assert math.isfinite(terms[name].item())
        if name == "graph" and len(shown) < 2:
            assert terms[name].item() == 0
        terms[name].backward()
        assert all(torch.isfinite(v.grad).all() for v in network.parameters() if v.grad is not None)


def test_matches_agree_where_modalities_say_the_same_and_all_prototypes_are_used():
    classes = 4
    sure = torch.eye(classes).mul(40.0).log_softmax(-1)
    matches = sure[None, :, None, :].expand(1, classes, 3, classes)
    shown = torch.ones(1, classes, 3, dtype=torch.bool)
    assert splitting.matched(matches, shown).item() == pytest.approx(0.0, abs=1e-4)
    # all on one prototype: agreed, and refused
    one = matches[:, :1].expand(1, classes, 3, classes)
    assert splitting.matched(one, shown).item() == pytest.approx(math.log(classes), rel=1e-3)


def test_what_is_decoupled_is():
    """Taught by its own terms, the parts of shown states stand at right angles and tell the state again."""
    network, batch = made(rate=0.0)
    network.train()
    optimizer = torch.optim.Adam(network.split.parameters(), lr=0.03)
    weights = Weights(apart=1.0, rebuilt=1.0)

    def told() -> dict[str, float]:
        terms = terms_of(network.eval(), batch, None, None, None, weights, Options())
        return {name: value.item() for name, value in terms.items()}

    before = told()
    for _ in range(40):
        optimizer.zero_grad()
        sum(terms_of(network, batch, None, None, None, weights, Options()).values()).backward()
        optimizer.step()
    after = told()
    assert after["apart"] < 0.01
    assert after["rebuilt"] < 0.3 * before["rebuilt"]


def test_parts_stand_in_the_place_of_the_state():
    network, batch = made()
    output = network(batch)
    together = torch.cat([output.parts[:, :, 0], output.parts[:, :, 1]], dim=-1)
    torch.testing.assert_close(output.states, together + output.fused[:, :, None])
    torch.testing.assert_close(output.rebuilt, network.split.rebuilt(together))
