"""The one door for progress: a bar on a terminal, a line every ten seconds in a log."""

import sys
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Protocol, TypeVar, runtime_checkable

from tqdm import tqdm

T = TypeVar("T")
LINE = "{desc}: {n_fmt} of {total_fmt}, {elapsed} gone, {remaining} left"
TALLY = "{desc}: {n_fmt} of {total_fmt}, {rate_noinv:.3g} a second, {elapsed} gone, {remaining} left{postfix}"


@runtime_checkable
class _Written(Protocol):
    """What a line can be written to."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


class _Lines:
    """A stream that a bar may redraw itself on: each state becomes a line of its own."""

    def __init__(self, stream: _Written) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        if line := text.strip("\r\n "):
            self.stream.write(line + "\n")

    def flush(self) -> None:
        self.stream.flush()


def _bar(what: str, total: int | None, line: str, items: Iterable[T] | None = None) -> tqdm:
    if sys.stderr.isatty():
        return tqdm(items, desc=what, total=total)
    # the first state of a bar is drawn at once, unless it has to wait like every other
    return tqdm(
        items, desc=what, total=total, mininterval=10, delay=10, file=_Lines(sys.stderr), bar_format=line
    )


def progress(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """`items` one by one, with their progress on standard error; `total` if `items` has no length."""
    yield from _bar(what, total, LINE, items)


class Tally:
    """What is done of so many things, how fast, and how many of them turned out absent."""

    def __init__(self, what: str, total: int) -> None:
        self.absent = 0
        self.bar: tqdm = _bar(what, total, TALLY)

    def add(self, done: int, absent: int = 0) -> None:
        """So many more are done, of which so many are absent."""
        self.absent += absent
        if self.absent:
            self.bar.set_postfix(absent=self.absent, refresh=False)
        self.bar.update(done)

    def __enter__(self) -> "Tally":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()
