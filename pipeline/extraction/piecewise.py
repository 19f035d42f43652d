"""A shard's work in pieces: file by file side by side, each piece kept if the stage is interrupted."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from threading import Event
from typing import Any, TypeAlias, TypeVar

from pipeline.core.beside import side_by_side
from pipeline.reruns.partial import Piece

R = TypeVar("R")

Rows: TypeAlias = list[dict[str, Any]]  # the utterances of one file


def by_file(
    todo: Sequence[Sequence[Rows]],
    work: Callable[[Rows], R],
    join: Callable[[Sequence[Rows], list[R]], Piece],
    workers: int,
) -> Iterator[Piece]:
    """Pieces of some files each: what `work` makes of every file, by so many threads, joined here."""
    flat = [rows for piece in todo for rows in piece]

    def begun(rows: Rows, stop: Event) -> R:
        return work(rows)

    with closing(side_by_side(flat, begun, workers)) as made:
        for piece in todo:
            yield join(piece, [next(made) for _ in piece])
