"""Turns are told apart by their voices: laws of the clustering, and synthetic voices by a real network."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from spoken import RATE, say
from transformers import Wav2Vec2FeatureExtractor, WavLMConfig, WavLMForXVector

from pipeline import weights
from pipeline.core.errors import PipelineError
from pipeline.core.registries.speakers import speaker_encoder
from pipeline.encoders import ge2e
from pipeline.settings.encoders import WeightsSettings
from pipeline.speech.speakers import spread, strange_faces, told_apart, voice

BORDER = 0.3


@st.composite
def turns(draw):
    """Vectors of length 1 of several voices, and how long the turns are (s)."""
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    count, people = draw(st.integers(1, 24)), draw(st.integers(1, 4))
    centres = generator.normal(size=(people, 12))
    vectors = centres[generator.integers(0, people, count)] + 0.5 * generator.normal(size=(count, 12))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, generator.uniform(0.3, 6.0, count)


def partition(labels) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(np.array(labels) == own).tolist()) for own in set(labels)}


@given(turns(), st.integers(0, 100), st.one_of(st.none(), st.integers(1, 6)))
def test_names_come_in_order_and_the_order_of_turns_changes_nothing_else(talk, seed, number):
    vectors, seconds = talk
    found = told_apart(vectors, seconds, BORDER, 1.5, number)
    assert found == told_apart(vectors, seconds, BORDER, 1.5, number)
    assert list(dict.fromkeys(found)) == list(range(max(found) + 1))
    if number is not None:
        assert max(found) + 1 <= number
        enough = np.sum(seconds >= 1.5) >= number or number >= len(vectors)
        assert not enough or max(found) + 1 == min(number, len(vectors))
    order = np.random.default_rng(seed).permutation(len(vectors))
    again = told_apart(vectors[order], seconds[order], BORDER, 1.5, number)
    back = np.empty(len(order), int)
    back[order] = again
    assert partition(back.tolist()) == partition(found)


def _slow(vectors: np.ndarray, border: float) -> set[frozenset[int]]:
    """Average linkage, plainly: the two nearest groups become one until none are nearer than the border."""
    groups = [[turn] for turn in range(len(vectors))]
    far = 1 - vectors @ vectors.T
    while len(groups) > 1:
        pairs = [
            (far[np.ix_(a, b)].mean(), i, j) for i, a in enumerate(groups) for j, b in enumerate(groups[:i])
        ]
        nearest, i, j = min(pairs)
        if nearest >= border:
            break
        groups[j] += groups.pop(i)
    return {frozenset(group) for group in groups}


@given(turns())
def test_clusters_are_those_of_the_plain_rule(talk):
    vectors, seconds = talk
    assert partition(told_apart(vectors, seconds, BORDER, 0.0)) == _slow(vectors, BORDER)


@given(turns())
def test_a_short_turn_makes_no_speaker_and_goes_to_the_nearest(talk):
    vectors, seconds = talk
    found, long = np.array(told_apart(vectors, seconds, BORDER, 1.5)), seconds >= 1.5
    if not long.any():
        return
    assert set(found[~long]) <= set(found[long])
    assert partition(found[long].tolist()) == _slow(vectors[long], BORDER)
    for turn in np.flatnonzero(~long):
        means = {own: vectors[long & (found == own)].mean(0) for own in set(found)}
        near = {own: vectors[turn] @ mean / np.linalg.norm(mean) for own, mean in means.items()}
        assert near[found[turn]] == pytest.approx(max(near.values()))


def test_one_turn_is_one_speaker_and_none_is_none():
    one = np.ones((1, 4)) / 2
    for number in (None, 1, 3):
        assert told_apart(one, np.array([0.2]), BORDER, 1.5, number) == [0]
    assert told_apart(np.zeros((0, 4)), np.zeros(0), BORDER, 1.5) == []


def test_how_far_voices_lie_apart_is_the_mean_over_pairs():
    generator = np.random.default_rng(3)
    vectors = generator.normal(size=(9, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    own = np.array([0, 1, 0, 1, 2, 0, 1, 1, 0])
    far = 1 - vectors @ vectors.T
    pairs = [(a, b) for a in range(9) for b in range(a)]
    within = [np.mean([far[a, b] for a, b in pairs if own[a] == own[b] == n]) for n in (0, 1)]
    between = [far[np.ix_(own == a, own == b)].mean() for a, b in ((0, 1), (0, 2), (1, 2))]
    assert spread(vectors, own.tolist()) == pytest.approx((max(within), min(between)))
    assert spread(vectors[:1], [0]) == (None, None) and spread(vectors[:0], []) == (None, None)


def faces_of(people: list[int], noise: float = 0.05) -> np.ndarray:
    generator = np.random.default_rng(0)
    return 3 * (np.eye(4)[people] + noise * generator.normal(size=(len(people), 4)))


def test_a_face_that_is_usually_another_voices_is_marked():
    speakers = [0, 1, 0, 1, 0, 1, 0, 1, None]
    seen = np.ones(9, bool)
    right = faces_of([0, 1, 0, 1, 0, 1, 0, 1, 1])
    assert not strange_faces(right, seen, speakers, 0.1).any()
    # the third turn of the first voice shows the listener
    swapped = faces_of([0, 1, 0, 1, 1, 1, 0, 1, 1])
    assert np.flatnonzero(strange_faces(swapped, seen, speakers, 0.1)).tolist() == [4]
    # an unseen face is not compared, and names of speakers do not matter
    unseen = seen & (np.arange(9) != 4)
    assert not strange_faces(swapped, unseen, speakers, 0.1).any()
    renamed = [None if own is None else 1 - own for own in speakers]
    assert (
        strange_faces(swapped, seen, renamed, 0.1).tolist()
        == strange_faces(swapped, seen, speakers, 0.1).tolist()
    )
    # where faces of all voices are alike nothing is marked, nor where a voice has no other face
    assert not strange_faces(faces_of([0] * 9), seen, speakers, 0.1).any()
    assert not strange_faces(swapped[:4], seen[:4], speakers[:4], 0.1).any()


# what the synthesiser says in the voices below; the border was set on other voices (real readers')
SENTENCES = (
    "The children walked to the river in the morning.",
    "My sister will visit us next summer.",
    "He has never been to the mountains before.",
    "They bought bread, milk and a bag of apples.",
)
TALKS = {
    "one": ("en-us",),
    "one woman": ("en-us+f4",),
    "two": ("en-us", "en-us+Annie"),
    "three": ("en-us+Denis", "en-us+Andrea", "en-us+klatt3"),
}


@pytest.fixture(scope="module")
def encoder(voices):
    return speaker_encoder(voices).load(voices, torch.device("cpu"))


@pytest.fixture(scope="module")
def said():
    """The sentences in every voice."""
    return {name: [say(text, name) for text in SENTENCES] for names in TALKS.values() for name in names}


def noisy(wave: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """With white noise 20 dB below."""
    noise = generator.normal(size=len(wave)).astype(np.float32)
    return wave + noise * np.float32(0.1 * np.sqrt(np.mean(wave**2)))


@pytest.mark.slow
@pytest.mark.parametrize("noise", [False, True], ids=["clear", "noise at 20 dB"])
@pytest.mark.parametrize("talk", TALKS)
def test_voices_in_turn_are_told_apart_with_a_margin(encoder, said, talk, noise):
    names, generator = TALKS[talk], np.random.default_rng(0)
    true = [place % len(names) for place in range(len(names) * len(SENTENCES))]
    sounds = [said[names[own]][place // len(names)] for place, own in enumerate(true)]
    sounds = [noisy(sound, generator) for sound in sounds] if noise else sounds
    vectors = np.stack([voice(encoder, sound) for sound in sounds])
    seconds = np.array([len(sound) / RATE for sound in sounds])
    assert told_apart(vectors, seconds, ge2e.DISTANCE, 1.5) == true
    within, between = spread(vectors, true)
    assert within < ge2e.DISTANCE - 0.1
    assert between is None or between > ge2e.DISTANCE + 0.04
    # a number that is given is kept to
    assert told_apart(vectors, seconds, ge2e.DISTANCE, 1.5, len(names)) == true


@pytest.mark.slow
def test_a_vector_is_of_the_voice_and_neither_of_its_level_nor_of_its_length(encoder, said):
    sound = said["en-us"][0]
    whole = voice(encoder, sound)
    assert whole.dtype == np.float32 and np.linalg.norm(whole) == pytest.approx(1)
    assert voice(encoder, 0.1 * sound) == pytest.approx(whole, abs=1e-4)
    # what is short, too, and what is heard in several windows
    long = np.tile(sound, round(45 * RATE / len(sound)))
    other = voice(encoder, said["en-us+Annie"][0])
    for heard in (sound[: RATE // 2], long):
        vector = voice(encoder, heard)
        assert vector @ whole > vector @ other + 0.1


@pytest.mark.slow
def test_vectors_are_those_of_the_package(encoder):
    """Against numbers that resemblyzer 0.1.4 gave for a buzz, its voice activity left out."""
    times = np.arange(26_000) / RATE
    wave = np.sign(np.sin(2 * np.pi * 120 * times)) * (1 + 0.5 * np.sin(2 * np.pi * 3 * times))
    found = encoder.encode((0.1 * wave).astype(np.float32))
    largest = np.argsort(-found)[:6]
    assert largest.tolist() == [242, 199, 71, 156, 15, 224]
    assert found[largest] == pytest.approx([0.2118, 0.176, 0.17508, 0.1624, 0.15922, 0.15296], abs=1e-4)


def tiny(folder):
    """A network for speaker verification, as small as it can be, with random weights."""
    torch.manual_seed(0)
    config = WavLMConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8, 8),
        conv_kernel=(10, 8, 4),
        conv_stride=(5, 8, 8),
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        tdnn_dim=(8, 8, 8, 8, 8),
        xvector_output_dim=12,
    )
    WavLMForXVector(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)


def test_a_network_for_x_vectors_is_converted_and_gives_its_embeddings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = weights.Params(weights=WeightsSettings(name="some/sv", revision="0" * 40), kind="speakers")
    placed = weights.by_hand(params.weights)
    tiny(placed)
    weights.run(params, folder=tmp_path / "speakers")
    encoder = speaker_encoder(tmp_path / "speakers").load(tmp_path / "speakers", torch.device("cpu"))
    sound = 0.1 * np.random.default_rng(0).normal(size=2 * RATE).astype(np.float32)
    model = WavLMForXVector.from_pretrained(placed).eval()
    with torch.no_grad():
        true = model(torch.from_numpy(sound[None])).embeddings[0].numpy()
    assert encoder.encode(sound) == pytest.approx(true / np.linalg.norm(true), abs=1e-5)
    assert np.isfinite(encoder.encode(sound[:400])).all()
    (placed / "preprocessor_config.json").unlink()
    Wav2Vec2FeatureExtractor(sampling_rate=8000).save_pretrained(placed)
    with pytest.raises(PipelineError, match="reads input_values at 8000 Hz"):
        weights.run(params, folder=tmp_path / "other")


RESEMBLYZER = WeightsSettings(name=weights.RESEMBLYZER, revision="v0.1.4", files={})


def placed_state(state: object) -> None:
    """Lay a file of torch where the weights of Resemblyzer are looked for."""
    place = weights.by_hand(RESEMBLYZER)
    place.mkdir(parents=True, exist_ok=True)
    torch.save(state, place / "pretrained.pt")


@pytest.mark.fault("weights", "a file that is not Resemblyzer's encoder of voices", "names what does not fit")
def test_other_weights_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = weights.Params(weights=RESEMBLYZER, kind="speakers")
    state = ge2e.Network().state_dict()
    spoilt = {**state, "linear.bias": torch.full_like(state["linear.bias"], torch.nan)}
    for other, said in (
        ({"model_state": {"lstm.other": torch.zeros(2)}}, "Missing key"),
        ([1, 2], "cannot be read as weights"),
        ({"model_state": spoilt}, "linear.bias holds numbers that are not finite"),
    ):
        placed_state(other)
        with pytest.raises(PipelineError, match=said):
            weights.run(params, folder=tmp_path / "speakers")
        assert not (tmp_path / "speakers").exists()
    placed_state({"model_state": state})
    pinned = weights.Params(
        weights=RESEMBLYZER.model_copy(update={"files": {"pretrained.pt": "0" * 64}}), kind="speakers"
    )
    with pytest.raises(PipelineError, match="the config pins"):
        weights.run(pinned, folder=tmp_path / "speakers")
    weights.run(params, folder=tmp_path / "speakers")
    speaker_encoder(tmp_path / "speakers").load(tmp_path / "speakers", torch.device("cpu"))


@pytest.mark.fault("weights", "a wheel without the weights of voices, or half a wheel", "names the wheel")
def test_a_wheel_that_is_none_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wheel = weights.by_hand(RESEMBLYZER) / "Resemblyzer-0.1.4-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    wheel.write_bytes(b"PK half")
    with pytest.raises(PipelineError, match=r"0\.1\.4-py3-none-any\.whl: pretrained\.pt cannot be read"):
        weights.run(weights.Params(weights=RESEMBLYZER, kind="speakers"), folder=tmp_path / "speakers")


@pytest.mark.fault("weights", "a folder that is no encoder of voices", "says which stage writes it")
def test_a_folder_without_an_encoder_is_refused(tmp_path):
    with pytest.raises(PipelineError, match=r"no config\.json, so this is no encoder of voices"):
        speaker_encoder(tmp_path)


@pytest.mark.fault("weights", "no encoder of voices placed, and no network", "names file, place and command")
def test_without_network_the_message_says_which_command_places_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(PipelineError) as caught:
        weights.run(weights.Params(weights=RESEMBLYZER, kind="speakers"), folder=tmp_path / "speakers")
    said, place = str(caught.value), weights.by_hand(RESEMBLYZER)
    assert f"pip download --no-deps --dest {place} Resemblyzer==0.1.4" in said
    assert "pretrained.pt" in said and "\n" not in said
