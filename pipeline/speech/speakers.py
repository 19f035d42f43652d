"""Who speaks: turns told apart by their voices, and turns whose face is usually another voice's.

Voices are clustered by the mean cosine distance between their turns (average linkage).
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from sklearn.cluster import AgglomerativeClustering

from pipeline.core import media
from pipeline.encoders.audio import windows
from pipeline.extraction.sound import utterance_sound
from pipeline.settings.encoders import AudioSettings

log = logging.getLogger("pipeline")

NAME = "speaker {}"
MOST = 20.0  # s that an encoder hears at once


@runtime_checkable
class SpeakerEncoder(Protocol):
    """What a module of the registry of speakers loads."""

    def encode(self, sound: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " d"]: ...


def voice(encoder: SpeakerEncoder, sound: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " d"]:
    """The vector of length 1 of a turn of any length: float32. sound: 16 kHz, not silent.

    A long turn is heard in equal windows, so that it needs no more memory than a short one; those of them
    that are silent have no say.
    """
    parts = [sound[low:high] for low, high in windows(len(sound), round(MOST * media.SAMPLE_RATE))]
    mean = np.mean([encoder.encode(part) for part in parts if np.any(part)], axis=0)
    return (mean / np.linalg.norm(mean)).astype(np.float32)


@dataclass(frozen=True)
class Voices:
    """Who says each of some turns.

    own: numbered from 0 in the order of their first turns, None of a turn that cannot be heard; short: turns
    below the shortest, unless all are; within, between: of `spread`.
    """

    own: list[int | None]
    short: frozenset[int]
    within: float | None
    between: float | None

    @property
    def names(self) -> list[str | None]:
        """The name of each turn's speaker."""
        return [None if own is None else NAME.format(own + 1) for own in self.own]


def turn_sounds(
    sound: media.Heard, rows: Iterable[dict[str, Any]], settings: AudioSettings, path: Path
) -> Iterator[np.ndarray | None]:
    """The samples of each utterance of a file as it is heard, one at a time; None of one that cannot be."""
    for row in rows:
        try:
            yield utterance_sound(sound, row, settings, 1, path) if row["withheld"] is None else None
        except media.MediaAbsence as lack:
            log.debug("%s", lack)
            yield None


def by_voice(
    encoder: SpeakerEncoder,
    sounds: Iterable[np.ndarray | None],
    distance: float,
    shortest: float,
    number: int | None = None,
) -> Voices | None:
    """The turns of one file told apart, as `told_apart` does; None if none of them can be heard.

    sounds: float32 (samples,) of every turn, 16 kHz, or None; taken one at a time, for they may lie on disk
    and a long talk needs no more memory than a short one.
    """
    vectors, lengths, turns, count = [], [], [], 0
    for turn, sound in enumerate(sounds):
        count += 1
        if sound is not None:
            vectors.append(voice(encoder, np.asarray(sound)))
            lengths.append(len(sound) / media.SAMPLE_RATE)
            turns.append(turn)
    if not turns:
        return None
    stacked, seconds = np.stack(vectors), np.array(lengths)
    found = told_apart(stacked, seconds, distance, shortest, number)
    own: list[int | None] = [None] * count
    for turn, one in zip(turns, found, strict=True):
        own[turn] = one
    long = seconds >= shortest
    # without gaps: a number that was asked for may hold short turns alone
    packed = np.unique(np.array(found)[long], return_inverse=True)[1].tolist()
    short = frozenset(np.array(turns)[~long].tolist()) if long.any() else frozenset()
    return Voices(own, short, *spread(stacked[long], packed))


def told_apart(
    vectors: Float[np.ndarray, "n d"],
    seconds: Float[np.ndarray, " n"],
    distance: float,
    shortest: float,
    number: int | None = None,
) -> list[int]:
    """The speaker of every turn, numbered from 0 in the order of their first turns.

    vectors: of length 1; seconds: how long each turn is. Voices whose mean cosine distance reaches `distance`
    are two; with `number` there are so many, or as many as there are turns. Turns shorter than `shortest`
    (s) are given to the voice that is nearest, unless there are no others (or, with `number`, too few).
    """
    if not len(vectors):
        return []
    found = np.zeros(len(vectors), np.int64)
    heard = np.flatnonzero(seconds >= shortest)
    if len(heard) < (number or 1):
        heard = np.arange(len(vectors))
    if len(heard) > 1:
        border = {"distance_threshold": distance} if number is None else {}
        clusters = None if number is None else min(number, len(heard))
        model = AgglomerativeClustering(n_clusters=clusters, metric="cosine", linkage="average", **border)
        found[heard] = model.fit(vectors[heard]).labels_
    means = np.stack([_mean(vectors[heard][found[heard] == own]) for own in range(found[heard].max() + 1)])
    others = np.setdiff1d(np.arange(len(vectors)), heard)
    found[others] = (vectors[others] @ means.T).argmax(1)
    order: dict[int, int] = {}
    return [order.setdefault(int(own), len(order)) for own in found]


def spread(vectors: Float[np.ndarray, "n d"], speakers: Sequence[int]) -> tuple[float | None, float | None]:
    """The largest mean cosine distance within one voice, and the smallest between two; None if there is none.

    How safe it is that they are two people: the further apart these numbers, the safer.
    """
    own = np.array(speakers, np.int64)
    groups = [vectors[own == number].astype(np.float64) for number in range(own.max(initial=-1) + 1)]
    sums = [group.sum(0) for group in groups]
    # mean over pairs of different turns: |sum|^2 holds every turn's 1 with itself
    within = [
        1 - (total @ total - len(group)) / (len(group) * (len(group) - 1))
        for group, total in zip(groups, sums, strict=True)
        if len(group) > 1
    ]
    between = [
        1 - sums[a] @ sums[b] / (len(groups[a]) * len(groups[b]))
        for a in range(len(groups))
        for b in range(a)
    ]
    return (float(max(within)) if within else None, float(min(between)) if between else None)


def strange_faces(
    faces: Float[np.ndarray, "n d"],
    seen: Bool[np.ndarray, " n"],
    speakers: Sequence[int | None],
    margin: float,
) -> Bool[np.ndarray, " n"]:
    """Turns whose face is nearer to another voice's faces than to the other faces of its own voice.

    faces: a vector a turn, read where `seen`; speakers: None where no voice was heard. Nearer is by more than
    `margin` of the cosine to the mean face. A voice of fewer than two other faces says nothing.
    """
    usable = np.flatnonzero(seen & np.array([own is not None for own in speakers], bool))
    own = np.array([speakers[turn] for turn in usable.tolist()], np.int64)
    lengths = np.linalg.norm(faces[usable], axis=1, keepdims=True)
    unit = faces[usable].astype(np.float64) / np.where(lengths > 0, lengths, 1)
    strange = np.zeros(len(faces), bool)
    for place, turn in enumerate(usable):
        near = {}
        for number in set(own.tolist()):
            rest = np.flatnonzero((own == number) & (np.arange(len(usable)) != place))
            if len(rest) > 1:
                near[number] = float(unit[place] @ _mean(unit[rest]))
        mine = near.pop(int(own[place]), None)
        strange[turn] = mine is not None and max(near.values(), default=-1.0) - mine > margin
    return strange


def _mean(vectors: np.ndarray) -> np.ndarray:
    """The mean direction of some vectors."""
    mean = vectors.mean(0)
    length = np.linalg.norm(mean)
    return mean / length if length > 0 else mean
