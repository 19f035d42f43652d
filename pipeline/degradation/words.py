"""Words as a recogniser of speech mistakes them, at a stated word error rate, and its measure.

A word is deleted, taken for one that is spelled like it, or followed by one too many. Whether a word is hit
depends on a number that is drawn for it once, so what is wrong at a rate is wrong at every higher one.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

SHARES = {"substitution": 0.6, "deletion": 0.25, "insertion": 0.15}
NEAREST = 5  # words that a word is taken for
FREQUENT = 20  # words that are inserted
PUNCTUATION = ".,;:!?…\"'()[]{}-–—"


def bare(word: str) -> str:
    """A word as it is compared: small letters, without punctuation around it."""
    return word.strip(PUNCTUATION).casefold()


class Confusions:
    """What the words of some texts are taken for: those of the same texts that are spelled most like them.

    Alike are words that share many pairs of letters (Dice's coefficient, the ends of words counted).
    """

    def __init__(self, texts: Iterable[str]) -> None:
        counts = Counter(word for text in texts for word in map(bare, text.split()) if word)
        # by falling count, equal ones by the alphabet
        self.words = sorted(counts, key=lambda word: (-counts[word], word))
        self.place = {word: place for place, word in enumerate(self.words)}
        self.known: dict[str, list[str]] = {}

    @property
    def frequent(self) -> list[str]:
        """What is inserted."""
        return self.words[:FREQUENT]

    @cached_property
    def _pairs(self) -> tuple[dict[str, list[int]], np.ndarray]:
        holders: dict[str, list[int]] = {}
        for place, word in enumerate(self.words):
            for pair in pairs(word):
                holders.setdefault(pair, []).append(place)
        return holders, np.array([len(pairs(word)) for word in self.words])

    def of(self, word: str) -> list[str]:
        """Other words of the texts, the most alike first; a few, and none if there is no other."""
        if word not in self.known:
            holders, sizes = self._pairs
            own = pairs(word)
            shared = np.zeros(len(self.words))
            for pair in own:
                shared[holders.get(pair, [])] += 1
            alike = 2 * shared / (sizes + len(own)) if len(sizes) else shared
            if word in self.place:
                alike[self.place[word]] = -1
            order = np.argsort(-alike, kind="stable")[:NEAREST]
            self.known[word] = [self.words[place] for place in order if alike[place] >= 0]
        return self.known[word]


def pairs(word: str) -> set[str]:
    """Pairs of neighbouring letters, with marks for both ends."""
    marked = f"^{word}$"
    return {marked[place : place + 2] for place in range(len(marked) - 1)}


def misheard(text: str, rate: float, rng: np.random.Generator, confusions: Confusions) -> str:
    """A text with about `rate` errors a word; itself at 0. Nothing may be left of it."""
    words = text.split()
    hit, how, which = (rng.random(len(words)) for _ in range(3))
    if not rate:
        return text
    told: list[str] = []
    for place, word in enumerate(words):
        if hit[place] >= rate:
            told.append(word)
            continue
        others = confusions.of(bare(word))
        if how[place] < SHARES["insertion"] and confusions.frequent:
            told += [word, _one_of(confusions.frequent, which[place])]
        elif how[place] < SHARES["insertion"] + SHARES["substitution"] and others:
            told.append(_one_of(others, which[place]))
    return " ".join(told)


def _one_of(words: Sequence[str], number: float) -> str:
    return words[int(number * len(words))]


def errors(told: str, heard: str) -> tuple[int, int]:
    """Least number of words to delete, to change and to insert, and the number of words that were told."""
    reference, other = ([bare(word) for word in text.split()] for text in (told, heard))
    row = list(range(len(other) + 1))
    for place, word in enumerate(reference, start=1):
        before, row = row, [place]
        for column, found in enumerate(other, start=1):
            row.append(min(before[column] + 1, row[-1] + 1, before[column - 1] + (word != found)))
    return row[-1], len(reference)
