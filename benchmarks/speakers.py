"""How well voices are told apart, with what they lie apart by.

    python benchmarks/speakers.py --encoder FOLDER [--speech FOLDER] [--readers 0::2] [--talks 200]

FOLDER of the encoder is what the stage weights makes (kind speakers). Without --speech, Debian's espeak-
ng says sentences in twelve voices; with it, people speak: a folder a person, with sound files of one
voice each, from which turns of .7 to 5 s are cut at random; --readers names those of them that are taken,
as a slice. Talks of one to four voices and eight to sixteen turns are drawn of the turns. Printed are the
mean cosine distance of turns of one voice and of two, the share of talks in which as many speakers are
found as there are, and the share of turns that are given to the right one, for each distance as the
border. Every draw has a fixed seed.
"""

import argparse
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from scipy.optimize import linear_sum_assignment

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipeline.core.registries.speakers import speaker_encoder
from pipeline.speech.speakers import told_apart, voice

RATE = 16_000
SHORTEST = 1.5  # s, as speakers.telling.shortest
VARIANTS = (
    "",
    "+f2",
    "+m3",
    "+f4",
    "+klatt3",
    "+Andrea",
    "+m7",
    "+Annie",
    "+Denis",
    "+f3",
    "+Mr serious",
    "+Linda",
)
SENTENCES = (
    "The children walked to the river in the morning.",
    "My sister will visit us next summer.",
    "Please open the window and close the door.",
    "He has never been to the mountains before.",
    "I think that we should leave now.",
    "They bought bread, milk and a bag of apples.",
    "What did you say to him yesterday?",
    "The old house stands at the end of the road.",
)


def spoken(wave: np.ndarray, rate: int) -> np.ndarray:
    """One channel at 16 kHz, silence around it taken away: float32 (samples,)."""
    wave = wave if wave.ndim == 1 else wave.mean(1)
    wave = soxr.resample(wave.astype(np.float32), rate, RATE)
    heard = np.flatnonzero(np.abs(wave) > 0.005)
    return wave[heard[0] : heard[-1] + 1]


def synthetic() -> dict[str, list[np.ndarray]]:
    """What espeak-ng says, by voice."""
    said: dict[str, list[np.ndarray]] = {}
    for variant in VARIANTS:
        for text in SENTENCES:
            command = ["espeak-ng", "-v", f"en-us{variant}", "-s", "140", "--stdout", "--", text]
            # it writes a WAV into a pipe without knowing its length
            raw = BytesIO(subprocess.run(command, capture_output=True, check=True).stdout[44:])
            wave, rate = soundfile.read(raw, samplerate=22_050, channels=1, format="RAW", subtype="PCM_16")
            said.setdefault(variant, []).append(spoken(wave, rate))
    return said


def people(folder: Path, readers: str) -> dict[str, list[np.ndarray]]:
    """Two turns of each sound file, by person."""
    first, _, step = readers.partition("::")
    generator, said = np.random.default_rng(5), {}
    for person in sorted(path for path in folder.iterdir() if path.is_dir())[int(first) :: int(step)]:
        said[person.name] = []
        for path in sorted(path for path in person.iterdir() if path.is_file()):
            wave = spoken(*soundfile.read(path))
            for _ in range(2):
                length = round(float(np.exp(generator.uniform(np.log(0.7), np.log(5)))) * RATE)
                if length < len(wave):
                    place = int(generator.integers(0, len(wave) - length))
                    said[person.name].append(wave[place : place + length])
    return said


def right(found: list[int], true: np.ndarray) -> float:
    """The share of turns that are given to the right speaker, the speakers matched as well as they can be."""
    counts = np.zeros((max(found) + 1, true.max() + 1))
    np.add.at(counts, (found, true), 1)
    return float(counts[linear_sum_assignment(-counts)].sum() / len(true))


def rated(
    vectors: list[np.ndarray], seconds: list[np.ndarray], border: float, talks: int
) -> tuple[float, float]:
    """The shares of talks with the right number of speakers, and of turns given to the right one."""
    generator, numbers, shares = np.random.default_rng(0), [], []
    for _ in range(talks):
        count, turns = int(generator.integers(1, 5)), int(generator.integers(8, 17))
        who = generator.choice(len(vectors), count, replace=False)
        picked = [
            (vectors[own][turn], seconds[own][turn], number)
            for number, own in enumerate(who)
            for turn in generator.permutation(len(vectors[own]))[: max(2, turns // count)]
        ]
        heard, lengths, true = (np.array(column) for column in zip(*picked, strict=True))
        found = told_apart(heard, lengths, border, SHORTEST)
        numbers.append(max(found) + 1 == count)
        shares.append(right(found, true))
    return float(np.mean(numbers)), float(np.mean(shares))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--readers", default="0::1")
    parser.add_argument("--talks", type=int, default=200)
    options = parser.parse_args()
    encoder = speaker_encoder(options.encoder).load(options.encoder, torch.device("cpu"))
    said = people(options.speech, options.readers) if options.speech else synthetic()
    print("| under the voices | border | within | between | number right | turns right |")
    print("|---|---|---|---|---|---|")
    for name, level in (("nothing", None), ("white noise, 20 dB", 20)):
        generator = np.random.default_rng(1)
        heard = [[under(sound, level, generator) for sound in sounds] for sounds in said.values()]
        vectors = [np.stack([voice(encoder, sound) for sound in sounds]) for sounds in heard]
        seconds = [np.array([len(sound) / RATE for sound in sounds]) for sounds in heard]
        flat, own = np.concatenate(vectors), np.repeat(np.arange(len(vectors)), [len(v) for v in vectors])
        far, same = 1 - flat @ flat.T, own[:, None] == own
        apart = ~np.eye(len(own), dtype=bool)
        means = [f"{far[same & apart].mean():.2f}", f"{far[~same].mean():.2f}"]
        for border in (0.26, 0.29, 0.32, 0.35, 0.38):
            shares = rated(vectors, seconds, border, options.talks)
            cells = [name, f"{border:.2f}", *means, *(f"{100 * share:.0f} %" for share in shares)]
            print(f"| {' | '.join(cells)} |", flush=True)


def under(sound: np.ndarray, level: float | None, generator: np.random.Generator) -> np.ndarray:
    """The sound with white noise so many dB below it, or as it is."""
    if level is None:
        return sound
    noise = generator.normal(size=len(sound)).astype(np.float32)
    return sound + noise * np.float32(10 ** (-level / 20) * np.sqrt(np.mean(sound**2)))


if __name__ == "__main__":
    main()
