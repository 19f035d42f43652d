"""Runs of a copy of the project on the test's cluster, and what is looked at in them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from cluster import Cluster, Job, until
from workflow import SMALL, copy_project, write_overlay

from pipeline.core.digests import file_digest

# as few jobs as touch every stage; epochs enough to be caught in the middle of, each small on the disk
SETTINGS = SMALL | {
    "seeds": [0],
    "compare": ["corekd"],
    "corpus": {"shards": 1},
    "embedded": SMALL["embedded"] | {"parts": 1},
    "network": {"hidden": 16, "heads": 2},
    "training": {"epochs": 400},
    "report": {"resamples": 300, "oracle": False},
}
# the fake GPUs compute nothing; and the polling of very short jobs
HERE = ["--config", "device=cpu", "--slurm-init-seconds-before-status-checks", "1"]
PROFILE = ["--workflow-profile", "profiles/slurm", "--configfile", "small.json"]
RUN = Path("runs", "small")


def prepare(folder: Path) -> Path:
    """A copy of the project with the settings of these tests."""
    write_overlay(copy_project(folder), SETTINGS)
    return folder


class Running:
    """Snakemake at work in a folder, through the profile of the project; use as a context."""

    def __init__(self, folder: Path, *arguments: str, options: list[str] = HERE) -> None:
        self.folder, self.said = folder, folder / "snakemake.out"
        environment = dict(os.environ)
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        environment.pop("PYTHONPATH", None)
        with open(self.said, "wb") as out:
            self.process = subprocess.Popen(
                ["snakemake", *arguments, *PROFILE, *options],
                cwd=folder,
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            # once is a request to Snakemake to cancel its jobs and leave
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def wait_for(self, pattern: str, seconds: float = 900) -> Path:
        """The first file of this pattern below the run; AssertionError if Snakemake ends before."""
        deadline = time.monotonic() + seconds
        while not (found := sorted((self.folder / RUN).glob(pattern))):
            assert self.process.poll() is None, f"no {pattern}: {self.output()}"
            assert time.monotonic() < deadline, f"no {pattern} within {seconds:.0f} s: {self.output()}"
            time.sleep(0.02)
        return found[0]

    def finish(self, seconds: float = 3000) -> int:
        """Wait for Snakemake; its status."""
        return self.process.wait(seconds)

    def output(self) -> str:
        """The end of what Snakemake has said so far."""
        return self.said.read_text(errors="replace")[-6000:]


def run(folder: Path, *arguments: str, options: list[str] = HERE) -> Running:
    """Run to the end; AssertionError if that fails."""
    with Running(folder, *arguments, options=options) as running:
        assert running.finish() == 0, running.output()
    return running


def artefacts_of(folder: Path) -> dict[str, str]:
    """Digest of all that a run made, by path; without logs and costs."""
    base = folder / RUN
    return {
        str(path.relative_to(base)): file_digest(path)
        for path in sorted(base.rglob("*"))
        if path.is_file() and path.relative_to(base).parts[0] not in ("logs", "benchmarks")
    }


def lose(cluster: Cluster, running: Running, rule: str, kept: str) -> Job:
    """Take the node away under a job as soon as it has kept something."""
    running.wait_for(kept)
    job = cluster.running(rule)
    cluster.lose_node()
    return job


def cancel(cluster: Cluster, running: Running, rule: str, kept: str) -> Job:
    """Cancel a job as soon as it has kept something."""
    running.wait_for(kept)
    job = cluster.running(rule)
    cluster.cancel(job)
    until(lambda: of(cluster, job).state == "CANCELLED", f"{rule} is cancelled")
    return job


def of(cluster: Cluster, job: Job) -> Job:
    """What SLURM now says of a job."""
    (now,) = [other for other in cluster.jobs() if other.number == job.number]
    return now
