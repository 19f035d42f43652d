"""Dialogue scripts of the embedded corpus: who speaks, what is felt, what each channel shows, the words.

A dialogue depends on the settings, the seed and its own number alone, so that a corpus can grow without
changing what it already holds.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.core.splits import SPLITS
from pipeline.settings.process import ProcessSettings, split_pattern
from pipeline.synth.emotions import EMOTIONS
from pipeline.synth.phrases import PHRASES, TOPICS, WHEN, WHO
from pipeline.synth.process import (
    LETTERS,
    channel_tables,
    sample_cues,
    sample_labels,
    sample_speakers,
    transition_table,
)


@dataclass(frozen=True)
class UtteranceScript:
    """One utterance. `cues` holds, by letter (t, a, v), what is rendered: an emotion name or `flat`."""

    position: int
    speaker: int  # identity, unique over the corpus
    emotion: str
    text: str
    cues: dict[str, str]
    kind: str  # plain, irony or masked
    hidden: str  # "" where the speaker's face can be seen, else turned or off
    intensity: dict[str, float]  # by letter, strength of the rendered expression in 0..1
    snr: float  # dB


@dataclass(frozen=True)
class DialogueScript:
    """One dialogue of two speakers."""

    name: str
    split: str
    speakers: tuple[int, int]
    two_shot: bool
    utterances: tuple[UtteranceScript, ...]


def split_of(settings: ProcessSettings, dialogue: int) -> str:
    """The split of a dialogue by its number and the shares alone."""
    return split_pattern(settings.shares, dialogue + 1)[dialogue]


def speakers_of(settings: ProcessSettings, split: str) -> range:
    """The identities that speak in a split: at least two, and none in two splits."""
    spare = settings.speakers - 2 * len(SPLITS)
    val = 2 + round(spare * settings.val_share)
    test = 2 + min(round(spare * settings.test_share), spare - (val - 2))
    train = settings.speakers - val - test
    starts = {"train": (0, train), "val": (train, train + val), "test": (train + val, settings.speakers)}
    return range(*starts[split])


def _words(cue: str, split: str, topic: str, rng: np.random.Generator) -> str:
    """A sentence for a text cue; flat ones come from the neutral pool (see pipeline/synth/phrases.py)."""
    pool = PHRASES["neutral" if cue == "flat" else cue][split]
    phrase, who, when = (int(rng.integers(len(items))) for items in (pool, WHO, WHEN))
    return pool[phrase].format(topic=topic, who=WHO[who], when=WHEN[when])


def write_dialogue(settings: ProcessSettings, dialogue: int, seed: int) -> DialogueScript:
    """Write dialogue number `dialogue` (from 0) of the corpus; equal arguments give an equal script."""
    if dialogue < 0:
        raise ValueError(f"dialogues are numbered from 0, got {dialogue}")
    rng = np.random.default_rng([seed, 1, dialogue])
    split = split_of(settings, dialogue)
    pair = rng.choice(list(speakers_of(settings, split)), size=2, replace=False)
    two_shot = bool(rng.random() < settings.two_shot)
    # a dialogue has one subject, and now and then another comes up
    subject = TOPICS[int(rng.integers(len(TOPICS)))]
    turns = sample_speakers(settings, settings.utterances, rng)
    labels = sample_labels(transition_table(settings), turns, rng)
    channels = channel_tables(settings)
    utterances = []
    for position, (turn, label) in enumerate(zip(turns, labels, strict=True)):
        cues = sample_cues(settings, channels, int(label), rng)
        shown = cues.names()
        other = TOPICS[int(rng.integers(len(TOPICS)))]
        topic = subject if rng.random() < 0.6 else other
        chance = rng.random()
        hidden = "turned" if chance < settings.turned else ""
        if settings.turned <= chance < settings.turned + settings.off_screen:
            hidden = "off"
        intensity = np.clip(rng.normal(settings.intensity_mean, settings.intensity_spread, 3), 0.4, 1.0)
        snr = np.clip(rng.normal(settings.snr_mean, settings.snr_spread), 3.0, 35.0)
        utterances.append(
            UtteranceScript(
                position=position,
                speaker=int(pair[turn]),
                emotion=EMOTIONS[label],
                text=_words(shown["t"], split, topic, rng),
                cues=shown,
                kind=cues.kind,
                hidden=hidden,
                intensity=dict(zip(LETTERS, intensity.tolist(), strict=True)),
                snr=float(snr),
            )
        )
    return DialogueScript(
        name=f"dia{dialogue:04d}",
        split=split,
        speakers=(int(pair[0]), int(pair[1])),
        two_shot=two_shot,
        utterances=tuple(utterances),
    )
