"""Laws of degraded sound: the ratio that is asked for, the same for the same seed, itself without noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.registries.degradations import DEGRADATIONS
from pipeline.degradation import sound
from pipeline.degradation.drawing import generator

KINDS = sorted(sound.KINDS)
ADDED = [kind for kind in KINDS if kind != "clipping"]
SNR = st.floats(-10, 30)


def spoken(samples: int, seed: int) -> np.ndarray:
    """Something like a voice: bursts of harmonics, peaked as speech is."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / 16_000
    pitch = 90 + 160 * rng.random()
    wave = sum(np.sin(2 * np.pi * pitch * n * time + rng.random()) / n for n in range(1, 20))
    loud = np.abs(np.sin(2 * np.pi * 1.7 * time + rng.random())) ** 3
    return (0.1 * loud * wave + 1e-4 * rng.standard_normal(samples)).astype(np.float32)


def changed(kind: str, clean: np.ndarray, level: float, seed: int = 1) -> np.ndarray:
    others = [spoken(5000 + 700 * n, 50 + n) for n in range(8)]
    return sound.degraded(kind, clean, level, generator(seed, "u", kind), others)


def test_every_kind_of_sound_has_its_function():
    wanted = {kind for kind, about in DEGRADATIONS.items() if about.modality == "audio"}
    assert wanted == {*sound.KINDS, sound.DELAYED}


@pytest.mark.parametrize("kind", ADDED)
@settings(max_examples=15)
@given(level=SNR, samples=st.integers(800, 30_000), seed=st.integers(0, 99))
def test_the_ratio_is_the_one_asked_for(kind, level, samples, seed):
    clean = spoken(samples, seed)
    made = changed(kind, clean, level, seed)
    assert made.dtype == np.float32 and made.shape == clean.shape
    # measured as anybody would, of the two sounds alone
    signal = sound.banded(clean) if kind == "telephone" else clean.astype(np.float64)
    ratio = 10 * np.log10(np.sum(signal**2) / np.sum((made - signal) ** 2))
    assert ratio == pytest.approx(level, abs=0.1)
    assert sound.realised(kind, clean, made) == pytest.approx(ratio, abs=1e-6)


@settings(max_examples=15)
@given(level=st.floats(1, 30), seed=st.integers(0, 99))
def test_clipping_distorts_as_asked_and_stays_as_loud(level, seed):
    clean = spoken(8000, seed)
    made = changed("clipping", clean, level)
    assert sound.realised("clipping", clean, made) == pytest.approx(level, abs=0.1)
    assert sound.power(made) == pytest.approx(sound.power(clean), rel=1e-3)
    assert abs(made).max() < abs(clean).max()


def test_what_clipping_cannot_reach_is_the_sign_and_its_level_says_so():
    clean = np.sign(np.sin(np.arange(4000) / 9) + 0.1).astype(np.float32)  # clipped already
    made = changed("clipping", clean, 5.0)
    assert sound.realised("clipping", clean, made) > 100
    assert np.allclose(made, clean)


@pytest.mark.parametrize("kind", KINDS)
def test_no_noise_is_the_identity_bit_for_bit(kind):
    clean = spoken(4000, 3)
    made = changed(kind, clean, float("inf"))
    assert made.tobytes() == clean.tobytes()
    assert sound.realised(kind, clean, made) == float("inf")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_sound_and_the_input_stays(kind):
    clean = spoken(4000, 3)
    before = clean.copy()
    first, second = (changed(kind, clean, 5.0, seed=4) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert clean.tobytes() == before.tobytes()
    if kind != "clipping":
        assert not np.array_equal(first, changed(kind, clean, 5.0, seed=5))


@pytest.mark.parametrize("kind", KINDS)
@given(levels=st.lists(SNR, min_size=2, max_size=2, unique=True).map(sorted))
@settings(max_examples=10)
def test_a_worse_level_is_further_from_the_sound(kind, levels):
    clean = spoken(4000, 7)
    worse, better = (sound.realised(kind, clean, changed(kind, clean, level)) for level in levels)
    assert worse <= better + 1e-3


def test_a_telephone_lets_nothing_through_outside_its_band():
    made = changed("telephone", spoken(16_000, 2), 10.0)
    spectrum, hertz = np.abs(np.fft.rfft(made)) ** 2, np.fft.rfftfreq(16_000, 1 / 16_000)
    assert spectrum[(hertz < 300) | (hertz > 3400)].sum() < 1e-9 * spectrum.sum()


def test_babble_is_made_of_the_voices_given():
    voice = spoken(4000, 1)
    made = sound.degraded("babble", voice, 0.0, generator(0, "u", "babble"), [np.ones(10, np.float32)])
    assert np.allclose(made - voice, np.sqrt(sound.power(voice)), rtol=1e-3)


@given(
    first=st.integers(0, 3000),
    length=st.integers(1, 3000),
    late=st.integers(0, 4000),
)
@settings(max_examples=60)
def test_a_delay_is_an_exact_shift_with_zeros_before_the_file(first, length, late):
    whole = np.arange(1, 8001, dtype=np.float32)
    piece, delay = sound.delayed(whole, first, first + length, late / 16_000)
    assert delay == pytest.approx(late / 16_000, abs=1e-9)
    wanted = [whole[place - late] if place >= late else 0.0 for place in range(first, first + length)]
    assert piece.tolist() == wanted


def test_without_a_delay_it_is_the_sound_itself():
    whole = spoken(4000, 5)
    assert sound.delayed(whole, 100, 900, 0.0)[0].tobytes() == whole[100:900].tobytes()
