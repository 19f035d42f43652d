"""Batches that fill a device, and precision: what shares a forward pass changes no feature."""

from pathlib import Path

import fixture_encoders
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from pipeline.core import device
from pipeline.core.errors import PipelineError
from pipeline.core.registries import encoders
from pipeline.encoders import audio
from pipeline.encoders.loading import by_length
from pipeline.settings.encoders import AudioSettings, TextSettings

CPU = torch.device("cpu")
WORDS = ["Words", "of", "an", "utterance"]


def apart(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    """The largest relative distance of two features of an input, of its mean and of its frames."""
    pairs = list(zip(one, other, strict=True))
    assert all(a.shape == b.shape for a, b in pairs)
    pairs += [(a.mean(0), b.mean(0)) for a, b in pairs]
    return max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in pairs)


@pytest.fixture(scope="module", params=["group", "layer"])
def speech(request, tmp_path_factory) -> Path:
    """A small wav2vec 2.0 with one kind of norm."""
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(16, 16),
        conv_stride=(10, 8),
        conv_kernel=(20, 16),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm=request.param,
        do_stable_layer_norm=request.param == "layer",
    )
    folder = tmp_path_factory.mktemp(request.param)
    Wav2Vec2Model(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=request.param == "layer").save_pretrained(folder)
    return folder


def test_sounds_of_unequal_length_share_a_batch_and_keep_their_features(speech):
    generator = np.random.default_rng(0)
    sounds = [
        (3 * generator.standard_normal(count) + 1).astype(np.float32)
        for count in (1600, 5003, 5003, 9001, 16_000, 401)
    ]
    alone = audio.load(speech, AudioSettings(batch=1), CPU)
    expected = [alone.encode([sound])[0] for sound in sounds]
    model = audio.load(speech, AudioSettings(), CPU)
    model.fill(seconds=4.0)
    batches = model.batches([len(sound) for sound in sounds])
    assert len(batches) < len(sounds) and max(map(len, batches)) > 2
    assert apart(model.encode(sounds), expected) < 2e-6


def test_without_the_mask_a_group_norm_would_not_see_where_a_sound_ends(speech):
    """The test above can fail: padding alone moves the features of such an encoder."""
    model = audio.load(speech, AudioSettings(), CPU)
    if model.masked:
        pytest.skip("an encoder with layer norm has a mask anyway")
    generator = np.random.default_rng(0)
    sounds = [generator.standard_normal(count).astype(np.float32) for count in (2000, 16_000)]
    expected = [model.encode([sound])[0] for sound in sounds]
    model.masked = True
    assert apart(model.encode(sounds), expected) > 1e-3


def test_texts_fill_a_budget_of_tokens_and_keep_their_features(tmp_path):
    fixture_encoders.place(tmp_path)
    (folder,) = (tmp_path / "weights").glob("tests--text/*")
    texts = [" ".join(WORDS[(n + k) % 4] for k in range(1 + n % 11)) for n in range(40)]
    load = encoders.encoder("text", folder).load
    alone = load(folder, TextSettings(batch=1), CPU)
    model = load(folder, TextSettings(), CPU)
    model.budget = 100
    lengths = model.lengths(texts)
    batches = model.batches(lengths)
    assert all(len(batch) * max(lengths[place] for place in batch) <= 100 for batch in batches)
    assert apart(model.encode(texts), alone.encode(texts)) < 2e-6


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 200), st.booleans())
def test_batches_hold_every_input_once_and_within_the_budget(lengths, budget, equal):
    batches = by_length(lengths, None, equal, budget=budget)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        own = [lengths[place] for place in batch]
        assert len(batch) == 1 or len(batch) * max(own) <= budget
        assert not equal or len(set(own)) == 1


@pytest.mark.fault(
    "cluster", "a batch does not fit into the GPU's memory", "the stage stops, naming the key to lower"
)
def test_too_little_memory_names_the_key():
    with (
        pytest.raises(PipelineError, match=r"encoders\.audio\.seconds.*Tried to allocate 9 GiB"),
        device.fitting("encoders.audio.seconds"),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB. GPU 0 has 8 GiB.")
