"""An exported model with random weights and very small encoders, and small talks to annotate with it."""

import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import av
import fixture_encoders as encoders
import fixture_trees as trees
import numpy as np
import torch

from models.modalities import MODALITIES
from models.networks import attention
from pipeline.annotation.facts import EMBEDDED_NOTICE, FORMAT, EncoderFacts, ExtractionFacts, ModelFacts
from pipeline.core import artefacts
from pipeline.core.digests import file_digest
from pipeline.settings.encoders import AudioSettings, TextSettings, VisualSettings
from pipeline.settings.faces import FacesSettings
from pipeline.synth.voice import make_voice, speak
from pipeline.training import checkpoint
from pipeline.training.networks import name_of

LABELS = ["calm", "glad", "cross"]
WIDTH = 16  # of all features
RATE, FPS = 16_000, 10
FACE = (100, 24)  # where the square of the face stands in a talk's picture (px)


def write_model(
    folder: Path,
    *,
    regression: bool = False,
    shown: Sequence[str] = MODALITIES,
    notice: str = EMBEDDED_NOTICE,
    sound: tuple[Path, int] | None = None,
) -> Path:
    """A folder as the stage export writes it, without its card.

    sound: the folder and the width of another encoder of sound.
    """
    spare = folder.parent / "hub"
    encoders.place(spare)
    torch.manual_seed(1)
    outputs = 1 if regression else len(LABELS)
    dimensions = dict.fromkeys(MODALITIES, WIDTH)
    sources = {
        name: spare / "weights" / encoders.NAMES[name].replace("/", "--") / encoders.REVISION
        for name in MODALITIES
    }
    if sound is not None:
        sources["audio"], dimensions["audio"] = sound
    network = attention.Network(attention.Shape(dimensions, outputs, hidden=16, heads=2)).eval()
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.2 * torch.randn(value.shape))
    found = {}
    for name in MODALITIES:
        target = folder / "encoders" / name
        shutil.copytree(sources[name], target)
        files = {path.name: file_digest(path) for path in target.iterdir()}
        found[name] = EncoderFacts(source="included", files=files)
    facts = ModelFacts(
        format=FORMAT,
        run="tests",
        corpus="embedded" if notice else "made",
        fold="main",
        variant="corekd",
        seed=0,
        task="regression" if regression else "classification",
        labels=[] if regression else LABELS,
        modalities=list(MODALITIES),
        shown=list(shown),
        network=name_of(network),
        shape=network.shape.as_dict(),
        extraction=ExtractionFacts(
            # the drawn face holds still, so it would not pass for the speaker's
            faces=FacesSettings(speaking=-2),
            text=TextSettings(),
            audio=AudioSettings(),
            visual=VisualSettings(),
        ),
        encoders=found,
        notice=notice,
    )
    generator = np.random.default_rng(0)
    arrays = {
        f"{name}_mean": generator.normal(size=width).astype(np.float32) for name, width in dimensions.items()
    }
    arrays |= {f"{name}_scale": np.ones(width, np.float32) for name, width in dimensions.items()}
    arrays["audio_whitening"] = (np.eye(dimensions["audio"]) * 2 + 0.1).astype(np.float32)
    checkpoint.save_network(folder / "weights.safetensors", network, shown, 1, 0.5)
    artefacts.save_tensors(folder / "normalisation.safetensors", arrays)
    artefacts.save_json(folder / "config.json", facts.model_dump(mode="json"))
    return folder


def babble(seconds: float, bursts: Sequence[tuple[float, float]], noise: float = 0.003) -> np.ndarray:
    """Sound whose level goes up and down like syllables within the bursts: float32 (samples,), 16 kHz."""
    generator = np.random.default_rng(0)
    times = np.arange(round(seconds * RATE)) / RATE
    loud = np.zeros(len(times))
    for start, end in bursts:
        loud[(times >= start) & (times < end)] = 0.3
    loud *= 0.55 + 0.45 * np.sin(2 * np.pi * 4 * times)
    return ((loud + noise) * generator.uniform(-1, 1, len(times))).astype(np.float32)


@cache
def _said(length: int, speaker: int) -> np.ndarray:
    """A drawn voice that speaks for `length` samples."""
    generator, said = np.random.default_rng(speaker), np.zeros(0)
    while len(said) < length:
        text = "many rivers run along a meadow in the morning"
        wave = speak(text, make_voice(speaker, 0), "neutral", 0.5, generator).sound
        heard = np.flatnonzero(np.abs(wave) > 0.01)
        said = np.concatenate([said, wave[heard[0] : heard[-1]]])
    return 2 * said[:length]


def voices(seconds: float, bursts: Sequence[tuple[float, float]], noise: float = 0.003) -> np.ndarray:
    """Drawn voices that speak in the bursts (s), over noise: float32 (samples,), 16 kHz."""
    sound = noise * np.random.default_rng(0).uniform(-1, 1, round(seconds * RATE))
    for number, (start, end) in enumerate(bursts):
        place = round(start * RATE)
        said = _said(round(end * RATE) - place, number)[: max(0, len(sound) - place)]
        sound[place : place + len(said)] += said
    return sound.astype(np.float32)


def write_talk(
    path: Path,
    seconds: float = 4.0,
    *,
    bursts: Sequence[tuple[float, float]] | None = ((0.5, 1.5), (2.2, 3.4)),
    faces: int | None = 1,
    wave: np.ndarray | None = None,
) -> Path:
    """A talk of 320 x 160 px at 10 pictures a second; `bursts` None: no sound, `faces` None: no picture.

    wave: what is heard in place of bursts, float32 (samples,), 16 kHz; it tells the length.
    """
    seconds = seconds if wave is None else len(wave) / RATE
    picture = np.full((160, 320, 3), (90, 110, 100), np.uint8)
    if faces:
        left, top = FACE
        picture[top : top + trees.SIDE, left : left + trees.SIDE] = trees.still(1)
    with av.open(str(path), "w") as file:
        video = audio = None
        if faces is not None:
            video = file.add_stream("mpeg4", rate=FPS)
            video.width, video.height, video.pix_fmt = 320, 160, "yuv420p"
        if bursts is not None:
            audio = file.add_stream("aac", rate=RATE, layout="mono")
        for _ in range(round(seconds * FPS) if video else 0):
            file.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        if video:
            file.mux(video.encode())
        if audio is not None:
            wave = voices(seconds, bursts) if wave is None else wave
            for first in range(0, len(wave), 1024):
                piece = np.ascontiguousarray(wave[None, first : first + 1024])
                frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
                frame.sample_rate, frame.pts = RATE, first
                file.mux(audio.encode(frame))
            file.mux(audio.encode())
    return path
