"""The embedded pipeline twice from nothing, by one job at a time and by two: equal bytes, costs apart."""

import pytest
from workflow import SMALL, copy_project, snakemake, write_overlay

from pipeline.core.digests import file_digest

APART = ("logs", "benchmarks", "costs")  # they tell of time


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_one_job_at_a_time_and_two_end_in_the_same_bytes(tmp_path):
    made = []
    for cores in ("1", "2"):
        folder = copy_project(tmp_path / cores)
        write_overlay(folder, SMALL)
        snakemake(folder, "--cores", cores, "all", "model", "--configfile", "small.json")
        base = folder / "runs" / "small"
        made.append(
            {
                path.relative_to(base).as_posix(): file_digest(path)
                for path in sorted(base.rglob("*"))
                if path.is_file() and not {*path.relative_to(base).parts} & {*APART}
            }
        )
    assert len(made[0]) > 100
    assert made[0] == made[1]
