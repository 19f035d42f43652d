"""Where somebody speaks, by Silero's network and by a rule of energy, beside the truth.

    python benchmarks/speech_activity.py [--sentences 24] [--padding 0]

Needs Debian's espeak-ng. Its voices (six, in five languages) say sentences with pauses of .6 to 2.5 s between
them. Music and noise are laid under them at several levels, measured against the speech while it lasts; they,
and silence, are also heard alone. Drawn voices are those of the embedded corpus behind its own microphone.
Printed are recall (the share of spoken time that is found) and precision (the share of found time in which
somebody speaks); of sound without speech, the seconds found in a minute of it. Every draw has a fixed seed.

The energy rule is what `annotate` had before: the level has to be above a border between the noise floor and
the loud parts of its surroundings, which change by 6 dB at least.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from unittest.mock import patch

import numpy as np
import soundfile
import soxr
from scipy.signal import lfilter

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipeline.settings.annotate import SpeechSettings
from pipeline.settings.process import ProcessSettings
from pipeline.speech import activity
from pipeline.speech.levels import STEP, Span, levels
from pipeline.synth.microphone import draw_room, hiss, record
from pipeline.synth.script import write_dialogue
from pipeline.synth.voice import make_voice, speak

RATE = 16_000
LEVELS = (20, 10, 5, 0)  # dB of the speech above what lies under it
VOICES = {
    "en-us": "The children walked to the river in the morning. | I really do not know what you want from me!",
    "en-gb+f3": "My sister will visit us next summer. | Why did you never tell me about it?",
    "de+f2": "Gestern haben wir den ganzen Tag gewartet. | Mach bitte das Fenster zu!",
    "fr+m3": "Nous avons mangé dans un petit restaurant. | Tu viens avec nous demain?",
    "es+f4": "La casa de mis padres está cerca del mar. | No quiero hablar de eso ahora.",
    "it+m1": "Domani andiamo al mercato con gli amici. | Che bella giornata!",
}


def say(text: str, voice: str, speed: int) -> np.ndarray:
    """What espeak-ng says, silence around it taken away: float32 (samples,), 16 kHz."""
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "--stdout", "--", text]
    # it writes a WAV into a pipe without knowing its length
    said = BytesIO(subprocess.run(command, capture_output=True, check=True).stdout[44:])
    wave, rate = soundfile.read(said, samplerate=22_050, channels=1, format="RAW", subtype="PCM_16")
    wave = soxr.resample(wave.astype(np.float32), rate, RATE)
    heard = np.flatnonzero(np.abs(wave) > 0.005)
    return wave[heard[0] : heard[-1] + 1]


def sentences(count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Sentences by all voices in turn, loud and soft."""
    told = [(voice, text) for voice, texts in VOICES.items() for text in re.split(r" \| ", texts)]
    for number in range(count):
        voice, text = told[number % len(told)]
        yield say(text, voice, int(rng.integers(130, 200))) * float(10 ** (rng.uniform(-8, 0) / 20))


def drawn(count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Utterances of the first drawn dialogues."""
    dialogue = 0
    while count > 0:
        script, room = write_dialogue(ProcessSettings(), dialogue, 0), draw_room(rng)
        for line in script.utterances[:count]:
            voice = make_voice(line.speaker, 0)
            said = speak(line.text, voice, line.cues["a"], line.intensity["a"], rng).sound
            yield record(said, room, line.snr, rng)
        count -= len(script.utterances)
        dialogue += 1


def talk(said: Iterator[np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, list[Span]]:
    """One after the other with pauses between: the sound with a recorder's hiss, and who speaks when (s)."""
    parts, spans, place = [], [], 0
    for wave in said:
        pause = np.zeros(round(rng.uniform(0.6, 2.5) * RATE), np.float32)
        spans.append(((place + len(pause)) / RATE, (place + len(pause) + len(wave)) / RATE))
        parts += [pause, wave]
        place += len(pause) + len(wave)
    sound = np.concatenate([*parts, np.zeros(RATE, np.float32)])
    return sound + hiss(len(sound), rng), spans


def steady(samples: int, rng: np.random.Generator) -> np.ndarray:
    """White noise."""
    return rng.standard_normal(samples)


def passing(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Noise as of cars and wind: mostly low, and louder and softer within seconds by some 20 dB."""
    low = lfilter([1], [1, -0.97], rng.standard_normal(samples))
    knots = np.arange(0, samples + 2 * RATE, round(0.7 * RATE))
    level = np.interp(np.arange(samples), knots, rng.uniform(-20, 0, len(knots)))
    return low * 10 ** (level / 20)


def clatter(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Short bursts of noise (dishes, keys, steps), two a second."""
    sound = np.zeros(samples)
    for place in rng.integers(0, samples, 2 * samples // RATE):
        decay = np.exp(-np.arange(round(0.25 * RATE)) / (rng.uniform(0.01, 0.06) * RATE))
        burst = (rng.standard_normal(len(decay)) * decay)[: samples - place]
        sound[place : place + len(burst)] += rng.uniform(0.3, 1) * burst
    return sound


def note(midi: float, seconds: float, decay: float) -> np.ndarray:
    """A plucked note with eight partials."""
    times = np.arange(round(seconds * RATE)) / RATE
    tone = sum(
        np.sin(2 * np.pi * part * 440 * 2 ** ((midi - 69) / 12) * times) / part**1.3 for part in range(1, 9)
    )
    return np.minimum(1, times / 0.008) * np.exp(-times * decay) * tone


def music(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Bass, chords, a melody and a drum at 100 beats a minute."""
    beat, sound = round(0.6 * RATE), np.zeros(samples + 4 * RATE)
    roots = (48, 45, 41, 43)
    for number, place in enumerate(range(0, samples, beat)):
        root = roots[number // 4 % 4]
        third = 3 if root == 45 else 4
        played = [(root - 12, 0.6, 3.0, 0.7, 0), *((root + step, 0.6, 2.5, 0.3, 0) for step in (0, third, 7))]
        played += [
            (root + 24 + int(rng.choice((0, third, 7, 9, 12))), 0.5, 4.0, 0.5, half * beat // 2)
            for half in range(2)
        ]
        for midi, seconds, decay, gain, late in played:
            tone = gain * note(midi, seconds, decay)
            sound[place + late : place + late + len(tone)] += tone
        drum = np.exp(-np.arange(beat) / (0.02 * RATE)) * rng.standard_normal(beat)
        sound[place : place + beat] += (0.8 if number % 2 else 0.3) * drum
    return sound[:samples]


def sustained(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Bowed tones with vibrato that swell and change, as of a film's strings."""
    times, sound = np.arange(samples) / RATE, np.zeros(samples)
    for voice in range(3):
        edges = np.arange(0, times[-1] + 4, 1.8)
        pitch = rng.choice((45, 48, 52, 55, 57, 60, 64), len(edges)) + 12.0 * (voice == 2)
        steps = np.interp(times, edges, edges) // 1.8
        midi = pitch[steps.astype(int)] + 0.2 * np.sin(2 * np.pi * 5.5 * times)
        phase = 2 * np.pi * np.cumsum(440 * 2 ** ((midi - 69) / 12)) / RATE
        swell = np.interp(times, edges, rng.uniform(0.1, 1, len(edges)))
        sound += swell * sum(np.sin(part * phase) / part for part in range(1, 7))
    return sound


UNDER: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "white noise": steady,
    "passing noise": passing,
    "clatter": clatter,
    "band": music,
    "strings": sustained,
}


def loud(sound: np.ndarray, settings: SpeechSettings) -> list[tuple[int, int]]:
    """The energy rule: first and last + 1 frame of every stretch of speech, as `activity.voiced`."""
    level = levels(sound)
    blocks = max(1, round(len(level) * STEP / 10))
    edges = np.linspace(0, len(level), blocks + 1).round().astype(int)
    border = np.empty(blocks)
    for block in range(blocks):
        near = level[edges[max(0, block - 3)] : edges[min(blocks, block + 4)]]
        floor, top = np.percentile(near, (5, 95))
        border[block] = floor + 0.35 * (top - floor) if top - floor >= 6 else np.inf
    active = level > np.maximum(np.repeat(border, np.diff(edges)), -55)
    turns = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    return list(zip(turns[::2].tolist(), turns[1::2].tolist(), strict=True))


RULES = {"network": activity.voiced, "energy": loud}


def inside(spans: list[Span], frames: int) -> np.ndarray:
    """bool (frames,): whether the middle of each 10 ms lies in a span."""
    times = (np.arange(frames) + 0.5) / 100
    return np.logical_or.reduce([(times >= a) & (times < b) for a, b in spans] or [times < 0])


def found(sound: np.ndarray, rule: str, padding: float) -> np.ndarray:
    """bool (frames of 10 ms,): what a rule takes for speech, joined and padded as `annotate` does it."""
    settings = SpeechSettings(padding=padding)
    with patch.object(activity, "voiced", RULES[rule]):
        return inside(activity.utterances(sound.astype(np.float32), settings), len(sound) // 160)


def rated(sound: np.ndarray, spans: list[Span], padding: float) -> list[str]:
    """Recall and precision (%) of each rule."""
    true, cells = inside(spans, len(sound) // 160), []
    for rule in RULES:
        by_rule = found(sound, rule, padding)
        right = (by_rule & true).sum()
        cells += [f"{100 * right / true.sum():.1f}"]
        cells += [f"{100 * right / by_rule.sum():.1f}" if by_rule.any() else "-"]
    return cells


def rows(count: int, padding: float) -> Iterator[list[str]]:
    """The table's rows."""
    sound, spans = talk(sentences(count, np.random.default_rng(0)), np.random.default_rng(1))
    spoken = inside(spans, len(sound) // 160).repeat(160)
    volume = np.sqrt(np.mean(np.square(sound[: len(spoken)][spoken])))
    yield ["speech alone", "", *rated(sound, spans, padding)]
    for name, make in UNDER.items():
        under = make(len(sound), np.random.default_rng(2))
        under = under / np.sqrt(np.mean(np.square(under))) * volume
        for level in LEVELS:
            yield [
                f"speech with {name}",
                f"{level} dB",
                *rated(sound + under * 10 ** (-level / 20), spans, padding),
            ]
    alone = {**UNDER, "silence (hiss)": hiss}
    for name, make in alone.items():
        under = make(60 * RATE, np.random.default_rng(3))
        if name in UNDER:
            under = 0.05 * under / np.sqrt(np.mean(np.square(under)))
        yield [f"{name} alone", "", *(f"{found(under, rule, padding).sum() / 100:.1f} s" for rule in RULES)]
    sound, spans = talk(drawn(round(count * 14 / 3), np.random.default_rng(4)), np.random.default_rng(5))
    yield ["drawn voices", "", *rated(sound, spans, padding)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sentences", type=int, default=24)
    parser.add_argument(
        "--padding", type=float, default=0.0, help="s on either side, as annotate.speech.padding"
    )
    options = parser.parse_args()
    print("| sound | level | recall, network | precision | recall, energy | precision |")
    print("|---|---|---|---|---|---|")
    for name, level, *cells in rows(options.sentences, options.padding):
        shown = cells if len(cells) == 4 else [cells[0], "", cells[1], ""]
        print(f"| {' | '.join([name, level, *shown])} |", flush=True)


if __name__ == "__main__":
    main()
