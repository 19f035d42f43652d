"""The chain over labels: equality with enumeration, gradients, and what must change nothing."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.chain import Chains, Potentials, last_other, marginals, score_posterior

CLASSES = 3


def enumerated(evidence, potentials, speaker) -> np.ndarray:
    """Marginals of one dialogue (n, c) by adding up the weight of every sequence of labels."""
    n, c = evidence.shape
    total = np.zeros((n, c))
    start, own = potentials.start.numpy(), potentials.own.numpy()
    other = None if potentials.other is None else potentials.other.numpy()
    for labels in itertools.product(range(c), repeat=n):
        weight = 0.0
        for i, label in enumerate(labels):
            mine = [j for j in range(i) if speaker[j] == speaker[i]]
            theirs = [j for j in range(i) if speaker[j] != speaker[i]]
            weight += evidence[i, label] + (own[labels[mine[-1]], label] if mine else start[label])
            if other is not None and theirs:
                weight += other[labels[theirs[-1]], label]
        for i, label in enumerate(labels):
            total[i, label] += np.exp(weight)
    return total / total.sum(axis=1, keepdims=True)


def some(seed: int, speakers, scale: float = 1.0, other: bool = True):
    draw = torch.Generator().manual_seed(seed)

    def table(*shape):
        return scale * torch.randn(*shape, generator=draw, dtype=torch.float64)

    evidence = 2 * table(1, len(speakers), CLASSES)
    potentials = Potentials(
        table(CLASSES), table(CLASSES, CLASSES), table(CLASSES, CLASSES) if other else None
    )
    speaker = torch.tensor([speakers])
    return evidence, potentials, speaker, torch.ones_like(speaker, dtype=torch.bool)


two = st.lists(st.integers(0, 1), min_size=1, max_size=6)
many = st.lists(st.integers(0, 3), min_size=1, max_size=6)


@given(speakers=many, seed=st.integers(0, 99))
def test_own_chains_are_exact_for_any_number_of_speakers(speakers, seed):
    evidence, potentials, speaker, valid = some(seed, speakers, other=False)
    found = marginals(evidence, potentials, speaker, valid)[0].exp().numpy()
    assert found == pytest.approx(enumerated(evidence[0].numpy(), potentials, speakers), abs=1e-9)


@given(speakers=two, seed=st.integers(0, 99))
def test_pairs_are_exact_for_two_speakers(speakers, seed):
    evidence, potentials, speaker, valid = some(seed, speakers)
    found = marginals(evidence, potentials, speaker, valid)[0].exp().numpy()
    assert found == pytest.approx(enumerated(evidence[0].numpy(), potentials, speakers), abs=1e-9)


@given(speakers=many, seed=st.integers(0, 99))
def test_more_speakers_are_near_to_exact_while_the_coupling_is_weak(speakers, seed):
    evidence, potentials, speaker, valid = some(seed, speakers)
    weak = Potentials(potentials.start, potentials.own, 0.2 * potentials.other)
    found = marginals(evidence, weak, speaker, valid)[0].exp().numpy()
    assert found == pytest.approx(enumerated(evidence[0].numpy(), weak, speakers), abs=0.08)


def test_the_approximation_is_nearer_than_leaving_the_others_out():
    gaps = {True: [], False: []}
    for seed in range(30):
        evidence, potentials, speaker, valid = some(seed, [0, 1, 2, 0, 1, 2], scale=0.5)
        exact = enumerated(evidence[0].numpy(), potentials, speaker[0].tolist())
        for coupled, own in gaps.items():
            used = potentials if coupled else Potentials(potentials.start, potentials.own)
            found = marginals(evidence, used, speaker, valid)[0].exp().numpy()
            own.append(np.abs(found - exact).mean())
    assert np.mean(gaps[True]) < 0.5 * np.mean(gaps[False])


@pytest.mark.parametrize("speakers", [[0, 0, 1, 0, 1], [0, 1, 2, 1, 0]])
@pytest.mark.parametrize("other", [False, True])
def test_gradients_are_those_of_finite_differences(speakers, other):
    evidence, potentials, speaker, valid = some(3, speakers, scale=0.5, other=other)
    tables = [potentials.start, potentials.own, *([potentials.other] if other else [])]

    def value(evidence, *tables):
        return marginals(evidence, Potentials(*tables), speaker, valid)

    inputs = [one.clone().requires_grad_() for one in (evidence, *tables)]
    assert torch.autograd.gradcheck(value, inputs)


@pytest.mark.parametrize("count", [2, 3])
@given(seed=st.integers(0, 99))
def test_names_of_speakers_padding_and_neighbours_in_the_batch_change_nothing(count, seed):
    speakers = [(7 * k + seed) % count for k in range(5)]
    evidence, potentials, speaker, valid = some(seed, speakers)
    alone = marginals(evidence, potentials, speaker, valid)
    renamed = torch.tensor([[(one + 1) % count for one in speakers]])
    assert torch.allclose(alone, marginals(evidence, potentials, renamed, valid), atol=1e-10)
    padded = torch.cat([evidence, torch.full((1, 3, CLASSES), torch.nan)], dim=1)
    other = torch.randn(1, 8, CLASSES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    both = torch.cat([padded, other])
    who = torch.cat([torch.cat([speaker, torch.zeros(1, 3, dtype=torch.long)], 1), torch.arange(8)[None] % 4])
    there = torch.cat([torch.arange(8)[None] < 5, torch.ones(1, 8, dtype=torch.bool)])
    found = marginals(both, potentials, who, there)
    assert torch.allclose(alone[0], found[0, :5], atol=1e-10)
    assert (found[0, 5:] == 0).all()


def test_an_utterance_without_evidence_is_judged_by_its_chain():
    evidence, _, speaker, valid = some(0, [0, 0, 0], other=False)
    evidence[0, 1] = 0
    sticky = Potentials(torch.zeros(CLASSES).double(), 3 * torch.eye(CLASSES).double())
    evidence[0, 0] = evidence[0, 2] = torch.tensor([0.0, 9.0, 0.0])
    assert marginals(evidence, sticky, speaker, valid)[0, 1].argmax() == 1


def test_extreme_evidence_gives_no_nan():
    evidence, potentials, speaker, valid = some(0, [0, 1, 0, 1])
    for scale in (1e3, 1e4):
        values = (scale * evidence.float()).requires_grad_()
        tables = Potentials(
            *(table.float() for table in (potentials.start, potentials.own, potentials.other))
        )
        found = marginals(values, tables, speaker, valid)
        found[torch.isfinite(found)].clamp(min=-50).sum().backward()
        assert torch.isfinite(found).all() and torch.isfinite(values.grad).all()


def test_the_last_utterance_of_another_speaker():
    speaker = torch.tensor([[0, 0, 1, 2, 2, 0]])
    assert last_other(speaker, torch.ones_like(speaker, dtype=torch.bool)).tolist() == [[-1, -1, 1, 2, 2, 4]]


def test_chains_hold_every_utterance_once_and_in_order():
    speaker = torch.tensor([[0, 1, 0, 0], [0, 0, 1, 2]])
    valid = torch.tensor([[True] * 4, [True] * 3 + [False]])
    assert Chains.of(speaker, valid).places.tolist() == [[0, 2, 3], [1, -1, -1], [4, 5, -1], [6, -1, -1]]


@given(speakers=many, seed=st.integers(0, 99))
def test_scores_are_the_posterior_of_the_joint_gaussian(speakers, seed):
    draw = np.random.default_rng(seed)
    n = len(speakers)
    mean, precision = draw.normal(size=n), draw.gamma(2, size=n) * (draw.random(n) < 0.8)
    pull, stiffness = 0.75, 1.5  # exact in binary
    covariance = np.zeros((n, n))
    stationary = 1 / (stiffness * (1 - pull**2))
    for i, j in itertools.product(range(n), repeat=2):
        if speakers[i] == speakers[j]:
            apart = sum(speakers[k] == speakers[i] for k in range(min(i, j), max(i, j)))
            covariance[i, j] = stationary * pull**apart
    joint = np.linalg.inv(np.linalg.inv(covariance) + np.diag(precision))
    values = [torch.tensor(value)[None] for value in (mean, precision)]
    speaker = torch.tensor([speakers])
    found, variance = score_posterior(
        *values, torch.tensor(pull).double(), torch.tensor(stiffness).double(), speaker, speaker >= 0
    )
    assert found[0].numpy() == pytest.approx(joint @ (precision * mean), abs=1e-9)
    assert variance[0].numpy() == pytest.approx(np.diag(joint), abs=1e-9)
