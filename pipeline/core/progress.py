"""The one door for progress: a bar on a terminal, a line every ten seconds in a log."""

import sys
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar, runtime_checkable

from tqdm import tqdm

T = TypeVar("T")
LINE = "{desc}: {n_fmt} of {total_fmt}, {elapsed} gone, {remaining} left"


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


def progress(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """`items` one by one, with their progress on standard error; `total` if `items` has no length."""
    if sys.stderr.isatty():
        yield from tqdm(items, desc=what, total=total)
        return
    # the first state of a bar is drawn at once, unless it has to wait like every other
    yield from tqdm(
        items, desc=what, total=total, mininterval=10, delay=10, file=_Lines(sys.stderr), bar_format=LINE
    )
