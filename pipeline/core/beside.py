"""Work side by side in threads: results in order, few of them at a time, and an end that waits for nobody.

Threads, for what takes the time (FFmpeg, OpenCV, torch) runs without Python's lock.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Stopped(Exception):
    """Raised in a thread whose result nobody waits for any more."""


def check(stop: Event) -> None:
    """Raise Stopped once `stop` is set."""
    if stop.is_set():
        raise Stopped


AHEAD = 4  # tasks a worker that may be begun and not handed over: one long task keeps few others waiting


def side_by_side(tasks: Iterable[T], work: Callable[[T, Event], R], workers: int) -> Generator[R, None, None]:
    """What `work` makes of each task, in order, by so many threads.

    At most `AHEAD` tasks a worker are begun and not handed over, so memory does not grow with their number.
    `work` is given an event that is set once its result is not wanted any more; one that takes long looks at
    it (`check`). The error of a task is raised in its turn. One worker works in this thread, as results are
    asked for.
    """
    stop = Event()
    if workers == 1:
        yield from (work(task, stop) for task in tasks)
        return

    def begun(task: T) -> R:
        check(stop)
        return work(task, stop)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="worker")
    source = iter(tasks)
    try:
        first = islice(source, AHEAD * workers)
        waiting: deque[Future[R]] = deque(pool.submit(begun, task) for task in first)
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(begun, task) for task in islice(source, 1))
            yield result
            del result
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def prefetched(source: Iterator[T], ahead: int) -> Generator[T, None, None]:
    """The items of `source`, which a thread of its own makes, at most `ahead` of them before they are taken.

    What `source` raises is raised here, after the items before it.
    """
    stop = Event()
    items: Queue[tuple[T] | BaseException | None] = Queue(ahead)

    def give(item: tuple[T] | BaseException | None) -> None:
        while not stop.is_set():
            try:
                items.put(item, timeout=0.5)
                return
            except Full:
                continue

    def make() -> None:
        try:
            for item in source:
                give((item,))
                if stop.is_set():
                    return
            give(None)
        except BaseException as error:  # raised where the items are taken
            give(error)

    thread = Thread(target=make, daemon=True)
    thread.start()
    try:
        while (item := items.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]
    finally:
        stop.set()
        thread.join()
