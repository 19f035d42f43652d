"""Work side by side: in order, few at a time, errors in their turn, and no thread that outlives it."""

import threading
import time

import pytest

from pipeline.core.beside import AHEAD, Stopped, check, prefetched, side_by_side

WORKERS = [1, 2, 5]


def running() -> int:
    return threading.active_count()


@pytest.mark.parametrize("workers", WORKERS)
def test_results_come_in_order_whatever_finishes_first(workers):
    def work(task, stop):
        time.sleep(0.002 * (task * 7 % 5))
        return task * task

    assert list(side_by_side(range(30), work, workers)) == [task * task for task in range(30)]


@pytest.mark.parametrize("workers", WORKERS)
def test_few_tasks_are_begun_and_not_handed_over(workers):
    begun, most = 0, 0

    def work(task, stop):
        nonlocal begun
        begun += 1
        return task

    for taken, _ in enumerate(side_by_side(range(100), work, workers)):
        time.sleep(0.001)
        most = max(most, begun - taken)
    assert begun == 100
    assert most <= AHEAD * workers + 1


def test_two_workers_work_at_the_same_time():
    both = threading.Barrier(2, timeout=20)
    assert len(list(side_by_side([0, 1], lambda task, stop: both.wait(), 2))) == 2


@pytest.mark.parametrize("workers", WORKERS)
def test_an_error_comes_in_its_turn_and_ends_all_threads(workers):
    before = running()

    def work(task, stop):
        if task == 3:
            raise KeyError("three")
        return task

    done = []
    with pytest.raises(KeyError, match="three"):
        for result in side_by_side(range(50), work, workers):
            done.append(result)
    assert done == [0, 1, 2]
    assert running() == before


def test_who_stops_asking_waits_for_no_long_task():
    before, started = running(), time.monotonic()

    def work(task, stop):
        if task:
            stop.wait(60)
            check(stop)
        return task

    results = side_by_side(range(50), work, 3)
    assert next(results) == 0
    results.close()
    assert time.monotonic() - started < 20
    assert running() == before
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        check(stop)


def test_items_are_made_ahead_but_not_too_far():
    made = []

    def source():
        for item in range(50):
            made.append(item)
            yield item

    for item in prefetched(source(), 3):
        time.sleep(0.001)
        assert len(made) <= item + 5
    assert made == list(range(50))


def test_what_a_source_raises_comes_after_its_items_and_its_thread_ends():
    before = running()

    def source():
        yield from range(4)
        raise OSError("the tail is damaged")

    done = []
    with pytest.raises(OSError, match="the tail"):
        for item in prefetched(source(), 2):
            done.append(item)
    assert done == [0, 1, 2, 3]
    endless = prefetched(iter(int, 1), 2)
    assert next(endless) == 0
    endless.close()
    assert running() == before
