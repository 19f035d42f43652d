"""The speaker among the people in view: whose face has the most evidence that it speaks."""

from collections.abc import Sequence

import numpy as np

from pipeline.core import media
from pipeline.extraction.judging import Judge
from pipeline.extraction.people import Person
from pipeline.settings.faces import FacesSettings

# Sound below this (dB relative to full scale) is no voice: it cannot tell who speaks.
QUIET = -60.0


def person_score(person: Person, sound: np.ndarray, start: float, end: float, judge: Judge) -> float:
    """What a judge says; of several tracks the mean by the number of pictures that it saw."""
    scores = [judge.score(track, sound, start, end) for track in person.tracks]
    weights = [len(track.patches) for track in person.tracks]
    if len(scores) == 1 or not any(weights):
        return scores[0]
    return float(np.average(scores, weights=weights))


def choose(
    people: Sequence[Person],
    sound: np.ndarray | None,
    start: float,
    end: float,
    settings: FacesSettings,
    judge: Judge | None,
) -> tuple[Person | None, float | None]:
    """The speaker and the score, or None and the best score if no face in view speaks.

    Without sound or a judge, the face that is largest for longest, with no score.
    """
    largest = max(people, key=lambda person: (person.area(), -person.number))
    if judge is None or sound is None:
        return largest, None
    if media.level(sound[slice(*media.span(sound, start, end))]) < QUIET:
        return largest, None
    # a face seen for a moment has no evidence of its own, so it competes with its share of the time only
    longest = max(person.detections for person in people)
    seen = [person for person in people if person.detections >= 0.25 * longest]
    scores = {person.number: person_score(person, sound, start, end, judge) for person in seen}
    best = max(seen, key=lambda person: (scores[person.number], person.area()))
    score = scores[best.number]
    return (best if score >= settings.speaking else None), score
