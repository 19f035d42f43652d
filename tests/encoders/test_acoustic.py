"""Sound without weights: known tones, laws of level and order, and functionals by a slow plain version."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from films import write
from fixture_model import RATE, babble, write_model, write_talk

from pipeline import audio, weights
from pipeline.annotation import cutting, perception
from pipeline.annotation.exported import load
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.core.registries import encoders
from pipeline.encoders import acoustic
from pipeline.settings.annotate import SpeechSettings
from pipeline.settings.encoders import AudioSettings, WeightsSettings
from pipeline.settings.media import MediaSettings
from pipeline.settings.recognition import SentenceSettings

CPU = torch.device("cpu")
NAME = {"name": "librosa/acoustic", "revision": "v1"}
COLUMN = {name.split(" (")[0]: place for place, name in enumerate(acoustic.FRAMES)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("acoustic") / "audio"
    weights.run(weights.Params(weights=WeightsSettings(**NAME)), folder=target)
    return target


def encoder(folder: Path, **settings) -> acoustic.AcousticEncoder:
    return encoders.encoder("audio", folder).load(folder, AudioSettings(**settings), CPU)


def voice(hertz: np.ndarray, loud: float = 0.1) -> np.ndarray:
    """Ten harmonics of a pitch (Hz) given at every sample."""
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    return (loud * sum(np.sin(k * phase) / k for k in range(1, 11))).astype(np.float32)


def noise(seconds: float) -> np.ndarray:
    return (0.05 * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32)


def test_pitch_is_that_of_a_gliding_voice():
    times = np.arange(2 * RATE) / RATE
    found = acoustic.frames(voice(110 * 2**times))
    at = np.arange(len(found)) * acoustic.STEP
    inside = (at > 0.1) & (at < 1.9)
    expected = 12 * np.log2(110 * 2**at / acoustic.LOWEST)
    assert found[inside, COLUMN["pitch"]] == pytest.approx(expected[inside], abs=0.35)
    assert found[inside, COLUMN["voiced"]].all()
    summed = acoustic.functionals(found[inside])
    slope = acoustic.FUNCTIONALS.index("slope") * len(acoustic.FRAMES) + COLUMN["pitch"]
    assert summed[slope] == pytest.approx(12, abs=0.2)  # an octave a second


def test_noise_is_no_voice_and_flat():
    found, sung = acoustic.frames(noise(1)), acoustic.frames(voice(np.full(RATE, 200.0)))
    assert found[:, COLUMN["voiced"]].mean() < 0.1
    assert (found[~found[:, COLUMN["voiced"]].astype(bool), COLUMN["pitch"]] == 0).all()
    flatness = COLUMN["spectral flatness"]
    assert found[5:-5, flatness].min() > sung[5:-5, flatness].max() + 10


def test_a_tone_has_its_level_and_its_centroid():
    tone = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)).astype(np.float32)
    found = acoustic.frames(tone)[5:-5]
    assert found[:, COLUMN["spectral centroid"]] == pytest.approx(1.0, abs=0.02)
    assert found[:, COLUMN["zero crossings"]] == pytest.approx(1000 * 2 / RATE, abs=0.01)
    # the window's mean square is 3/8, that of the tone half the square of its height
    assert found[:, COLUMN["level"]] == pytest.approx(
        20 * np.log10(0.5 / np.sqrt(2) * np.sqrt(3 / 8)), abs=0.2
    )


def test_twice_as_loud_is_six_decibels_and_otherwise_the_same():
    sound = babble(2, [(0.2, 1.8)]) * 0.3
    once, twice = acoustic.frames(sound), acoustic.frames(2 * sound)
    level = COLUMN["level"]
    assert twice[:, level] - once[:, level] == pytest.approx(6.02, abs=0.01)
    same = [COLUMN[name] for name in ("pitch", "voiced", "spectral centroid", "85 % roll-off")]
    assert twice[:, same] == pytest.approx(once[:, same], abs=1e-3)


def plain(frames: np.ndarray) -> list[float]:
    """The functionals by loops."""
    values = []
    for functional in range(6):
        for column in range(frames.shape[1]):
            rows = [k for k in range(len(frames)) if column != acoustic.PITCH or frames[k, acoustic.VOICED]]
            own, times = [float(frames[k, column]) for k in rows], [k * acoustic.STEP for k in rows]
            if not own:
                values.append(0.0)
            elif functional == 4:
                values.append(float(np.polyfit(times, own, 1)[0]) if len(own) > 1 else 0.0)
            elif functional == 5:
                steps = [abs(b - a) for a, b in pairwise(own)]
                values.append(sum(steps) / len(steps) if steps else 0.0)
            else:
                values.append(
                    [np.mean(own), np.std(own), np.percentile(own, 10), np.percentile(own, 90)][functional]
                )
    voiced = "".join(str(int(value)) for value in frames[:, acoustic.VOICED])
    stretches = [piece for piece in voiced.split("0") if piece]
    lengths = [len(piece) * acoustic.STEP for piece in stretches]
    return [*values, len(stretches) / (len(frames) * acoustic.STEP), sum(lengths) / max(1, len(lengths))]


@pytest.mark.parametrize("shown", ["0011101", "000", "1", "0", "1111"])
def test_functionals_are_those_of_a_plain_version(shown):
    voiced = np.array([float(mark) for mark in shown])
    frames = np.random.default_rng(0).standard_normal((len(shown), len(acoustic.FRAMES)))
    frames[:, acoustic.VOICED] = voiced
    frames[:, acoustic.PITCH] *= voiced
    assert acoustic.functionals(frames) == pytest.approx(np.array(plain(frames)), abs=1e-5)


def test_sounds_together_are_as_alone_and_long_ones_are_cut(folder):
    sounds = [voice(np.full(RATE // 2, 150.0)), noise(2.5), np.zeros(acoustic.WINDOW, np.float32)]
    own = encoder(folder, window=1)
    together = own.encode(sounds)
    for sound, found in zip(sounds, together, strict=True):
        assert np.isfinite(found).all() and np.array_equal(own.encode([sound])[0], found)
        assert np.isfinite(own.pooled(found)).all() and own.pooled(found).shape == (own.dimension,)
    third = len(sounds[1]) // 3
    assert np.array_equal(together[1][: third // acoustic.HOP + 1], acoustic.frames(sounds[1][:third]))


def test_the_stage_stores_frames_and_their_functionals(tmp_path, folder):
    clip = write(tmp_path / "clip.mp4", sound=np.repeat(babble(3, [(0.2, 1.4), (1.8, 2.8)]), 3))
    spans = [(0.0, 1.5), (1.5, 3.0), (5.0, 6.0)]
    rows = [
        {"utterance": str(k), "media": str(clip), "start": low, "end": high, "withheld": None}
        for k, (low, high) in enumerate(spans)
    ]
    artefacts.save_table(tmp_path / "s.parquet", pl.DataFrame(rows, schema_overrides={"withheld": pl.String}))
    out = {"features": tmp_path / "f.safetensors", "index": tmp_path / "f.parquet"}
    params = audio.Params(encoder=AudioSettings(frames=True), device="cpu")
    audio.run(params, shard=tmp_path / "s.parquet", encoder=folder, **out)
    arrays, index = artefacts.load_tensors(out["features"]), artefacts.load_table(out["index"])
    assert index["reason"].to_list() == [None, None, "out_of_range"]
    assert arrays["frames"].shape == (arrays["offsets"][-1], len(acoustic.FRAMES))
    for k in range(2):
        own = arrays["frames"][arrays["offsets"][k] : arrays["offsets"][k + 1]]
        assert np.array_equal(arrays["pooled"][k], acoustic.functionals(own))
    assert not arrays["pooled"][2].any()


def test_a_model_of_it_annotates(tmp_path, folder):
    width = acoustic.AcousticEncoder.dimension
    model = load(write_model(tmp_path / "model", shown=["audio"], sound=(folder, width)))
    video = cutting.open_video(write_talk(tmp_path / "talk.mp4"), tmp_path / "sound", MediaSettings())
    told = cutting.Cutting(None, None, SpeechSettings(), SentenceSettings())
    seen = perception.perceive(model, video, told, CPU, 1)
    assert seen.available.tolist() == [[False, True, False]] * 2
    start, end = (round(seen.rows[1][key] * RATE) for key in ("start", "end"))
    own = acoustic.functionals(acoustic.frames(video.sound[start:end]))
    assert np.array_equal(seen.features["audio"][1], own)


@pytest.mark.fault(
    "weights",
    "a revision or a pinned file for the encoder that has no weights",
    "the stage weights stops, saying how to lift the pin",
)
@pytest.mark.parametrize("wrong", [{"revision": "v2"}, {"files": {"pytorch_model.bin": "0" * 64}}])
def test_what_has_no_weights_has_no_pins(tmp_path, wrong):
    params = weights.Params(weights=WeightsSettings(**NAME | wrong))
    with pytest.raises(PipelineError, match="this encoder has no weights"):
        weights.run(params, folder=tmp_path / "audio")
    assert not (tmp_path / "audio").exists()


@pytest.mark.fault("config", "layers of the encoder of sound that has none", "the load stops, naming the key")
def test_it_has_no_layers(folder):
    with pytest.raises(PipelineError, match=r"encoders\.audio\.layers: .* has no layers"):
        encoder(folder, layers=[3])
