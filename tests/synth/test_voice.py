"""The synthesiser: reading, prosody, repeatability."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.synth.microphone import draw_room, record
from pipeline.synth.phones import DIPHTHONGS, PAUSE, PHONES, phones
from pipeline.synth.voice import PROSODIES, RATE, Voice, make_voice, prosody, speak

VOICE = Voice(fundamental=120.0, tract=1.0)
VOWELS = "are you away, i am a lawyer"
TEXT = "i saw the river under the mountain."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the night", "DH AX N AY T"),
        ("late, see!", "L EY T _ S IY _"),
        ("i can't", "AY K AE N T"),
        ("q", "K"),
        ("", ""),
    ],
)
def test_known_readings(text: str, expected: str) -> None:
    assert phones(text) == expected.split()


@given(st.text(max_size=40))
def test_any_text_has_known_phones(text: str) -> None:
    assert set(phones(text)) <= {*PHONES, *DIPHTHONGS, PAUSE}


@settings(deadline=None, max_examples=15)
@given(st.text(max_size=12), st.sampled_from(sorted(PROSODIES)), st.integers(0, 2**32))
def test_any_text_can_be_spoken(text: str, emotion: str, seed: int) -> None:
    speech = speak(text, VOICE, emotion, 0.8, np.random.default_rng(seed))
    assert speech.sound.dtype == np.float32
    assert np.isfinite(speech.sound).all()
    assert np.abs(speech.sound).max() <= 1


def test_equal_seeds_give_equal_sound_and_others_do_not() -> None:
    first, again, other = (
        speak(TEXT, VOICE, "joy", 0.8, np.random.default_rng(seed)).sound for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first[:1000], other[:1000])


def test_flat_and_zero_intensity_are_neutral() -> None:
    assert prosody("flat", 1.0) == prosody("neutral", 1.0) == prosody("anger", 0.0)


def test_emotions_can_be_heard() -> None:
    """Averages over a few draws: pitch, length, loudness and brightness differ as the table says."""

    def facts(emotion: str) -> np.ndarray:
        values = []
        for seed in range(6):
            speech = speak(VOWELS, VOICE, emotion, 1.0, np.random.default_rng(seed))
            power = np.abs(np.fft.rfft(speech.sound)) ** 2
            bright = power[len(power) // 8 :].sum() / power.sum()
            values.append((np.median(speech.pitch), len(speech.sound) / RATE, speech.sound.std(), bright))
        return np.mean(values, 0)

    neutral, sadness, anger, surprise = map(facts, ("neutral", "sadness", "anger", "surprise"))
    assert surprise[0] > 1.2 * neutral[0] > 1.2 * sadness[0]
    assert anger[1] < neutral[1] < sadness[1]
    assert anger[2] > neutral[2] > sadness[2]
    assert anger[3] > neutral[3]


def test_speakers_keep_their_voice() -> None:
    assert make_voice(3, seed=0) == make_voice(3, seed=0)
    assert make_voice(3, seed=0) != make_voice(5, seed=0)
    assert make_voice(3, seed=0).fundamental > make_voice(2, seed=0).fundamental


def test_noise_follows_the_ratio() -> None:
    silence = np.zeros(RATE, np.float32)
    room = draw_room(np.random.default_rng(0))
    loud, quiet = (record(silence, room, snr, np.random.default_rng(1)).std() for snr in (0.0, 20.0))
    assert loud / quiet == pytest.approx(10, rel=1e-3)
