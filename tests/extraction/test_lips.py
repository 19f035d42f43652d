"""Lips in step with the voice: the mouth that darkens with it, whatever head and light do."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.encoders.alignment import CANONICAL
from pipeline.extraction import choosing, lips
from pipeline.extraction.detection import Face
from pipeline.extraction.people import Person, apart
from pipeline.extraction.tracking import Track
from pipeline.settings.faces import FacesSettings

RATE, SECONDS = 15, 4.0
TIMES = (np.arange(round(RATE * SECONDS)) + 0.5) / RATE


def voice(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A voice with syllables (16 kHz), and its loudness at the pictures."""
    generator = np.random.default_rng([seed, 1])
    knots = generator.uniform(0, 1, round(SECONDS * 5) + 2)
    fine = np.arange(round(SECONDS * 16_000)) / 16_000
    loud = np.interp(fine, np.arange(len(knots)) / 5, knots)
    sound = (0.1 * generator.standard_normal(len(fine)) * loud).astype(np.float32)
    return sound, np.interp(TIMES, fine, loud)


def track(seed: int, opened: np.ndarray, number: int = 0) -> Track:
    """A mouth that is open by `opened` (0 ... 1) in a face that shakes by some pixels, in changing light."""
    generator = np.random.default_rng([seed, number, 2])
    base = cv2.GaussianBlur(generator.uniform(40, 220, (50, 44)).astype(np.float32), (0, 0), 1.5)
    patches = []
    for place, own in enumerate(opened):
        face = base.copy()
        face[30:40, 16:28] *= 1 - 0.7 * own
        shift = np.array([[1, 0, -8.0], [0, 1, -8.0]]) + np.c_[np.zeros((2, 2)), generator.normal(0, 0.8, 2)]
        seen = cv2.warpAffine(face, shift, (28, 34))
        light = 1 + 0.2 * np.sin(place / 4 + seed) + generator.normal(0, 0.02)
        patches.append(np.clip(seen * light + generator.normal(0, 2, seen.shape), 0, 255).astype(np.uint8))
    made = Track(number, patch_times=TIMES[: len(opened)].tolist(), patches=patches)
    box = np.array([20.0 + 100 * number, 20, 60 + 100 * number, 70])
    made.times = TIMES[: len(opened) : 5].tolist()
    made.faces = [Face(box, 0.99, CANONICAL * 40)] * len(made.times)
    return made


@pytest.mark.parametrize("seed", range(6))
def test_who_speaks_is_told_from_who_moves_a_mouth(seed):
    sound, loud = voice(seed)
    speaker = track(seed, loud, 0)
    chewer = track(seed, voice(seed + 50)[1], 1)
    smiler = track(seed, 0.5 + 0.5 * np.sin(TIMES), 2)
    scores = [lips.lip_score(own, sound, 0.0, SECONDS) for own in (speaker, chewer, smiler)]
    assert scores[0] > max(0.5, *scores[1:])
    assert lips.lip_score(speaker, voice(seed + 80)[0], 0.0, SECONDS) < scores[0]
    options = FacesSettings(choice="lips_in_step")
    chosen, score = choosing.choose(
        apart([smiler, chewer, speaker]), sound, 0.0, SECONDS, options, lips.LipJudge()
    )
    assert chosen == Person((speaker,)) and score == scores[0]


def test_few_who_chew_are_in_step_by_chance():
    passed = [
        lips.lip_score(track(seed, voice(seed + 50)[1]), voice(seed)[0], 0.0, SECONDS) > 0
        for seed in range(12)
    ]
    assert sum(passed) <= 4


@pytest.mark.parametrize("late", [-1, 1])
def test_lips_may_be_a_picture_early_or_late(late):
    sound, loud = voice(3)
    assert lips.lip_score(track(3, np.roll(loud, late)), sound, 0.0, SECONDS) > 0.5
    assert lips.lip_score(track(3, np.roll(loud, 5 * late)), sound, 0.0, SECONDS) < 0.5


@settings(max_examples=15)
@given(st.integers(0, 99), st.integers(0, 60))
def test_the_score_is_bounded_and_a_moment_is_no_evidence(seed, count):
    sound, loud = voice(seed)
    score = lips.lip_score(track(seed, loud[:count]), sound, 0.0, SECONDS)
    assert -2 <= score <= 2
    assert count >= 10 or score == 0


@pytest.mark.parametrize("dimmed", [0.4, 0.7])
def test_a_darker_film_says_the_same(dimmed):
    sound, loud = voice(7)
    own = track(7, loud)
    score = lips.lip_score(own, sound, 0.0, SECONDS)
    own.patches = [(dimmed * patch).astype(np.uint8) for patch in own.patches]
    assert lips.lip_score(own, sound, 0.0, SECONDS) == pytest.approx(score, abs=0.3)


def test_a_shaking_face_is_steadied():
    still = np.stack(track(1, np.zeros(20)).patches)
    held, shifts = lips.steadied(still)
    assert np.abs(shifts).max() <= lips.MOST_SHIFT and np.std(shifts) > 0.3
    # the light changes, so faces are compared without their means
    spread = [
        np.std([cv2.Laplacian(own.astype(np.float32), -1)[4:-4, 4:-4] for own in many], 0).mean()
        for many in (still, held)
    ]
    assert spread[1] < 0.8 * spread[0]


@settings(max_examples=25)
@given(st.integers(0, 999), st.integers(1, 5))
def test_what_is_left_is_what_least_squares_leave(seed, count):
    generator = np.random.default_rng(seed)
    series, causes = generator.normal(size=30), generator.normal(size=(30, count))
    plain = np.column_stack([causes, np.ones(30)])
    expected = series - plain @ np.linalg.lstsq(plain, series, rcond=None)[0]
    assert lips.without(series, causes) == pytest.approx(expected, abs=1e-9)


def test_a_series_in_step_is_found_at_its_place():
    series = np.random.default_rng(0).normal(size=50)
    assert lips.in_step(np.roll(series, 2), series, 2) == pytest.approx(1, abs=1e-9)
    assert lips.in_step(np.roll(series, 2), series, 1) < 0.6
    assert lips.in_step(series, np.zeros(50), 1) == 0
