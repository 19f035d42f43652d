"""How long Snakemake thinks: dry runs and no-op runs of a small and of a large graph.

    python benchmarks/graph.py

Nothing is computed. In a temporary folder, a copy of the project gets the files of finished runs, empty, and
of CMU-MOSEI the names of its 23,000 clips and 3,300 transcripts. Printed are medians of several runs, in
seconds: `wall` is what a person waits, `CPU` what it cost (the fairer figure on a busy machine).
"""

import argparse
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from workflow import copy_project, pretend_finished, snakemake  # noqa: E402

CLIPS, VIDEOS = 23_000, 3_300
MOSEI = ("--configfile", "config/mosei.yaml")
# what the job of a stage on a cluster calls, twice: Snakemake for this job alone
JOB = (
    *("-n", "--snakefile", "Snakefile", "--cores", "1", "--mode", "remote", "--nolock", "--force"),
    *("--target-jobs", "conflicts:fold=main", "--allowed-rules", "conflicts", "--ignore-incomplete"),
)


def make_mosei(folder: Path) -> None:
    """The names of CMU-MOSEI's files, all of them empty."""
    clips = folder / "Raw" / "Videos" / "Segmented" / "Combined"
    texts = folder / "Raw" / "Transcript" / "Segmented" / "Combined"
    for place in (clips, texts):
        place.mkdir(parents=True)
    for number in range(CLIPS):
        (clips / f"video{number % VIDEOS}_{number // VIDEOS}.mp4").touch()
    for number in range(VIDEOS):
        (texts / f"video{number}.txt").touch()


def timed(project: Path, rounds: int, *arguments: str) -> tuple[float, float]:
    """Median wall and CPU seconds of a Snakemake command."""
    wall, cpu = [], []
    for _ in range(rounds):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        snakemake(project, *arguments)
        wall.append(time.monotonic() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(wall), statistics.median(cpu)


def main() -> None:
    """Print one line a case."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--rounds", type=int, default=3, help="runs of each case (default 3)")
    rounds = options.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        project = copy_project(Path(folder) / "project")
        make_mosei(project / "data" / "CMU_MOSEI")
        cases = [("CMU-MOSEI, nothing made: dry run", *timed(project, rounds, "-n", *MOSEI))]
        jobs = pretend_finished(project, *MOSEI).count("jobid: ")
        cases.append(("CMU-MOSEI, finished: dry run", *timed(project, rounds, "-n", *MOSEI)))
        cases.append(("CMU-MOSEI, finished: run", *timed(project, rounds, "--cores", "1", *MOSEI)))
        pretend_finished(project)
        cases.append(("embedded run, finished: dry run", *timed(project, rounds, "-n")))
        cases.append(("embedded run, finished: run", *timed(project, rounds, "--cores", "1")))
        cases.append(("embedded run: a job on a cluster", *timed(project, rounds, *JOB)))
    print(f"{CLIPS} clips, {jobs} jobs; medians of {rounds}")
    print(f"{'':36}{'wall':>7}{'CPU':>7}")
    for name, wall, cpu in cases:
        print(f"{name:36}{wall:7.1f}{cpu:7.1f}")


if __name__ == "__main__":
    main()
