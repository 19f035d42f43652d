"""Laws of training views with unreliable features (docs/method.md, Objective)."""

from dataclasses import replace

import pytest
import torch
from dialogues import DIMENSIONS, make_batch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.corruption import CorruptionRates, Noises, unreliable_view
from models.modalities import MODALITIES
from models.terms import CORRUPTIONS

quick = settings(max_examples=40, deadline=None)
lengths = st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple)
seeds = st.integers(0, 10_000)


def noises(seed: int = 0, count: int = 400) -> Noises:
    """Training utterances whose dimensions hang together."""
    generator = torch.Generator().manual_seed(seed)
    features = {
        name: torch.randn(count, width, generator=generator) @ torch.randn(width, width, generator=generator)
        for name, width in DIMENSIONS.items()
    }
    return Noises.of(features, torch.rand(count, 3, generator=generator) > 0.2)


NOISES = noises()


def drawn(batch, seed, share=1.0, kinds=CORRUPTIONS, least=0.5, most=0.5, shown=None):
    rates = CorruptionRates(share, kinds, least, most)
    hidden = batch.showing(torch.zeros_like(batch.available)) if shown is None else shown
    return unreliable_view(batch, hidden, NOISES, rates, torch.Generator().manual_seed(seed))


@quick
@given(lengths=lengths, seed=seeds)
def test_without_a_share_nothing_changes_and_nothing_is_drawn(lengths, seed):
    batch, generator = make_batch(lengths, seed), torch.Generator().manual_seed(seed)
    before = generator.get_state()
    rates = CorruptionRates(0.0, CORRUPTIONS, 0.2, 0.8)
    assert unreliable_view(batch, batch, NOISES, rates, generator) is batch
    assert torch.equal(generator.get_state(), before)


@quick
@given(lengths=lengths, seed=seeds, kind=st.sampled_from(CORRUPTIONS))
def test_a_dialogue_is_seen_whole_and_one_modality_of_it_changes(lengths, seed, kind):
    batch = make_batch(lengths, seed)
    view = drawn(batch, seed, kinds=(kind,))
    assert torch.equal(view.available, batch.available)
    for dialogue in range(len(lengths)):
        changed = [
            name
            for name in MODALITIES
            if not torch.equal(
                view.features[name][dialogue],
                batch.features[name][dialogue],
            )
        ]
        assert len(changed) <= 1
        for name in changed:
            there = batch.available[dialogue, :, MODALITIES.index(name)]
            assert torch.equal(view.features[name][dialogue][~there], batch.features[name][dialogue][~there])
    assert torch.equal(view.label, batch.label) and torch.equal(view.row, batch.row)


@quick
@given(lengths=lengths, seed=seeds)
def test_the_same_seed_gives_the_same_view_and_strength_0_the_clean_one(lengths, seed):
    batch = make_batch(lengths, seed)
    before = {name: value.clone() for name, value in batch.features.items()}
    one, two = drawn(batch, seed), drawn(batch, seed)
    none = drawn(batch, seed, least=0.0, most=0.0)
    for name in MODALITIES:
        assert torch.equal(one.features[name], two.features[name])
        assert torch.equal(batch.features[name], before[name])
        assert torch.equal(none.features[name], batch.features[name])


def test_other_dialogues_keep_their_incomplete_view_and_the_share_is_that_asked_for():
    batch = make_batch((3,) * 600, 1)
    shown = batch.showing(torch.rand(batch.available.shape) > 0.5)
    view = drawn(batch, 2, share=0.3, shown=shown)
    whole = (view.available == batch.available).all(dim=-1).all(dim=-1)
    hidden = (view.available == shown.available).all(dim=-1).all(dim=-1)
    assert (whole | hidden).all()
    surely = whole & ~(shown.available == batch.available).all(dim=-1).all(dim=-1)
    assert surely.float().mean().item() == pytest.approx(0.3, abs=0.06)


def changes(kind: str, strength: float, count: int = 3000):
    """Clean and changed features of one modality, where it changed."""
    batch = make_batch((1,) * count, 3)
    view = drawn(batch, 4, kinds=(kind,), least=strength, most=strength)
    column = MODALITIES.index("audio")
    clean, made = batch.features["audio"], view.features["audio"]
    hit = (made != clean).any(dim=-1) & batch.available[..., column]
    return clean[hit], made[hit]


def test_dropout_leaves_dimensions_out_at_its_strength():
    clean, made = changes("dropout", 0.4)
    out = made == 0
    assert torch.equal(made[~out], clean[~out])
    # of those slots of which any dimension was left out
    wanted = 0.4 / (1 - 0.6 ** clean.shape[1])
    assert out.float().mean().item() == pytest.approx(wanted, abs=0.04)


def test_a_mixture_lies_between_an_utterance_and_one_of_training():
    clean, made = changes("mix", 0.25)
    other = (made - 0.75 * clean) / 0.25
    held = NOISES.features["audio"][NOISES.available[:, MODALITIES.index("audio")]]
    apart = torch.cdist(other.double(), held.double()).min(dim=-1).values
    assert apart.max() < 1e-3


def test_noise_has_the_covariance_of_training_times_the_square_of_its_strength():
    clean, made = changes("noise", 0.5)
    held = NOISES.features["audio"][NOISES.available[:, MODALITIES.index("audio")]]
    wanted, found = torch.cov(held.T) * 0.25, torch.cov((made - clean).T)
    assert torch.linalg.matrix_norm(found - wanted) < 0.2 * torch.linalg.matrix_norm(wanted)


def test_a_modality_that_training_lacks_is_left_as_it_is():
    features = {name: torch.zeros(5, width) for name, width in DIMENSIONS.items()}
    empty = Noises.of(features, torch.zeros(5, 3, dtype=torch.bool))
    batch = make_batch((3, 3), 0)
    for kind in ("mix", "noise"):
        rates = CorruptionRates(1.0, (kind,), 0.5, 0.5)
        view = unreliable_view(batch, batch, empty, rates, torch.Generator().manual_seed(0))
        for name in MODALITIES:
            assert torch.equal(view.features[name], batch.features[name])


@quick
@given(lengths=lengths, seed=seeds, kind=st.sampled_from(CORRUPTIONS))
def test_reliability_inputs_become_unusual_and_the_features_change_as_without_them(lengths, seed, kind):
    """The last column here: what is not known stays so, and only slots that changed are moved."""
    plain = make_batch(lengths, seed)
    inputs = {name: torch.zeros(*values.shape[:2], 1) for name, values in plain.features.items()}
    inputs["text"][:, 0] = torch.nan
    wide = replace(plain, features={k: torch.cat([v, inputs[k]], -1) for k, v in plain.features.items()})
    rates = CorruptionRates(1.0, (kind,), 0.5, 0.5)
    one = unreliable_view(plain, plain, NOISES, rates, torch.Generator().manual_seed(seed))
    counts = dict.fromkeys(MODALITIES, 1)
    two = unreliable_view(wide, wide, NOISES, rates, torch.Generator().manual_seed(seed), counts)
    hit = False
    for place, name in enumerate(MODALITIES):
        own, moved = two.features[name][..., :-1], two.features[name][..., -1]
        if not hit:  # what is drawn later differs
            assert torch.equal(own, one.features[name])
        known = inputs[name][..., 0].isfinite()
        assert torch.equal(moved.isfinite(), known)
        changed = known & (moved != 0)
        assert not (changed & ~plain.available[..., place]).any()
        hit = hit or bool((one.features[name] != plain.features[name]).any())
    if kind == "noise" and hit:
        assert any(bool((two.features[name][..., -1] != 0).any()) for name in MODALITIES)
