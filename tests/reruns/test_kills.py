"""Every stage, disturbed at a random moment: one plain rerun ends in the bytes of an undisturbed run."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from workflow import snakemake

from pipeline.core.digests import file_digest

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
CONFIG = ("--configfile", "small.json")
ENDS = "one plain rerun ends in the bytes of an undisturbed run, and leaves no litter"
# those that take longest are killed more often
OFTEN = ("standins", "faces", "text", "audio", "visual", "teacher", "student", "evaluate")


@dataclass(frozen=True)
class Job:
    """One job of a finished run: its rule, its outputs, its command, and how long it took (s)."""

    rule: str
    outputs: tuple[str, ...]
    command: str
    seconds: float


def jobs_of(project: Path) -> dict[str, Job]:
    """A job of each rule, the last that a dry run names."""
    said = snakemake(project, "-n", "--forceall", "-p", "all", "model", *CONFIG).stdout
    found = {}
    for block in re.split(r"\n(?=(?:local)?(?:rule|checkpoint) \w+:)", said):
        facts = dict(re.findall(r"^    (output|benchmark): (.+)$", block, re.M))
        command = re.search(r"^Shell command: (.+)$", block, re.M)
        name = re.match(r"(?:local)?(?:rule|checkpoint) (\w+):", block)
        if name and command and "output" in facts:
            cost = pl.read_csv(project / facts["benchmark"], separator="\t", infer_schema=False)
            outputs = tuple(facts["output"].split(", "))
            found[name[1]] = Job(name[1], outputs, command[1].strip(), float(cost["s"][-1]))
    return found


def state(project: Path) -> dict[str, str]:
    """Digest of every file of the run by its path, hidden ones too; without logs and Snakemake's stamps."""
    base = project / "runs" / "small"
    return {
        path.relative_to(base).as_posix(): file_digest(path)
        for path in sorted(base.rglob("*"))
        if path.is_file()
        and path.relative_to(base).parts[0] not in ("logs", "benchmarks")
        and path.name not in (".snakemake_timestamp", ".made.stamp")
    }


def start(project: Path, job: Job, before: str = "") -> subprocess.Popen:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    return subprocess.Popen(
        ["bash", "-c", before + job.command], cwd=project, env=environment, start_new_session=True
    )


def remove(project: Path, job: Job) -> None:
    """What Snakemake deletes before a job."""
    for name in job.outputs:
        path = project / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def killed(project: Path, job: Job, seconds: float) -> bool:
    """Run a job and kill it after so long; whether it was still running then."""
    running = start(project, job)
    try:
        running.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        return True
    return False


@pytest.fixture(scope="module")
def world(road):
    """The small run with an exported model, its jobs, and the bytes of all that it made."""
    snakemake(road, "--cores", "2", "all", "model", *CONFIG)
    # with the cost of the export among them
    snakemake(road, "--cores", "2", "all", "--forcerun", "costs", *CONFIG)
    return road, jobs_of(road), state(road)


@pytest.mark.fault("disk", "kill -9 at a random moment of any stage", ENDS)
def test_kills(world):
    project, jobs, made = world
    draw, kills = random.Random(0), 0
    assert len(jobs) >= 28, sorted(jobs)
    for job in jobs.values():
        remove(project, job)
        for _ in range(3 if job.rule in OFTEN else 1):
            seconds = draw.uniform(0.2, 1.0) * job.seconds
            # on a machine that has become quicker it may end before
            while not killed(project, job, seconds):
                remove(project, job)
                seconds /= 2
            kills += 1
        assert start(project, job).wait() == 0, job
        assert state(project) == made, job.rule
    assert kills >= 30


@pytest.mark.fault("disk", "a full disk in the middle of a stage", f"one paragraph; {ENDS}")
def test_full_disks(world):
    """A limit on the size of files does to a stage what a full disk does, at the same places."""
    project, jobs, made = world
    for name in ("standins", "faces", "dataset", "teacher", "student", "export"):
        job = jobs[name]
        remove(project, job)
        assert start(project, job, "ulimit -f 16; ").wait() == 1, name
        log = (project / re.search(r"(?:> |tee )(\S+\.log)", job.command)[1]).read_text()
        assert "error: " in log and "may not become so large" in log and "Traceback" not in log, log
        assert start(project, job).wait() == 0, name
        assert state(project) == made, name


@pytest.mark.fault("disk", "two runs of a stage at once", ENDS)
def test_two_at_once(world):
    project, jobs, made = world
    for name in (
        "corpus",
        "faces",
        "text",
        "teacher",
        "student",
        "evaluate",
        "tables",
        "confusion",
        "export",
    ):
        job = jobs[name]
        remove(project, job)
        for running in [start(project, job), start(project, job)]:
            # the one that is later may miss what the other has cleared away; its rerun finds all
            running.wait()
        assert start(project, job).wait() == 0, name
        assert state(project) == made, name
