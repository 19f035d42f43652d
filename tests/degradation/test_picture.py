"""Laws of degraded crops: nothing at strength 0, worse with each strength, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.core.registries.degradations import DEGRADATIONS
from pipeline.degradation import picture
from pipeline.degradation.drawing import generator
from pipeline.encoders.alignment import CANONICAL

KINDS = sorted(picture.KINDS)
CROPS = st.integers(16, 64).flatmap(
    lambda side: st.integers(1, 3).flatmap(lambda count: arrays(np.uint8, (count, side, side, 3)))
)


def changed(kind: str, crops: np.ndarray, strength: int, seed: int = 1) -> np.ndarray:
    return picture.degraded(kind, crops, strength, generator(seed, "u", kind))


def face(side: int = 160) -> np.ndarray:
    """Two crops that have detail at every scale."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / side
    smooth = 120 + 80 * np.sin(7 * x) * np.cos(5 * y)
    noisy = smooth[..., None] + 25 * rng.standard_normal((side, side, 3))
    return np.stack([noisy, noisy[:, ::-1]]).clip(0, 255).astype(np.uint8)


def test_every_kind_of_picture_has_its_function():
    assert set(KINDS) == {kind for kind, about in DEGRADATIONS.items() if about.modality == "visual"}


@pytest.mark.parametrize("kind", KINDS)
@given(crops=CROPS, strength=st.integers(1, 3), seed=st.integers(0, 9))
@settings(max_examples=10)
def test_crops_stay_crops_and_the_same_seed_gives_the_same(kind, crops, strength, seed):
    before = crops.copy()
    first, second = (changed(kind, crops, strength, seed) for _ in range(2))
    assert first.dtype == np.uint8 and first.shape == crops.shape
    assert np.array_equal(first, second) and np.array_equal(crops, before)
    assert changed(kind, crops, 0, seed).tobytes() == crops.tobytes()
    # crop by crop: what else there is of the utterance changes nothing
    assert np.array_equal(first[:1], changed(kind, crops[:1], strength, seed))


@pytest.mark.parametrize("kind", KINDS)
def test_each_strength_is_worse_than_the_one_before(kind):
    levels = [picture.realised(kind, face(), changed(kind, face(), strength)) for strength in (0, 1, 2, 3)]
    order = levels if kind in picture.COVERED else levels[::-1]
    assert order == sorted(order) and len(set(levels)) == 4


def test_no_change_has_no_error():
    assert picture.realised("blur", face(), face()) == float("inf")
    assert picture.realised("mouth", face(), face()) == 0


@pytest.mark.parametrize("strength", [1, 2, 3])
def test_what_covers_a_part_covers_it_and_no_other(strength):
    for kind, inside, outside in (("mouth", (3, 4), (0, 1, 2)), ("eyes", (0, 1), (3, 4))):
        differs = (changed(kind, face(), strength) != face()).any(axis=(0, 3))
        for place in inside:
            x, y = (CANONICAL[place] * 160).astype(int)
            near = differs[y - 2 : y + 3, x - 2 : x + 3] if strength > 1 or kind == "eyes" else differs[y, 80]
            assert near.any()
        for place in outside:
            x, y = (CANONICAL[place] * 160).astype(int)
            assert not differs[y, x]
        share = picture.realised(kind, face(), changed(kind, face(), strength))
        half = (picture.MOUTH if kind == "mouth" else picture.EYES)[strength - 1]
        assert share == pytest.approx(4 * half[0] * half[1], abs=0.02)


def test_darkness_and_its_measure_have_known_values():
    grey = np.full((1, 32, 32, 3), 200, np.uint8)
    made = changed("darkness", grey, 1)
    assert (made == 100).all()
    assert picture.realised("darkness", grey, made) == pytest.approx(20 * np.log10(255 / 100))
