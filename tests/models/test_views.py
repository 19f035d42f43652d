"""Laws of the training views (docs/method.md, Objective)."""

import pytest
import torch
from dialogues import CLASSES, DIMENSIONS, make_batch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.masks import fixed_mask
from models.modalities import SUBSETS
from models.views import CHANNELS, ConflictRates, Donors, conflict_view, incomplete_view

RATES = (0.1, 0.4, 0.7)
lengths = st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple)
seeds = st.integers(0, 10_000)
quick = settings(max_examples=40, deadline=None)


@quick
@given(lengths=lengths, seed=seeds, share=st.sampled_from([0.0, 0.5, 1.0]))
def test_a_view_shows_nothing_that_is_not_there(lengths, seed, share):
    batch = make_batch(lengths, seed)
    shown = incomplete_view(batch.available, share, SUBSETS, RATES, torch.Generator().manual_seed(seed))
    assert not (shown & ~batch.available).any()


@quick
@given(lengths=lengths, seed=seeds)
def test_the_fixed_family_covers_a_dialogue_with_one_subset(lengths, seed):
    batch = make_batch(lengths, seed)
    shown = incomplete_view(batch.available, 1.0, SUBSETS, RATES, torch.Generator().manual_seed(seed))
    for own, view in zip(batch.available, shown, strict=True):
        assert any(torch.equal(view, fixed_mask(own, letters)) for letters in SUBSETS)


@quick
@given(lengths=lengths, seed=seeds)
def test_the_random_family_keeps_a_modality_of_every_utterance(lengths, seed):
    batch = make_batch(lengths, seed)
    shown = incomplete_view(batch.available, 0.0, SUBSETS, RATES, torch.Generator().manual_seed(seed))
    assert torch.equal(shown.any(dim=-1), batch.available.any(dim=-1))


def test_the_families_are_drawn_at_their_share():
    available = torch.ones(2000, 4, 3, dtype=torch.bool)
    shown = incomplete_view(available, 0.25, ("t",), (0.0,), torch.Generator().manual_seed(0))
    covered = ~shown.all(dim=-1).all(dim=-1)
    assert covered.float().mean().item() == pytest.approx(0.25, abs=0.03)


def make_donors(seed: int, count: int = 60) -> Donors:
    """Donors whose features carry their row number, so that a view tells where it comes from."""
    generator = torch.Generator().manual_seed(seed)
    number = torch.arange(count, dtype=torch.float32)[:, None] + 100
    return Donors(
        {name: number.expand(-1, DIMENSIONS[name]) for name in ("audio", "visual")},
        torch.rand(count, 3, generator=generator) > 0.2,
        torch.randint(CLASSES, (count,), generator=generator).float(),
        torch.randint(5, (count,), generator=generator),
    )


def drawn(lengths, seed, rates):
    batch, donors = make_batch(lengths, seed), make_donors(seed)
    dialogue = torch.arange(len(lengths))
    target = torch.where(batch.valid, batch.label.float(), torch.nan)
    generator = torch.Generator().manual_seed(seed)
    return batch, donors, dialogue, conflict_view(batch, dialogue, target, donors, rates, generator)


@quick
@given(lengths=lengths, seed=seeds, same_share=st.sampled_from([0.0, 0.4, 1.0]))
def test_conflict_laws(lengths, seed, same_share):
    rates = ConflictRates(share=0.7, same_share=same_share)
    batch, donors, dialogue, view = drawn(lengths, seed, rates)
    assert not (view.swapped & ~batch.valid).any()
    assert torch.equal(view.batch.features["text"], batch.features["text"])
    assert torch.equal(view.batch.available[..., 0], batch.available[..., 0])
    assert not (view.swapped & ~batch.available[..., 0]).any()
    assert torch.equal(view.batch.label, batch.label)
    assert torch.equal(torch.isfinite(view.donor), view.swapped)
    for b, n in batch.valid.nonzero().tolist():
        channels = CHANNELS[view.channels[b, n]] if view.swapped[b, n] else ""
        taken = set()
        for letter, index, name in (("a", 1, "audio"), ("v", 2, "visual")):
            now = view.batch.features[name][b, n]
            if letter not in channels:
                assert torch.equal(now, batch.features[name][b, n])
                assert view.batch.available[b, n, index] == batch.available[b, n, index]
                continue
            row = int(now[0].item()) - 100
            taken.add(row)
            assert donors.available[row, index]
            assert view.batch.available[b, n, index]
            assert donors.dialogue[row] != dialogue[b]
            assert donors.value[row] == view.donor[b, n]
            assert view.other[b, n] == (donors.value[row] != batch.label[b, n])
        assert len(taken) <= 1
    if same_share in (0.0, 1.0):
        assert torch.equal(view.other, view.swapped if same_share == 0.0 else torch.zeros_like(view.other))


def test_shares_of_conflict_and_of_same_label_donors():
    rates = ConflictRates(share=0.4, same_share=0.25, channels=("a", "v", "av"))
    _, _, _, view = drawn((6,) * 500, 3, rates)
    spoken = view.batch.available[..., 0]
    assert view.swapped[spoken].float().mean().item() == pytest.approx(0.4, abs=0.03)
    assert view.other[view.swapped].float().mean().item() == pytest.approx(0.75, abs=0.04)
    counts = torch.bincount(view.channels[view.swapped], minlength=3) / view.swapped.sum()
    assert counts.tolist() == pytest.approx([1 / 3] * 3, abs=0.05)


def test_no_fitting_donor_leaves_an_utterance_clean():
    batch, donors = make_batch((3,)), make_donors(0)
    target = batch.label.float()
    alone = Donors(donors.features, donors.available, donors.value, torch.zeros(60, dtype=torch.long))
    view = conflict_view(
        batch, torch.tensor([0]), target, alone, ConflictRates(share=1.0), torch.Generator().manual_seed(0)
    )
    assert not view.swapped.any()
    assert torch.equal(view.batch.features["audio"], batch.features["audio"])


def test_an_utterance_without_language_stays_clean():
    batch, donors = make_batch((6,) * 20, seed=4), make_donors(4)
    view = conflict_view(
        batch,
        torch.arange(20) + 10,
        batch.label.float(),
        donors,
        ConflictRates(share=1.0),
        torch.Generator().manual_seed(0),
    )
    silent = batch.valid & ~batch.available[..., 0]
    assert silent.any() and not (view.swapped & silent).any()
    assert torch.equal(view.swapped, batch.available[..., 0])
    for name in ("audio", "visual"):
        assert torch.equal(view.batch.features[name][silent], batch.features[name][silent])
    assert torch.equal(view.batch.available[silent], batch.available[silent])


def test_another_score_is_at_least_the_gap_away():
    batch, donors = make_batch((6, 6), seed=2), make_donors(2)
    scores = Donors(donors.features, donors.available, torch.linspace(-3, 3, 60), donors.dialogue)
    rates = ConflictRates(share=1.0, same_share=0.0, gap=1.0)
    view = conflict_view(
        batch, torch.tensor([10, 11]), batch.score, scores, rates, torch.Generator().manual_seed(0)
    )
    assert view.other.any()
    assert ((view.donor - batch.score).abs()[view.other] >= 1.0).all()


def test_views_repeat_under_one_seed():
    one, two = (drawn((5, 3), 7, ConflictRates())[3] for _ in range(2))
    assert torch.equal(one.batch.features["visual"], two.batch.features["visual"])
    assert torch.equal(one.channels, two.channels)
