"""The dialogue process of the embedded corpus: labels over a dialogue, and the cues given a label.

The label of an utterance depends on three things: the emotion of the last utterance (contagion), the
speaker's own last emotion (inertia) and the prior. The speakers' order is observed and independent of all
emotions. So the pair of the two speakers' last emotions is a Markov state, and the posterior of every
label can be computed exactly (pipeline/synth/inference.py).

Given the label, the cues of text, audio and visual come from one joint distribution:

    flat     all three channels show nothing
    irony    (sadness, anger, disgust) joyful words, the true emotion in voice and face
    masked   (any but neutral) the face shows neutral; words and voice as in plain
    plain    each channel for itself: the emotion, nothing, or one of two look-alikes

`cue_table` gives this distribution in closed form from the settings that `sample_cues` draws with. A flat
channel is rendered as a neutral one, so both count as the cue `neutral`. Whether a face can be seen is
independent of the label and of the cues. (docs/method.md, "The embedded corpus has known ceilings".)
"""

from dataclasses import dataclass

import numpy as np

from models.modalities import LETTERS
from pipeline.settings.process import ProcessSettings
from pipeline.synth.emotions import EMOTIONS

COUNT = len(EMOTIONS)
SILENT = COUNT  # index of "has not spoken yet" among the states of a speaker
FLAT = COUNT  # index of "shows nothing" among the states of a channel
NEUTRAL = EMOTIONS.index("neutral")
JOY = EMOTIONS.index("joy")

PRIOR = np.array([0.28, 0.16, 0.12, 0.14, 0.11, 0.10, 0.09])
IRONIC = frozenset(EMOTIONS.index(name) for name in ("sadness", "anger", "disgust"))

# how strongly an utterance pulls the next one towards an emotion; a row need not sum to 1, for a calm
# utterance pulls less than an upset one
_REPLIES = {
    "neutral": {},
    "joy": {"joy": 0.45, "surprise": 0.15},
    "sadness": {"sadness": 0.40, "neutral": 0.10},
    "anger": {"anger": 0.40, "fear": 0.20, "sadness": 0.10},
    "surprise": {"joy": 0.20, "surprise": 0.20, "fear": 0.10},
    "fear": {"fear": 0.40, "neutral": 0.10},
    "disgust": {"disgust": 0.30, "anger": 0.20},
}
_LOOK_ALIKES = {
    "neutral": ("sadness", "joy"),
    "joy": ("surprise", "neutral"),
    "sadness": ("neutral", "fear"),
    "anger": ("disgust", "fear"),
    "surprise": ("joy", "fear"),
    "fear": ("surprise", "sadness"),
    "disgust": ("anger", "sadness"),
}


@dataclass(frozen=True)
class Cues:
    """What the three channels of one utterance show: indices into EMOTIONS, or FLAT."""

    text: int
    audio: int
    visual: int
    kind: str  # plain, irony or masked

    def names(self) -> dict[str, str]:
        """By letter, the name of the emotion shown, or `flat`."""
        shown = (self.text, self.audio, self.visual)
        return {
            letter: "flat" if cue == FLAT else EMOTIONS[cue]
            for letter, cue in zip(LETTERS, shown, strict=True)
        }


def transition_table(settings: ProcessSettings) -> np.ndarray:
    """P(label | last emotion, the speaker's own last emotion): float64 (8, 8, 7), rows sum to 1.

    Index 7 (SILENT) on the first two axes stands for "nobody has spoken yet" and "this speaker has not
    spoken yet"; the term in question is then left out.
    """
    weights = np.tile(settings.prior * PRIOR, (COUNT + 1, COUNT + 1, 1))
    for last, replies in _REPLIES.items():
        for emotion, pull in replies.items():
            weights[EMOTIONS.index(last), :, EMOTIONS.index(emotion)] += settings.contagion * pull
    for own in range(COUNT):
        weights[:, own, own] += settings.inertia
    return weights / weights.sum(-1, keepdims=True)


def channel_tables(settings: ProcessSettings) -> np.ndarray:
    """P(shown | emotion) of each channel in a plain utterance: (3, 7, 8), the last index is FLAT."""
    tables = np.zeros((3, COUNT, COUNT + 1))
    for table, channel in zip(tables, (settings.text, settings.audio, settings.visual), strict=True):
        rest = max(0.0, 1 - channel.shows - channel.flat)
        for index, name in enumerate(EMOTIONS):
            table[index, index] += channel.shows
            table[index, FLAT] += channel.flat
            for other in _LOOK_ALIKES[name]:
                table[index, EMOTIONS.index(other)] += rest / len(_LOOK_ALIKES[name])
    return tables / tables.sum(-1, keepdims=True)


def cue_table(settings: ProcessSettings) -> np.ndarray:
    """P(cue_text, cue_audio, cue_visual | emotion): (7, 7, 7, 7), the emotion first, flat as neutral."""
    plain = channel_tables(settings)
    merged = plain[..., :COUNT].copy()
    merged[..., NEUTRAL] += plain[..., FLAT]
    text, audio, visual = merged
    table = np.einsum("ei,ej,ek->eijk", text, audio, visual)
    hidden = np.einsum("ei,ej->eij", text, audio)
    for emotion in range(COUNT):
        if emotion != NEUTRAL:
            table[emotion] *= 1 - settings.masked
            table[emotion, :, :, NEUTRAL] += settings.masked * hidden[emotion]
        if emotion in IRONIC:
            table[emotion] *= 1 - settings.irony
            table[emotion, JOY, emotion, emotion] += settings.irony
    table *= 1 - settings.flat
    table[:, NEUTRAL, NEUTRAL, NEUTRAL] += settings.flat
    return table


def sample_cues(
    settings: ProcessSettings, channels: np.ndarray, emotion: int, rng: np.random.Generator
) -> Cues:
    """Draw the cues of one utterance; `channels` is `channel_tables(settings)`.

    Always consumes the same number of random numbers, so that one draw never shifts the next.
    """
    flat, irony, masked = rng.random(3) < (settings.flat, settings.irony, settings.masked)
    uniform = rng.random(3)
    text, audio, visual = (
        min(int(np.searchsorted(np.cumsum(table[emotion]), u, side="right")), FLAT)
        for table, u in zip(channels, uniform, strict=True)
    )
    if flat:
        return Cues(FLAT, FLAT, FLAT, "plain")
    if irony and emotion in IRONIC:
        return Cues(JOY, emotion, emotion, "irony")
    if masked and emotion != NEUTRAL:
        return Cues(text, audio, NEUTRAL, "masked")
    return Cues(text, audio, visual, "plain")


def sample_speakers(settings: ProcessSettings, count: int, rng: np.random.Generator) -> np.ndarray:
    """The speaker (0 or 1) of each of `count` utterances: turns alternate, now and then a coin decides."""
    by_coin = rng.random(count) < settings.reshuffle
    coin = rng.integers(2, size=count)
    return np.where(by_coin, coin, np.arange(count) % 2)


def sample_labels(transitions: np.ndarray, speakers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the labels of one dialogue: int (N,). `transitions` is `transition_table(settings)`."""
    own = {0: SILENT, 1: SILENT}
    last = SILENT
    labels = np.empty(len(speakers), dtype=np.int64)
    for position, (speaker, uniform) in enumerate(zip(speakers, rng.random(len(speakers)), strict=True)):
        steps = np.cumsum(transitions[last, own[int(speaker)]])
        last = own[int(speaker)] = min(int(np.searchsorted(steps, uniform, side="right")), COUNT - 1)
        labels[position] = last
    return labels
