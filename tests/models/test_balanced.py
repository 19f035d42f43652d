"""Balance of modalities: what the weights sum to, whom they favour, and that what is absent stays absent."""

import math
from itertools import pairwise

import pytest
import torch
from dialogues import make_batch, make_network
from hypothesis import given, settings
from hypothesis import strategies as st

from models import losses
from models.modalities import MODALITIES
from models.networks.balanced import pace
from models.objective import terms_of
from models.passes import Options
from models.terms import Weights

seeds = st.integers(0, 10_000)
quick = settings(max_examples=25, deadline=None)
own_losses = st.lists(st.floats(0.001, 100), min_size=2, max_size=3)


@quick
@given(own=own_losses, strength=st.floats(0, 4))
def test_the_pace_sums_to_the_modalities_and_favours_who_lags(own, strength):
    weights = pace(own, strength)
    assert sum(weights) == pytest.approx(len(own))
    assert all(torch.tensor(weights) > 0)
    order = sorted(range(len(own)), key=lambda index: own[index])
    for ahead, behind in pairwise(order):
        assert weights[ahead] <= weights[behind] * (1 + 1e-9)


@quick
@given(own=own_losses, more=st.floats(0, 20), strength=st.floats(0, 4))
def test_the_pace_looks_at_how_far_losses_lie_apart(own, more, strength):
    """exp(-loss) is a probability, so a common factor of all drops out of the ratios."""
    shifted = [loss + more for loss in own]
    assert pace(shifted, strength) == pytest.approx(pace(own, strength), rel=1e-6)


@pytest.mark.parametrize(
    ("own", "strength", "expected"),
    [
        ([1.0, 1.0, 1.0], 2.0, [1.0, 1.0, 1.0]),
        ([0.2, 1.0, 3.0], 0.0, [1.0, 1.0, 1.0]),
        ([0.7], 1.0, [1.0]),
        ([], 1.0, []),
        # the first has come twice as far: disparities 2 and 1/2, weights as 1/2 to 2
        ([1.0, 1.0 + math.log(2)], 1.0, [0.4, 1.6]),
        ([0.0, 5.0, 5.0], 1.0, pace([0.0, 50.0, 50.0], 1.0)),
    ],
)
def test_known_paces(own, strength, expected):
    assert pace(own, strength) == pytest.approx(expected)


def parts(seed: int, rate: float = 0.4):
    network, batch = make_network(seed=seed, name="balanced"), make_batch((4, 3), seed=seed, rate=rate)
    states = torch.randn(2, 4, 3, 16, generator=torch.Generator().manual_seed(seed))
    return network, batch, states


@quick
@given(seed=seeds, rate=st.sampled_from([0.0, 0.4, 1.0]))
def test_weights_of_features_and_shares_of_modalities_sum_as_stated(seed, rate):
    network, batch, states = parts(seed, rate)
    network.fusion.pace.copy_(torch.tensor([0.2, 1.8, 1.0]))
    features = network.fusion.feature_weights(states, batch.available)
    assert (features >= 0).all()
    torch.testing.assert_close(features.sum(-1), torch.full((2, 4, 3), 16.0))
    shares = network.fusion.shares(states, batch.available)
    assert (shares[~batch.available] == 0).all()
    torch.testing.assert_close(shares.sum(-1), batch.available.any(-1).float())


@quick
@given(seed=seeds)
def test_hidden_states_weigh_nothing_and_are_not_read(seed):
    network, batch, states = parts(seed)
    other = torch.where(batch.available[..., None], states, states + 100.0)
    assert torch.equal(network.fusion(states, batch.available), network.fusion(other, batch.available))


def test_a_modality_that_lags_counts_more():
    network, batch, states = parts(0, rate=0.0)
    before = network.fusion.shares(states, batch.available)
    network.fusion.pace.copy_(torch.tensor([0.5, 1.5, 1.0]))
    after = network.fusion.shares(states, batch.available)
    assert (after[batch.valid][:, 1] > before[batch.valid][:, 1]).all()
    assert (after[batch.valid][:, 0] < before[batch.valid][:, 0]).all()


def test_a_modality_that_training_lacks_has_no_pace():
    network, batch = make_network(name="balanced"), make_batch((4, 3), rate=0.0)
    hidden = batch.available.clone()
    hidden[..., 2] = False
    network.begin([batch.showing(hidden)])
    assert network.fusion.pace.tolist() == [1.0, 1.0, 0.0]
    network.enter(0.5, {"own_text": 0.5, "own_audio": 1.0, "own_visual": 0.0})
    told = network.fusion.pace.tolist()
    assert told[2] == 0.0
    assert sum(told) == pytest.approx(2.0)
    # judged all the same where it is all that there is
    only = torch.zeros_like(batch.available)
    only[..., 2] = batch.valid
    assert torch.isfinite(network(batch.with_features(batch.features, only)).logits).all()


def test_the_pace_follows_the_last_epoch_alone():
    network, again = (make_network(name="balanced") for _ in range(2))
    row = {"own_text": 0.4, "own_audio": 0.9, "own_visual": 0.6, "validation": 0.3}
    network.enter(0.2, {**row, "own_text": 2.0})
    for one in (network, again):
        one.enter(0.4, row)
    assert network.course() == again.course()
    assert sum(network.course().values()) == pytest.approx(3.0)
    assert list(network.course()) == [f"pace_{name}" for name in MODALITIES]
    network.enter(0.6, {"complete": 1.0})
    assert network.course() == again.course()


@quick
@given(seed=seeds, weight=st.floats(0, 3))
def test_a_paced_loss_keeps_its_value(seed, weight):
    x = torch.tensor(float(seed) / 7, requires_grad=True)
    value = losses.paced(x.square(), torch.tensor(weight))
    value.backward()
    assert value.item() == pytest.approx(float(x.detach().square()))
    assert x.grad.item() == pytest.approx(weight * 2 * float(x.detach()), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", MODALITIES)
def test_own_losses_are_of_what_is_shown_and_weighed_by_the_pace(name):
    network, batch = make_network(name="balanced"), make_batch((4, 3), rate=0.3)
    weights, index = Weights(**{f"own_{name}": 1.0}), MODALITIES.index(name)

    def told(weight: float) -> tuple[float, torch.Tensor]:
        network.fusion.pace[index] = weight
        network.zero_grad()
        value = terms_of(network, batch, None, None, None, weights, Options())[f"own_{name}"]
        value.backward()
        return value.item(), network.modalities[name].direct.weight.grad.clone()

    plain, slope = told(1.0)
    expected = losses.task(
        network(batch).modality_logits[:, :, index], batch.label, batch.labelled & batch.available[..., index]
    )
    assert plain == pytest.approx(expected.item(), rel=1e-5)
    value, half = told(0.5)
    assert value == pytest.approx(plain)
    torch.testing.assert_close(half, slope / 2)
