"""Speech is found by Silero's network: known voices, what is not speech, long speech, and long sounds."""

from itertools import pairwise

import numpy as np
import pytest
from fixture_model import RATE, babble, voices
from hypothesis import given, settings
from hypothesis import strategies as st
from spoken import chords

from pipeline.settings.annotate import SpeechSettings
from pipeline.speech import activity

SETTINGS = SpeechSettings()
BURSTS = [(0.6, 1.9), (2.6, 4.0), (5.1, 7.0)]


@pytest.mark.parametrize("noise", [1e-4, 0.003, 0.03])
def test_voices_are_found_above_any_noise(noise):
    found = activity.utterances(voices(8, BURSTS, noise), SETTINGS)
    assert np.array(found) == pytest.approx(np.array(BURSTS), abs=0.2)


def test_soft_and_loud_speech_of_one_recording_is_found():
    part = voices(60, [(5, 7), (30, 33)], 1e-3)
    found = activity.utterances(np.concatenate([part * 0.05, part]), SETTINGS)
    assert [round(start) for start, _ in found] == [5, 30, 65, 90]


NOISE = 0.1 * np.random.default_rng(0).standard_normal(20 * RATE)


@pytest.mark.fault("sound", "music or noise without a voice", "no speech is found in it: no_speech")
@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(0),
        np.zeros(RATE),
        0.3 * np.sin(np.arange(5 * RATE) * 0.17),
        NOISE,
        np.repeat(np.random.default_rng(1).uniform(0, 1, 40), RATE // 2) * NOISE,
        babble(8, BURSTS),
        chords(20),
        voices(3, [(1, 2)]) * 1e-4,
    ],
    ids=["nothing", "silence", "tone", "noise", "gusts", "bursts", "music", "far too quiet"],
)
def test_what_is_no_voice_is_no_speech(sound):
    assert activity.utterances(sound.astype(np.float32), SETTINGS) == []


def test_speech_is_found_over_music():
    sound = voices(8, BURSTS)
    sound += 0.5 * sound.std() / chords(8).std() * chords(8)
    found = activity.utterances(sound, SETTINGS)
    assert np.array(found) == pytest.approx(np.array(BURSTS), abs=0.25)


def test_a_long_sound_is_heard_in_pieces_with_the_same_result(monkeypatch):
    sound = voices(40, [(place, place + 1.5) for place in np.arange(1, 38, 2.5)])
    whole = activity.utterances(sound, SETTINGS)
    monkeypatch.setattr(activity, "PIECE", 10.0)
    monkeypatch.setattr(activity, "SEEK", 4.0)
    pieces = activity.utterances(sound, SETTINGS)
    assert len(whole) == 15
    assert np.array(pieces) == pytest.approx(np.array(whole), abs=0.1)


def test_long_speech_is_cut_where_it_is_quietest():
    sound = voices(20, [(0.5, 19.5)])
    sound[round(9.9 * RATE) : round(10.1 * RATE)] *= 0.05
    spans = activity.utterances(sound, SETTINGS)
    assert len(spans) == 2
    assert spans[0][1] == pytest.approx(10.0, abs=0.15)
    assert all(end - start <= SETTINGS.longest + 2 * SETTINGS.padding for start, end in spans)


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.floats(0.1, 3), st.floats(0.05, 2)), max_size=6),
    st.floats(0, 0.6),
    st.floats(0.02, 1),
)
def test_utterances_are_in_order_and_apart(turns, padding, pause):
    bursts, time = [], 0.2
    for length, gap in turns:
        bursts.append((time, time + length))
        time += length + gap
    chosen = SpeechSettings(padding=padding, pause=pause)
    spans = activity.utterances(voices(time + 0.5, bursts), chosen)
    flat = [value for span in spans for value in span]
    assert flat == sorted(flat)
    assert not flat or (flat[0] >= 0 and flat[-1] <= time + 0.5 + 1e-3)


@given(st.floats(0.01, 500), st.floats(0.5, 60))
def test_windows_cover_everything_once(duration, length):
    spans = activity.windows(duration, length)
    assert spans[0][0] == 0 and spans[-1][1] == pytest.approx(duration)
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    assert max(end - start for start, end in spans) <= length + 1e-6
