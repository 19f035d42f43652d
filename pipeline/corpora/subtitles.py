"""The cues of SubRip (.srt) and WebVTT (.vtt), as tools and people write them.

Read line by line: every line of times begins a cue, whatever stands before it, so that a missing blank line
or one too many loses nothing. (pysubs2, which is used for writing, takes comments and names of cues for
words, drops words that are numbers, and does not say where a fault is.)
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.corpora import reading
from pipeline.corpora.markup import LABELLED, as_text, voices, words

TIME = r"\d+(?::\d+){1,2}(?:[.,]\d+)?"
FINE = r"(?:\d+:\d+:\d+(?:[.,]\d+)?|\d+:\d+[.,]\d+)"  # surely a time
EXACT = r"(?:\d+:)?\d+:\d+[.,]\d+"
TIMING = re.compile(rf"\s*({TIME})\s*-->\s*({TIME})(?:\s.*)?", re.S)
SURE = re.compile(rf"\s*({FINE})\s*-->\s*({FINE})(?:\s.*)?", re.S)
# an arrow of another kind, or none
OTHER = (
    re.compile(rf"\s*({FINE})\s*[-–—=]{{1,3}} ?[-–—=]?>\s*({FINE})(?:\s.*)?", re.S),
    re.compile(rf"\s*({EXACT})(?:\s*(?:[-–—=]{{1,3}}|→)\s*|\s+)({EXACT})\s*"),
)
FAULTY = re.compile(r"\s*\d+:\d+[:.,]\d\S*\s*[-–—=]{1,3} ?[-–—=]?>.*", re.S)
COUNTER = re.compile(r"\s*(\d{1,9})\s*")
COMMENT = re.compile(r"(?:WEBVTT|NOTE|STYLE|REGION)(?:\s.*)?", re.S)

ARROWS = "lines of times without the arrow -->"
UNPARTED = "cues without a blank line between them"
TORN = "cues with a blank line within"
BEFORE = "lines before the first cue"


@dataclass
class Block:
    """A cue as it stands in the file: times (s), and its lines of text, each with what stood before it."""

    start: float
    end: float
    where: str
    lines: list[str] = field(default_factory=list)
    parted: list[bool] = field(default_factory=list)  # by line: whether it comes after a blank line
    last: int = -1  # the place of the last line

    def add(self, line: str, place: int, parted: bool) -> None:
        self.lines.append(line.strip())
        self.parted.append(parted)
        self.last = place

    def drop_last(self) -> None:
        self.lines.pop()
        self.parted.pop()


def blocks(text: str, path: Path) -> tuple[list[Block], Counter[str]]:
    """All cues in the order of the file, and how often what was repaired.

    Raises PipelineError naming the line of times that cannot be read.
    """
    reader = _Reader(path, text.lstrip().startswith("WEBVTT") or path.suffix.lower() == ".vtt")
    for place, line in enumerate(reading.lines(text)):
        reader.read(line, place)
    reader.close()
    return reader.found, reader.repaired


class _Reader:
    """What has been read of a file so far."""

    def __init__(self, path: Path, webvtt: bool) -> None:
        self.path, self.webvtt = path, webvtt
        self.found: list[Block] = []
        self.repaired: Counter[str] = Counter()
        self.before = ""  # the line before
        self.above = ""  # the last line that was not blank
        self.blank = True  # whether that was blank
        self.comment = False  # whether a comment is being passed over
        self.counted: int | None = None  # the number of the last cue; None if cues have none

    def read(self, line: str, place: int) -> None:
        """One line."""
        if self.webvtt and self.blank and COMMENT.fullmatch(line.strip()):
            self.comment = True
        elif (timing := self._timing(line, place)) is not None:
            self._begin(timing, place)
        elif not line.strip():
            self.comment = False
        elif self.found and not self.comment:
            self.found[-1].add(line, place, self.blank)
        elif not self.found and not self.webvtt:
            # of WebVTT they are its header
            self.repaired[BEFORE] += COUNTER.fullmatch(line) is None
        self.before, self.blank = line, not line.strip()
        self.above = line if line.strip() else self.above

    def close(self) -> None:
        """The end of the file: a number alone is that of a cue which is not there."""
        if self.found and self._is_counter(self.found[-1], directly=False):
            self.found[-1].drop_last()
        self._tell_torn()

    def _timing(self, line: str, place: int) -> tuple[float, float] | None:
        """Start and end (s) of a line of times; None for another line."""
        where = f"{self.path}, line {place + 1}"
        fresh = not self.found or self.blank or COUNTER.fullmatch(self.before) is not None
        found = (TIMING if fresh else SURE).fullmatch(line)
        if not found:
            found = next(filter(None, (other.fullmatch(line) for other in OTHER)), None)
            self.repaired[ARROWS] += found is not None
        if found:
            return reading.seconds(found[1], where), reading.seconds(found[2], where)
        if not self.comment and (("-->" in line and fresh) or FAULTY.fullmatch(line)):
            raise PipelineError(f"{where}: {line[:80]!r} is no line of times. Mend it.")
        return None

    def _begin(self, times: tuple[float, float], place: int) -> None:
        """A new cue; the number or name above it is taken from the one before."""
        if self.found:
            former = self.found[-1]
            directly = bool(former.lines) and former.last == place - 1
            parted = not directly or former.parted[-1]
            # one line between a blank one and the times is the name of a cue
            if (self.webvtt and directly and parted) or self._is_counter(former, directly):
                former.drop_last()
            self.repaired[UNPARTED] += bool(former.lines) and not parted
            self._tell_torn()
        elif counter := COUNTER.fullmatch(self.above):
            self.counted = int(counter[1])
        self.comment = False
        self.found.append(Block(*times, f"{self.path}, line {place + 1}"))

    def _is_counter(self, former: Block, directly: bool) -> bool:
        """Whether the last line of a cue is the number of the next one (`directly`: just above its times)."""
        counter = COUNTER.fullmatch(former.lines[-1]) if former.lines else None
        if self.counted is None or counter is None:
            return False
        number = int(counter[1])
        if not directly and not (number == self.counted + 1 and former.parted[-1]):
            return False
        self.counted = number
        return True

    def _tell_torn(self) -> None:
        self.repaired[TORN] += bool(self.found) and any(self.found[-1].parted[1:])


def as_lines(said: str) -> str:
    """What stands in a cue so that it gives `said` back, line by line and without its blank lines."""
    written = (as_text(line.strip()) for line in reading.lines(said) if line.strip())
    # what would be taken for times or for a speaker begins with an entity
    return "\n".join(f"&#{ord(line[0])};{line[1:]}" if _mistaken(line) else line for line in written)


def _mistaken(line: str) -> bool:
    return any(form.fullmatch(line) for form in (TIMING, *OTHER, FAULTY)) or LABELLED.match(line) is not None


def stands(lines: Sequence[str]) -> bool:
    """Whether lines of words can stand in a SubRip cue as they are."""
    plain = "\n".join(lines)
    kept = words(plain) == plain and len(voices(plain)) == 1 and voices(plain)[0][0] is None
    return kept and not any("-->" in line or _mistaken(line) for line in lines)
