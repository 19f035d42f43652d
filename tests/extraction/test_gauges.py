"""What is measured of how reliable features look: known answers, and that degrading moves it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.registries.gauges import GAUGES
from pipeline.degradation import picture
from pipeline.degradation import sound as degradation
from pipeline.extraction import gauges

AUDIO = {name: place for place, name in enumerate(GAUGES["audio"])}
VISUAL = {name: place - 2 for place, name in enumerate(GAUGES["visual"])}


def speech(seed=0, seconds=2.0):
    """Bursts of a harmonic voice with pauses between them."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * 16_000)) / 16_000
    voice = sum(np.sin(2 * np.pi * 140 * n * time) / n for n in range(1, 40))
    loud = (np.sin(2 * np.pi * 2 * time) > 0) + 0.001
    return (0.1 * voice * loud + 1e-4 * rng.standard_normal(len(time))).astype(np.float32)


def faces(seed=0, count=2, side=160):
    """Smooth shapes with fine detail on them."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(40, 180, side)[None, :, None] + np.linspace(0, 40, side)[:, None, None]
    fine = rng.integers(-20, 20, (count, side, side, 1))
    return np.clip(ramp[None] + fine, 0, 255).astype(np.uint8).repeat(3, axis=-1)


def test_known_answers_of_sound():
    time = np.arange(16_000) / 16_000
    tone = np.sin(2 * np.pi * 1000 * time).astype(np.float32)
    white = np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    told, noisy = gauges.of_sound(tone), gauges.of_sound(white)
    assert told[AUDIO["level"]] == pytest.approx(-3.01, abs=0.01)  # of a sine
    assert told[AUDIO["crest"]] == pytest.approx(3.01, abs=0.01)
    assert told[AUDIO["range"]] == pytest.approx(0, abs=0.1)
    assert told[AUDIO["treble"]] < -60 and told[AUDIO["flatness"]] < -20
    # a periodogram of white noise is exponential: the mean of its logarithm lies Euler's constant lower
    assert noisy[AUDIO["flatness"]] == pytest.approx(-10 * np.euler_gamma / np.log(10), abs=0.2)
    assert noisy[AUDIO["treble"]] == pytest.approx(10 * np.log10((8 - 3.6) / 8), abs=0.2)


def test_silence_and_scraps_are_told_apart():
    nothing = gauges.of_sound(np.zeros(16_000, np.float32))
    assert nothing[AUDIO["level"]] == pytest.approx(-100) and np.isnan(nothing[AUDIO["flatness"]])
    assert np.isnan(gauges.of_sound(np.zeros(100, np.float32))).all()
    assert np.isnan(gauges.of_crops(np.zeros((0, 8, 8, 3), np.uint8))).all()


@pytest.mark.parametrize(
    ("kind", "gauge", "sign"),
    [("noise", "range", -1), ("tones", "range", -1), ("clipping", "crest", -1), ("telephone", "treble", -1)],
)
def test_a_degraded_sound_looks_so(kind, gauge, sign):
    """And the more, the worse its level (a telephone's band is the same at each)."""
    clean = speech()
    told = [gauges.of_sound(clean)[AUDIO[gauge]]]
    for level in (20.0, 0.0):
        changed = degradation.degraded(kind, clean, level, np.random.default_rng(1))
        told.append(gauges.of_sound(changed)[AUDIO[gauge]])
    steps = np.diff(told[:2] if kind == "telephone" else told)
    assert (np.sign(steps) == sign).all() and abs(told[-1] - told[0]) > 2


@settings(max_examples=20, deadline=None)
@given(gain=st.floats(0.3, 10), seed=st.integers(0, 100))
def test_a_gain_changes_the_level_alone(gain, seed):
    rng = np.random.default_rng(seed)
    clean = speech(seed, 0.5) + 0.003 * rng.standard_normal(8000).astype(np.float32)
    one, two = gauges.of_sound(clean), gauges.of_sound((clean * gain).astype(np.float32))
    assert two[AUDIO["level"]] - one[AUDIO["level"]] == pytest.approx(20 * np.log10(gain), abs=0.01)
    for name in ("range", "crest", "treble"):
        assert one[AUDIO[name]] == pytest.approx(two[AUDIO[name]], abs=0.2)


@pytest.mark.parametrize(
    ("kind", "gauge", "sign"),
    [
        ("blur", "sharpness", -1),
        ("darkness", "brightness", -1),
        ("low_resolution", "sharpness", -1),
        ("jpeg", "blocks", 1),
        ("mouth", "flat", 1),
        ("eyes", "flat", 1),
    ],
)
def test_degraded_crops_look_so(kind, gauge, sign):
    clean = faces()
    told = [gauges.of_crops(clean)[VISUAL[gauge]]]
    for strength in (1, 3):
        changed = picture.degraded(kind, clean, strength, np.random.default_rng(1))
        told.append(gauges.of_crops(changed)[VISUAL[gauge]])
    assert np.sign(told[2] - told[0]) == sign and np.sign(told[2] - told[1]) == sign


def test_what_was_known_before_stands_first():
    told = gauges.of_faces([0.9, 0.7], 0.25, faces())
    assert told[:2] == pytest.approx([0.8, 0.25]) and np.array_equal(told[2:], gauges.of_crops(faces()))
    assert np.isnan(gauges.of_faces([1.0], None, faces())[1])


def test_pairs_of_words_are_known_from_other_dialogues():
    texts = [("a", "I am here."), ("a", "I am late"), ("b", "You are here"), ("c", "")]
    pairs = gauges.Pairs(texts)
    # (^ I) (I am) (am here) (here $): of another dialogue there is the last alone
    told = gauges.of_text("a", "I am here.", pairs)
    assert told == pytest.approx([np.log(4), 1 / 4, np.nan], nan_ok=True)
    assert gauges.of_text("a", "I am here.", pairs, 0.7)[2] == 0.7
    assert pairs.known("b", "I am here") == pytest.approx(3 / 4 + 1 / 4)
    assert pairs.known("a", "here am I") == 0
