"""Conditions that coincide in a corpus: which they are, and that nothing shows them twice."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from protocol_fakes import write_dataset, write_protocol

from models.conditions import Condition
from models.masks import reachable_rate
from models.modalities import LETTERS, SUBSETS, has_letter
from pipeline.core import artefacts
from pipeline.evaluation import families
from pipeline.evaluation.coinciding import WHOLE, distinct_subsets, same_rates, same_subsets
from pipeline.evaluation.protocol import Frozen
from pipeline.settings.training import ValidationMix
from pipeline.training.dialogues import Dataset
from pipeline.training.validation import Validator

RATES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
corpora = arrays(bool, st.tuples(st.integers(1, 30), st.just(3)))


def test_a_corpus_without_pictures():
    available = np.array([[True, True, False]] * 20)
    assert same_subsets(available) == {"v": "", "at": WHOLE, "tv": "t", "av": "a"}
    assert distinct_subsets(available) == ["t", "a"]
    assert same_rates(available, RATES) == {0.6: 0.5, 0.7: 0.5}


def test_a_corpus_with_all_channels_keeps_all_conditions():
    available = np.ones((50, 3), bool)
    assert distinct_subsets(available) == list(SUBSETS)
    assert not same_rates(available, RATES)


def test_a_corpus_of_words_alone_has_no_incomplete_views():
    available = np.array([[True, False, False]] * 5)
    assert distinct_subsets(available) == []
    assert same_rates(available, RATES) == dict.fromkeys(RATES, 0.0)


@given(corpora)
def test_what_coincides_shows_the_same_everywhere_and_what_is_kept_does_not(available):
    def shown(letters: str) -> np.ndarray:
        return available & np.array(has_letter(letters))

    same = same_subsets(available)
    for letters, other in same.items():
        assert (shown(letters) == shown(other)).all()
    kept = ["", "".join(LETTERS), *distinct_subsets(available)]
    views = {shown(letters).tobytes() for letters in kept}
    assert len(views) == len(kept) - (not available.any())


@given(corpora)
def test_rates_that_are_left_out_hide_what_another_hides(available):
    reached = {rate: reachable_rate(torch.from_numpy(available), rate) for rate in RATES} | {0.0: 0.0}
    slot = 1 / max(1, available.sum())
    for rate, other in same_rates(available, RATES).items():
        assert abs(reached[rate] - reached[other]) <= 0.01 + slot


@pytest.fixture
def two_channels(tmp_path):
    """A fold of a corpus without pictures, with all masks drawn."""
    dataset = write_dataset(tmp_path / "dataset")
    path = dataset / "features.safetensors"
    tensors = artefacts.load_tensors(path)
    tensors["available"][:] = (1, 1, 0)
    artefacts.save_tensors(path, tensors)
    masks, conflicts = write_protocol(tmp_path)
    return dataset, masks, conflicts


def test_views_and_validation_hold_each_condition_once(two_channels):
    dataset, masks, conflicts = two_channels
    frozen = Frozen.load(dataset, masks, conflicts)
    names = {str(view.condition) for view in families.views(frozen)}
    assert names == {"complete", "fixed/t", "fixed/a", "random/0.2", "random/0.5"}
    left_out = {str(name): same for name, same in families.coinciding(frozen).items()}
    assert left_out == {
        "fixed/v": "nothing at all",
        "fixed/at": "the complete view",
        "fixed/tv": "t",
        "fixed/av": "a",
        "random/0.7": "0.5",
    }
    assert Condition.random(0.7) in families.coinciding(frozen)
    mix = ValidationMix(complete=1, fixed=1, random=1)
    shown = ("text", "audio", "visual")
    validator = Validator(
        Dataset.load(dataset), masks, mix, shown, regression_score="pearson", device=torch.device("cpu")
    )
    assert [one.family for one in validator.judged] == ["complete", "fixed", "fixed", "random", "random"]
