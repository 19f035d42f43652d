"""Batches are joined and cut without losing or changing an utterance."""

from dataclasses import fields

import pytest
import torch
from dialogues import make_batch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batch import PADDING, Batch

lengths = st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple)
several = st.lists(st.tuples(lengths, st.integers(0, 9999)), min_size=1, max_size=4)


def tensors(batch: Batch) -> dict[str, torch.Tensor]:
    return dict(batch.features) | {name: getattr(batch, name) for name in PADDING}


def same(one: Batch, other: Batch) -> bool:
    left, right = tensors(one), tensors(other)
    return left.keys() == right.keys() and all(
        left[name].dtype == right[name].dtype
        and torch.equal(left[name].nan_to_num(9), right[name].nan_to_num(9))
        for name in left
    )


def test_no_field_of_a_batch_is_forgotten():
    assert {field.name for field in fields(Batch)} == {"features", *PADDING}


@settings(max_examples=50)
@given(several)
def test_each_batch_is_found_in_the_joined_one(asked):
    parts = [make_batch(shape, seed) for shape, seed in asked]
    joined = Batch.cat(parts)
    assert joined.row.shape == (sum(len(s) for s, _ in asked), max(max(s) for s, _ in asked))
    start = 0
    for part in parts:
        count = part.row.shape[0]
        assert same(joined.take(torch.arange(start, start + count)), part)
        start += count
    for name, fill in PADDING.items():
        padding = getattr(joined, name)[~joined.valid]
        assert padding.isnan().all() if name == "score" else (padding == fill).all(), name


@settings(max_examples=50)
@given(lengths, st.integers(0, 9999), st.data())
def test_taken_dialogues_are_those_asked_for(shape, seed, data):
    batch = make_batch(shape, seed)
    chosen = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, max_size=6))
    taken = batch.take(torch.tensor(chosen))
    assert taken.row.shape == (len(chosen), max(shape[index] for index in chosen))
    for place, index in enumerate(chosen):
        one, alone = taken.take(torch.tensor([place])), batch.take(torch.tensor([index]))
        assert same(one, alone) and one.row[0].tolist() == batch.row[index, : shape[index]].tolist()
    assert same(batch.take(torch.arange(len(shape))), batch)


def test_nothing_to_join_is_refused():
    with pytest.raises(ValueError, match="no batch"):
        Batch.cat([])
