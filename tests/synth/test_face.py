"""The drawn faces: what is visible, where, and that the same is drawn twice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.synth.emotions import EMOTIONS
from pipeline.synth.face import Person, Pose
from pipeline.synth.face_expression import FULL, KEYS, blend, expression
from pipeline.synth.face_identity import make_identity, stranger

LAMP = (-0.4, -0.5, 0.75)
GREEN = (0, 255, 0)


def draw(person: Person, pose: Pose, face: dict[str, float], back: bool = False) -> np.ndarray:
    picture = np.full((160, 160, 3), GREEN, np.uint8)
    person.paint(picture, pose, face, LAMP, back=back)
    return picture


@pytest.fixture(scope="module")
def person() -> Person:
    return Person(make_identity(0, seed=0), scale=50)


def test_every_emotion_has_an_expression() -> None:
    assert set(FULL) == set(EMOTIONS)
    assert expression("flat", 0.9) == expression("neutral", 0.9)
    assert all(set(face) <= set(KEYS) for face in FULL.values())


@given(st.sampled_from(EMOTIONS), st.sampled_from(EMOTIONS), st.floats(0, 1))
def test_blends_lie_between(first: str, second: str, weight: float) -> None:
    one, two = expression(first), expression(second)
    for key, value in blend(one, two, weight).items():
        assert min(one[key], two[key]) - 1e-9 <= value <= max(one[key], two[key]) + 1e-9


def test_expressions_look_different(person: Person) -> None:
    pictures = [draw(person, Pose(80, 80), expression(emotion)).astype(int) for emotion in EMOTIONS]
    for index, first in enumerate(pictures):
        for second in pictures[:index]:
            assert np.abs(first - second).max() > 60


def test_mouth_and_lids_move(person: Person) -> None:
    calm = expression("neutral")
    shut, open_, blinking = (
        draw(person, Pose(80, 80, mouth=mouth, blink=blink), calm).astype(int)
        for mouth, blink in ((0, 0), (0.6, 0), (0, 0.9))
    )
    assert np.abs(shut - open_)[95:125, 60:100].mean() > 3 * np.abs(shut - open_)[60:85].mean()
    assert np.abs(shut - blinking)[65:85].mean() > 3 * np.abs(shut - blinking)[95:125].mean()


@settings(deadline=None, max_examples=20)
@given(st.floats(-200, 400), st.floats(-200, 400), st.floats(-0.5, 0.5), st.floats(-0.3, 0.3))
def test_a_head_may_leave_the_picture(x: float, y: float, roll: float, yaw: float) -> None:
    person = Person(make_identity(1, seed=0), scale=30)
    picture = draw(person, Pose(x, y, roll=roll, yaw=yaw), expression("joy"))
    if not (-60 < x < 220 and -60 < y < 220):
        assert (picture == GREEN).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 30), st.floats(-0.3, 0.3), st.sampled_from(EMOTIONS))
def test_the_box_holds_the_landmarks_and_the_skin(speaker: int, roll: float, emotion: str) -> None:
    person = Person(make_identity(speaker, seed=0), scale=40)
    pose, face = Pose(80, 78, roll=roll), expression(emotion)
    x0, y0, x1, y1 = person.box(pose, face)
    marks = person.landmarks(pose, face)
    assert (marks > (x0, y0)).all()
    assert (marks < (x1, y1)).all()
    inside = draw(person, pose, face)[int(y0) + 20 : int(y1) - 20, int(x0) + 20 : int(x1) - 20]
    assert not (inside == GREEN).all(-1).any()


def test_landmarks_turn_with_the_head(person: Person) -> None:
    calm = expression("neutral")
    level = person.landmarks(Pose(80, 80), calm) - 80
    turned = person.landmarks(Pose(80, 80, roll=0.3), calm) - 80
    turn = np.array([[np.cos(0.3), np.sin(0.3)], [-np.sin(0.3), np.cos(0.3)]])
    assert np.allclose(turned, level @ turn)


def test_the_back_of_a_head_shows_no_face(person: Person) -> None:
    pose = Pose(80, 80)
    same = [draw(person, pose, expression(emotion), back=True) for emotion in ("joy", "anger")]
    assert np.array_equal(*same)


def test_drawing_repeats(person: Person) -> None:
    pose, face = Pose(80.3, 79.6, roll=0.1, yaw=0.1), expression("fear", 0.7)
    again = Person(make_identity(0, seed=0), scale=50)
    assert np.array_equal(draw(person, pose, face), draw(again, pose, face))


def test_strangers_differ() -> None:
    first, second = (stranger(np.random.default_rng(seed)) for seed in (1, 2))
    assert first != second
    assert first == stranger(np.random.default_rng(1))
