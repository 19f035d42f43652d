"""Groups of jobs on a cluster, made of the jobs that there are.

Snakemake 9.27 keeps each group that it made, by the jobs it was made of, and merges others into it in place.
After the checkpoint, which replaces jobs, it takes such a group out again with jobs that no longer are, runs
those twice, and may end in a KeyError when the group has ended (snakemake/snakemake, issue 4202).
"""

from collections.abc import Iterable
from typing import Any

from snakemake.jobs import GroupJob, GroupJobFactory


def _anew(self: GroupJobFactory, id: str, jobs: Iterable[Any], resources: Any) -> GroupJob:
    return GroupJob(id, frozenset(jobs), resources)


def of_present_jobs() -> None:
    """Have this process's Snakemake make every group anew."""
    GroupJobFactory.new = _anew
