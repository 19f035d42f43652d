"""Recognised words as sentences: the utterances of a medium that has no transcript."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from pipeline.settings.recognition import SentenceSettings

# one row a word, in order. `word` has the space before it that its language writes; times in seconds
WORDS = {
    "word": pl.String,
    "start": pl.Float64,
    "end": pl.Float64,
    "confidence": pl.Float32,
    "language": pl.String,
}
SHORTEST = 0.1  # s; a recogniser may give a word no length
END = re.compile(r"[.?!…。？！]['\"”’»)\]]*$")
ABBREVIATED = re.compile(r"^\W*(?:Mr|Mrs|Ms|Dr|Prof|St|[A-Z])\.$")


@dataclass(frozen=True)
class Sentence:
    """What was said from `start` to `end` (s); confidence: the mean of its words'."""

    start: float
    end: float
    text: str
    confidence: float


def sentences(words: pl.DataFrame, settings: SentenceSettings) -> list[Sentence]:
    """The sentences in order. words: columns as WORDS.

    A sentence ends with its full stop, question or exclamation mark, or before a pause; a long one is cut.
    """
    rows = list(words.iter_rows(named=True))
    found: list[list[dict]] = []
    for row in rows:
        last = found[-1][-1] if found else None
        if last is None or _ends(last["word"]) or row["start"] - last["end"] >= settings.pause:
            found.append([])
        found[-1].append(row)
    return [_joined(piece) for whole in found for piece in _cut(whole, settings.longest)]


def _ends(word: str) -> bool:
    return bool(END.search(word.strip())) and not ABBREVIATED.match(word.strip())


def _cut(rows: Sequence[dict], longest: float) -> Iterator[Sequence[dict]]:
    """The words in pieces of at most `longest` s, cut at the widest gap of their middle third."""
    if rows[-1]["end"] - rows[0]["start"] <= longest or len(rows) == 1:
        yield rows
        return
    low = max(1, len(rows) // 3)
    places = range(low, max(low + 1, len(rows) - len(rows) // 3))
    border = max(places, key=lambda place: rows[place]["start"] - rows[place - 1]["end"])
    yield from _cut(rows[:border], longest)
    yield from _cut(rows[border:], longest)


def _joined(rows: Sequence[dict]) -> Sentence:
    start = rows[0]["start"]
    return Sentence(
        start,
        max(rows[-1]["end"], start + SHORTEST),
        "".join(row["word"] for row in rows).strip(),
        sum(row["confidence"] for row in rows) / len(rows),
    )
