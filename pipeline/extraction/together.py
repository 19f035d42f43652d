"""The faces of many files at once: each file goes its way in a thread, and one detector looks for them all.

The batches of a detector are made of the next parts of the same files in the same order, however fast each
file is decoded, so that what a device makes of them does not depend on the number of workers. While one batch
is looked at, every file decodes its next part.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Event, Semaphore, Thread
from typing import Any

import numpy as np

from pipeline.core.beside import Stopped, check, side_by_side
from pipeline.extraction.casting import Casting
from pipeline.extraction.detection import Detector
from pipeline.extraction.faces import FileFaces, OneByOne, of_rows
from pipeline.extraction.looking import View
from pipeline.settings.media import MediaSettings

# Files whose pictures share a batch, and pictures of each of them: part of what a batch is, so no setting.
LANES = 16
SHARE = 2

Rows = list[dict[str, Any]]
Run = Callable[["Lane"], FileFaces]


class Watched(OneByOne):
    """Looks for faces at once, unless nobody waits for the file any more."""

    def __init__(self, detector: Detector, stop: Event, beside: bool) -> None:
        super().__init__(detector)
        self.stop, self.beside = stop, beside

    def hand_in(self, views: list[View]) -> None:
        check(self.stop)
        super().hand_in(views)


@dataclass
class Lane:
    """A file on its way, in a thread of its own; the desk that its parts are handed in at."""

    stop: Event
    permits: Semaphore  # of the threads that may compute
    handed: SimpleQueue[list[View] | None] = field(default_factory=SimpleQueue)  # None: the file has ended
    looked: SimpleQueue[bool] = field(default_factory=SimpleQueue)  # one entry a part that has its faces
    result: FileFaces | BaseException | None = None
    detections: int = SHARE
    ahead: int = 1
    beside: bool = False

    def hand_in(self, views: list[View]) -> None:
        check(self.stop)
        self.handed.put(views)

    def fetch(self) -> None:
        self.permits.release()
        try:
            while not self.stop.is_set():
                try:
                    self.looked.get(timeout=0.5)
                    return
                except Empty:
                    continue
            raise Stopped
        finally:
            self.permits.acquire()

    def work(self, run: Run) -> None:
        """The thread: the whole file."""
        with self.permits:
            try:
                check(self.stop)
                self.result = run(self)
            except BaseException as error:  # raised where the result is asked for
                self.result = error
        self.handed.put(None)

    def ended(self) -> FileFaces:
        """What the file gave; raises the error that it ended with."""
        if not isinstance(self.result, FileFaces):
            raise self.result or RuntimeError("a file has not ended")
        return self.result


class Lanes:
    """The files that are on their way."""

    def __init__(self, files: Iterable[Rows], run: Callable[[Rows], Run], workers: int) -> None:
        self.files, self.run = iter(files), run
        self.stop, self.permits = Event(), Semaphore(workers)
        self.threads: list[Thread] = []

    def begin(self) -> Lane | None:
        """Start on the next file, if there is one."""
        rows = next(self.files, None)
        if rows is None:
            return None
        lane = Lane(self.stop, self.permits)
        self.threads = [thread for thread in self.threads if thread.is_alive()]
        self.threads.append(Thread(target=lane.work, args=(self.run(rows),), daemon=True))
        self.threads[-1].start()
        return lane

    def close(self) -> None:
        """Have all threads end with their present picture."""
        self.stop.set()
        for thread in self.threads:
            thread.join()


def look_for(views: list[View], detector: Detector) -> None:
    """Look for faces in pictures, those of one size together."""
    sizes: dict[tuple[int, ...], list[View]] = {}
    for view in views:
        sizes.setdefault(view.small.shape, []).append(view)
    for same in sizes.values():
        found = detector.find_all(np.stack([view.small for view in same]))
        for view, faces in zip(same, found, strict=True):
            view.faces = detector.whole(faces, view.scale)


def of_pieces(
    pieces: list[list[Rows]],
    detector: Detector,
    reading: MediaSettings,
    workers: int,
    cast: Casting | None = None,
) -> Iterator[list[FileFaces]]:
    """The faces of media files, piece by piece in order; so many threads decode and follow faces.

    cast: from `casting.casting`; by the settings alone if it is left out.
    What a file gives does not depend on the number of threads, nor on the pieces before its own.
    """
    if detector.batches:
        yield from _batched(pieces, detector, reading, workers, cast)
        return
    files = [rows for piece in pieces for rows in piece]
    # more threads than files: those that are left decode ahead
    spare = len(files) < workers

    def whole(rows: Rows, stop: Event) -> FileFaces:
        return of_rows(rows, detector, reading, Watched(detector, stop, spare), cast)

    with closing(side_by_side(files, whole, workers)) as found:
        for piece in pieces:
            yield [next(found) for _ in piece]


def _batched(
    pieces: list[list[Rows]], detector: Detector, reading: MediaSettings, workers: int, cast: Casting | None
) -> Iterator[list[FileFaces]]:
    def run(rows: Rows) -> Run:
        return lambda lane: of_rows(rows, detector, reading, lane, cast)

    lanes = Lanes((rows for piece in pieces for rows in piece), run, workers)
    begun: deque[Lane] = deque()  # files of the next piece, which decode their first parts
    try:
        for piece in pieces:
            own: list[Lane] = []
            active: list[Lane] = []
            while active or len(own) < len(piece):
                while len(active) + len(begun) < LANES and (lane := lanes.begin()) is not None:
                    begun.append(lane)
                while begun and len(own) < len(piece):
                    own.append(begun.popleft())
                    active.append(own[-1])
                handed = [(lane, lane.handed.get()) for lane in active]
                active = [lane for lane, views in handed if views is not None]
                look_for([view for _, views in handed for view in views or []], detector)
                for lane in active:
                    lane.looked.put(True)
            yield [lane.ended() for lane in own]
    finally:
        lanes.close()
