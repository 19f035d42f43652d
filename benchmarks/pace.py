"""What Snakemake itself costs while jobs run, with and without `pipeline.reruns.pace`.

    python benchmarks/pace.py

A workflow of its own, in a temporary folder: jobs that sleep, each with some inputs. Both ways take turns;
printed are medians, in seconds: `wall` is what a person waits, `CPU` what Snakemake and the shells of its
jobs took.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACED = """
import sys
sys.path.insert(0, {root!r})
from pipeline.reruns import pace
pace.look_when_something_changed()
"""
JOBS = """
rule all:
    input: expand("out/{{job}}", job=range({jobs}))
rule one:
    input: expand("in/{{{{job}}}}_{{number}}", number=range(8))
    output: "out/{{job}}"
    shell: "sleep 0.5; touch {{output}}"
"""


def timed(jobs: int, paced: bool) -> tuple[float, float]:
    """Wall and CPU seconds of one run on two cores."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "in").mkdir()
        for job in range(jobs):
            for number in range(8):
                (folder / "in" / f"{job}_{number}").touch()
        rules = JOBS.format(jobs=jobs)
        (folder / "Snakefile").write_text((PACED.format(root=str(ROOT)) if paced else "") + rules)
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "all"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print one line for each way."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=150, help="jobs of half a second (default 150)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each way (default 3)")
    options = parser.parse_args()
    taken: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for _ in range(options.rounds):
        for paced, runs in taken.items():
            runs.append(timed(options.jobs, paced))
    print(f"{options.jobs} jobs of .5 s, medians of {options.rounds}\n{'':<24}{'wall':>8}{'CPU':>8}")
    for paced, runs in taken.items():
        wall, cpu = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"{'with pace' if paced else 'Snakemake as it is':<24}{wall:>8.1f}{cpu:>8.1f}")


if __name__ == "__main__":
    main()
