"""What is done to the sound of an utterance, at a stated ratio of signal to the rest, and its measure.

Every function is pure: the same sound, level, generator and voices give the same samples. A level of
infinity (no noise at all) and a delay of 0 are the identity, bit for bit.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from pipeline.core.soundtrack import SAMPLE_RATE

Sound = Float[np.ndarray, "_"]

VOICES = 6  # that babble at once
BAND = (300.0, 3400.0)  # Hz, of a telephone
CHORD = 0.4  # s
ROOTS = (130.8, 146.8, 164.8, 196.0, 220.0)  # Hz: a pentatonic scale
CHORD_TONES = (1.0, 1.25, 1.5, 2.0)
PARTIALS = (1.0, 0.5, 0.3, 0.15)
STEPS = 40  # of the search for the level at which a sound is clipped


def power(sound: Sound) -> float:
    """Mean square; 0 of no samples."""
    return float(np.mean(np.square(sound, dtype=np.float64))) if len(sound) else 0.0


def decibel(signal: float, rest: float) -> float:
    """The ratio of two powers in dB: infinite without rest, minus infinite without signal."""
    if rest <= 0:
        return float("inf")
    return 10 * float(np.log10(signal / rest)) if signal > 0 else float("-inf")


def at_ratio(sound: Sound, noise: Sound, level: float) -> Sound:
    """Noise scaled so that the sound is `level` dB above it: float64 (n,), zeros where either is silent."""
    signal, rest = power(sound), power(noise)
    factor = np.sqrt(signal / (rest * 10 ** (level / 10))) if rest > 0 else 0.0
    return noise.astype(np.float64) * factor


def added(sound: Sound, noise: Sound, level: float) -> Sound:
    """A sound with noise at `level` dB below it; float32, neither clipped nor scaled."""
    return (sound.astype(np.float64) + at_ratio(sound, noise, level)).astype(np.float32)


def pink(samples: int, rng: np.random.Generator) -> Sound:
    """Noise whose power falls by 3 dB an octave."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    return np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), samples)


def chords(samples: int, rng: np.random.Generator) -> Sound:
    """Chords of harmonic tones that change every 0.4 s."""
    count = -(-samples // round(CHORD * SAMPLE_RATE))
    roots = rng.choice(ROOTS, size=max(1, count))
    time = np.arange(samples) / SAMPLE_RATE
    root = np.repeat(roots, round(CHORD * SAMPLE_RATE))[:samples]
    total = np.zeros(samples)
    for tone in CHORD_TONES:
        for place, weight in enumerate(PARTIALS, start=1):
            total += weight * np.sin(2 * np.pi * place * tone * root * time)
    return total


def banded(sound: Sound) -> Sound:
    """The part of a sound within the band of a telephone: float64 (n,)."""
    spectrum = np.fft.rfft(sound.astype(np.float64))
    hertz = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    spectrum[(hertz < BAND[0]) | (hertz > BAND[1])] = 0
    return np.fft.irfft(spectrum, len(sound))


def crowd(samples: int, rng: np.random.Generator, others: Sequence[Sound]) -> Sound:
    """Some of the other voices at once, equally loud, each from a random moment on and over again."""
    chosen = rng.choice(len(others), size=min(VOICES, len(others)), replace=False)
    total = np.zeros(samples)
    for place in chosen:
        voice = others[place].astype(np.float64)
        voice = np.roll(voice, int(rng.integers(len(voice))))
        loud = np.sqrt(power(voice))
        total += np.resize(voice, samples) / (loud if loud > 0 else 1.0)
    return total


def babble(sound: Sound, level: float, rng: np.random.Generator, others: Sequence[Sound]) -> Sound:
    return added(sound, crowd(len(sound), rng, others), level)


def noise(sound: Sound, level: float, rng: np.random.Generator, others: Sequence[Sound]) -> Sound:
    return added(sound, pink(len(sound), rng), level)


def tones(sound: Sound, level: float, rng: np.random.Generator, others: Sequence[Sound]) -> Sound:
    return added(sound, chords(len(sound), rng), level)


def telephone(sound: Sound, level: float, rng: np.random.Generator, others: Sequence[Sound]) -> Sound:
    line = banded(rng.standard_normal(len(sound)))
    return added(banded(sound), line, level)


def overdriven(sound: Sound, level: float) -> Sound:
    """Clipped at the height that gives the distortion, and as loud as before; float32.

    Where even its sign alone is nearer to the sound than `level` asks, it is the sign.
    """
    whole = sound.astype(np.float64)
    peak, loud = float(np.abs(whole).max(initial=0.0)), np.sqrt(power(sound))
    if peak == 0:
        return sound.copy()
    # of the logarithm of the height: below -12 it is the sign, as far as float32 can tell
    low, high = -12.0, 0.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        height = peak * 10**middle
        if distortion(sound, np.clip(whole, -height, height)) < level:
            low = middle
        else:
            high = middle
    height = peak * 10**high
    clipped = np.clip(whole, -height, height)
    return (clipped * (loud / np.sqrt(power(clipped)))).astype(np.float32)


def distortion(clean: Sound, changed: Sound) -> float:
    """What of `changed` is proportional to `clean` over what is not (dB); no gain changes it."""
    clean, changed = clean.astype(np.float64), changed.astype(np.float64)
    share = float(clean @ changed) ** 2 / max(float(clean @ clean) * float(changed @ changed), 1e-300)
    return decibel(share, 1 - share) if share < 1 - 1e-15 else float("inf")


def clipping(sound: Sound, level: float, rng: np.random.Generator, others: Sequence[Sound]) -> Sound:
    return overdriven(sound, level)


# (sound float32 (n,), level in dB, generator, voices of other dialogues) -> float32 (n,)
KINDS: dict[str, Callable[[Sound, float, np.random.Generator, Sequence[Sound]], Sound]] = {
    "babble": babble,
    "noise": noise,
    "tones": tones,
    "telephone": telephone,
    "clipping": clipping,
}
MANY = ("babble",)  # what needs voices of other dialogues
DELAYED = "timing"  # of the file, see `delayed`


def degraded(
    kind: str, sound: Sound, level: float, rng: np.random.Generator, others: Sequence[Sound] = ()
) -> Sound:
    """The sound of an utterance under a kind and level (dB): float32 (n,); itself at an infinite level.

    others: what babbles, at least one for babble.
    """
    return sound if level == float("inf") else KINDS[kind](sound, level, rng, others)


def realised(kind: str, clean: Sound, changed: Sound) -> float:
    """The level (dB) that a changed sound has; of silence it is infinite, or minus infinite."""
    if kind == "clipping":
        return distortion(clean, changed)
    # the band of a telephone is no noise, at any level
    signal = banded(clean) if kind == "telephone" and clean is not changed else clean.astype(np.float64)
    return decibel(power(signal), power(changed.astype(np.float64) - signal))


def delayed(samples: Sound, first: int, last: int, delay: float) -> tuple[Sound, float]:
    """The samples first ... last of a file whose sound comes late by `delay` s, and how late it is (s).

    Zeros stand before the file begins; the length stays.
    """
    late = round(delay * SAMPLE_RATE)
    piece = samples[max(0, first - late) : max(0, last - late)]
    before = (last - first) - len(piece)
    if before:
        piece = np.concatenate([np.zeros(before, np.float32), piece])
    return piece, late / SAMPLE_RATE
