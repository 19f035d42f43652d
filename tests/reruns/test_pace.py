"""Snakemake begins another look at its ready jobs where its limit is reached, and once."""

import time
from threading import Semaphore

import pytest
from snakemake.scheduling.job_scheduler import JobRateLimiter, JobScheduler
from snakemake.settings.types import MaxJobsPerTimespan
from workflow import copy_project, snakemake

from pipeline.reruns import pace

SECONDS = 0.2


def scheduler_with(limiter: JobRateLimiter | None) -> JobScheduler:
    """As much of a scheduler as a look needs."""
    scheduler = object.__new__(JobScheduler)
    scheduler.job_rate_limiter, scheduler._open_jobs = limiter, Semaphore(0)
    return scheduler


def looks(begun: int, limit: int, rounds: int = 1) -> int:
    """How many looks come of so many begun at the same time, a job having started just before each round."""
    limiter = JobRateLimiter(MaxJobsPerTimespan(limit, f"{1000 * SECONDS:.0f}ms"))
    scheduler = scheduler_with(limiter)
    came = 0
    for _ in range(rounds):
        limiter.register_jobs(1)
        for _ in range(begun):
            JobScheduler._schedule_reevalutation(scheduler, limiter.timespan)
        time.sleep(3 * SECONDS)
        while scheduler._open_jobs.acquire(blocking=False):
            came += 1
    return came


@pytest.fixture
def mended(monkeypatch):
    # while this fails, Snakemake still needs it; once it does not, pace.py can go
    assert looks(5, limit=100) == 5
    monkeypatch.setattr(JobScheduler, "_schedule_reevalutation", JobScheduler._schedule_reevalutation)
    pace.look_when_something_changed()


def test_below_the_limit_nothing_is_looked_at_again(mended):
    assert looks(5, limit=100) == 0


def test_at_the_limit_one_look_comes_each_time(mended):
    assert looks(5, limit=1) == 1
    assert looks(5, limit=1, rounds=2) == 2


def test_a_wait_for_something_else_than_the_limit_is_kept(mended):
    scheduler = scheduler_with(None)
    JobScheduler._schedule_reevalutation(scheduler, SECONDS)
    assert not scheduler._open_jobs.acquire(blocking=False)
    assert scheduler._open_jobs.acquire(timeout=20 * SECONDS)


@pytest.mark.slow
def test_the_workflow_has_it(tmp_path):
    copy_project(tmp_path)
    with open(tmp_path / "Snakefile", "a") as file:
        file.write(
            "\nfrom snakemake.scheduling.job_scheduler import JobScheduler\n"
            "print('looks by', JobScheduler._schedule_reevalutation.__module__)\n"
        )
    assert "looks by pipeline.reruns.pace" in snakemake(tmp_path, "-n", "encoders").stdout
