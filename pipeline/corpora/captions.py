"""Captions that roll: each repeats lines of the one before, as automatic ones do, so words come twice."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from pipeline.corpora.markup import words
from pipeline.corpora.subtitles import Block

BRIDGE = 0.05  # s; no utterance is as short, and what repeats the cue before it bridges to the next
GAP = 0.1  # s between cues that follow each other

TWICE = "cues that stand twice"
BRIDGES = "bridges between automatic captions"
REPEATED = "lines that repeat the caption before"


def unrolled(blocks: Sequence[Block]) -> tuple[list[Block], Counter[str]]:
    """The cues in order of their times, each thing said in it once; and how much was left out.

    Left out are: a cue that stands twice; one of at most BRIDGE s that repeats the end of the one before;
    and, in a file of which half the cues roll like that, all lines that repeat the caption before them.
    """
    left: Counter[str] = Counter()
    found: list[Block] = []
    seen: set[tuple[float, float, tuple[str, ...]]] = set()
    for block in sorted(blocks, key=lambda block: (block.start, block.end)):
        key = (block.start, block.end, tuple(block.lines))
        left[TWICE] += key in seen
        if key not in seen:
            found.append(block)
        seen.add(key)
    shown = [[said for line in block.lines if (said := words(line).strip())] for block in found]
    pairs = zip(pairwise(found), pairwise(shown), strict=True)
    shared = [0, *(_shared(*pair, *both) for pair, both in pairs)][: len(found)]
    rolling = _rolls(found, shown, shared)
    kept = []
    for block, lines, count in zip(found, shown, shared, strict=True):
        bridge = 0 < count == len(lines) and _brief(block)
        left[BRIDGES] += bridge
        if bridge:
            continue
        if rolling and count:
            left[REPEATED] += count
            if count == len(lines):
                continue
            block.lines = _after(block.lines, count)
        kept.append(block)
    return kept, +left


def _brief(block: Block) -> bool:
    # a cue of no length is a fault, and is said to be
    return 0 < block.end - block.start <= BRIDGE


def _shared(before: Block, after: Block, above: list[str], below: list[str]) -> int:
    """How many first lines of a cue are the last ones of the cue before, which it follows."""
    if after.start - before.end > GAP:
        return 0
    most = min(len(above), len(below))
    return next((count for count in range(most, 0, -1) if above[-count:] == below[:count]), 0)


def _rolls(found: Sequence[Block], shown: Sequence[list[str]], shared: Sequence[int]) -> bool:
    """Whether half of the cues that follow another repeat it and go on, or are bridges; two at least."""
    followed = sum(after.start - before.end <= GAP for before, after in pairwise(found))
    rolled = sum(
        0 < count < len(lines) or (count > 0 and _brief(block))
        for block, lines, count in zip(found, shown, shared, strict=True)
    )
    return rolled >= 2 and 2 * rolled >= followed


def _after(lines: Sequence[str], count: int) -> list[str]:
    """The lines after the first `count` that show something."""
    rest = list(lines)
    while count:
        count -= bool(words(rest.pop(0)).strip())
    return rest
