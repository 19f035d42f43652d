"""Laws of the mask sampling, and the frozen masks of the pipeline."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from protocol_fakes import write_dataset

from models.conditions import Condition
from models.masks import (
    fixed_mask,
    missing_rate,
    random_masks,
    reachable_rate,
    solve_probability,
)
from pipeline import masks
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.settings.protocol import RandomSettings

availability = st.integers(1, 40).flatmap(lambda rows: arrays(bool, (rows, 3)))


@given(availability, st.floats(0, 1), st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_masks_keep_their_laws(available, rate, seed):
    there = torch.from_numpy(available)
    shown = random_masks(there, rate, torch.Generator().manual_seed(seed))
    assert not (shown & ~there).any()
    assert torch.equal(shown.any(dim=1), there.any(dim=1))
    slots = int(there.sum())
    most = int((there.sum(dim=1) - 1).clamp(min=0).sum())
    assert int((there & ~shown).sum()) == min(int(rate * slots + 0.5), most)
    assert missing_rate(there, shown) == pytest.approx(reachable_rate(there, rate))


def test_same_seed_same_masks_and_the_input_stays():
    there = torch.rand(30, 5, 3, generator=torch.Generator().manual_seed(1)) > 0.2
    before = there.clone()
    first, second = (random_masks(there, 0.4, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second) and torch.equal(there, before)
    assert first.shape == there.shape


def test_probability_gives_the_rate_of_the_formula():
    for rate in (0.1, 0.35, 0.6):
        p = solve_probability(rate)
        assert p * (1 + p) / (1 + p + p * p) == pytest.approx(rate)
    assert solve_probability(0.3, (0, 1, 0)) == pytest.approx(0.3 / 0.7)  # p / (1 + p) for two slots
    assert solve_probability(0.7) == 1.0
    with pytest.raises(ValueError, match="rate"):
        solve_probability(1.5)


def test_probability_agrees_with_a_simulation():
    rng = np.random.default_rng(0)
    p = solve_probability(0.45, (0, 400, 600))
    lost = total = 0
    for slots, count in ((2, 40_000), (3, 60_000)):
        kept = rng.random((count, slots)) >= p
        kept = kept[kept.any(axis=1)]  # redrawn until something is left
        lost += (~kept).mean() * slots * count
        total += slots * count
    assert lost / total == pytest.approx(0.45, abs=0.005)


def test_at_the_limit_each_slot_is_kept_alike():
    there = torch.ones(9000, 3, dtype=torch.bool)
    shown = random_masks(there, 0.7, torch.Generator().manual_seed(0))
    assert missing_rate(there, shown) == pytest.approx(2 / 3)
    assert shown.sum(dim=0).float().div(9000).sub(1 / 3).abs().max() < 0.02


def test_patterns_follow_independent_drops():
    """With the quota met, the share of each pattern is still that of independent drops."""
    there = torch.ones(60_000, 3, dtype=torch.bool)
    shown = random_masks(there, 0.5, torch.Generator().manual_seed(3))
    p = solve_probability(0.5)
    code = (shown * torch.tensor([4, 2, 1])).sum(dim=1)
    for pattern in range(1, 8):
        kept = bin(pattern).count("1")
        wanted = (1 - p) ** kept * p ** (3 - kept) / (1 - p**3)
        assert float((code == pattern).float().mean()) == pytest.approx(wanted, abs=0.008)


def test_fixed_mask_shows_just_its_letters():
    there = torch.tensor([[True, True, False], [False, True, True]])
    assert fixed_mask(there, "tv").tolist() == [[True, False, False], [False, False, True]]
    with pytest.raises(ValueError, match="letter"):
        fixed_mask(there, "x")


def test_stage_freezes_masks(tmp_path):
    dataset = write_dataset(tmp_path / "dataset", dialogues=30)
    params = masks.Params(random=RandomSettings(rates=(0.3, 0.7)), seed=4)
    for name in ("one", "two"):
        masks.run(params, dataset=dataset, masks=tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    found = artefacts.load_tensors(tmp_path / "one")
    assert sorted(found) == [str(Condition.random(rate, draw)) for rate in (0.3, 0.7) for draw in range(3)]
    available = artefacts.load_tensors(dataset / "features.safetensors", ["available"])["available"]
    split = artefacts.load_table(dataset / "utterances.parquet")["split"].to_numpy()
    realised = json.loads(artefacts.load_metadata(tmp_path / "one")["realised"])
    for rate, nominal in (("0.3", 0.3), ("0.7", None)):
        shown = found[str(Condition.random(float(rate), 0))]
        assert (shown[split == "train"] == available[split == "train"]).all()
        for part in ("val", "test"):
            here = split == part
            lost = (available[here] - shown[here]).sum() / available[here].sum()
            limit = 1 - available[here].any(axis=1).sum() / available[here].sum()
            assert lost == pytest.approx(nominal or limit, abs=0.5 / available[here].sum() + 1e-9)
            if part == "test":
                assert realised[rate] == pytest.approx(lost)
    assert not np.array_equal(found["random/0.3/0"], found["random/0.3/1"])


def test_adding_a_rate_changes_no_other_mask():
    rng = np.random.default_rng(0)
    available, split = rng.random((60, 3)) > 0.1, np.repeat(["train", "val", "test"], 20)
    few, _ = masks.draw_masks(available, split, RandomSettings(rates=(0.5,)), 1)
    many, _ = masks.draw_masks(available, split, RandomSettings(rates=(0.2, 0.5)), 1)
    assert all(np.array_equal(few[name], many[name]) for name in few)
    assert masks.masks_digest(few) != masks.masks_digest(many)


def test_a_split_without_slots_is_an_error():
    available = np.zeros((4, 3), bool)
    with pytest.raises(PipelineError, match="no utterance of it has any modality"):
        masks.draw_masks(available, np.array(["test"] * 4), RandomSettings(), 0)
