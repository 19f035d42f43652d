"""Groups of jobs after the checkpoint hold no job of before."""

from types import SimpleNamespace

import pytest
from snakemake.jobs import GroupJob, GroupJobFactory
from workflow import copy_project, snakemake

from pipeline.reruns import groups


class Stub:
    """As much of a job as a group looks at."""

    dag = SimpleNamespace(workflow=SimpleNamespace(execution_settings=SimpleNamespace(attempt=1)))


def after_a_merge(factory: GroupJobFactory) -> GroupJob:
    """The group of one job, made again after one of two jobs was merged into it."""
    stays, replaced = Stub(), Stub()
    factory.new("results", [stays], None).merge(factory.new("results", [stays, replaced], None))
    return factory.new("results", [stays], None)


def test_a_group_made_again_holds_no_replaced_job(monkeypatch):
    # while this fails, Snakemake still needs it; once it does not, groups.py can go
    assert len(after_a_merge(GroupJobFactory()).jobs) == 2
    monkeypatch.setattr(GroupJobFactory, "new", GroupJobFactory.new)
    groups.of_present_jobs()
    assert len(after_a_merge(GroupJobFactory()).jobs) == 1


@pytest.mark.slow
def test_the_workflow_has_it(tmp_path):
    copy_project(tmp_path)
    with open(tmp_path / "Snakefile", "a") as file:
        file.write(
            "\nfrom snakemake.jobs import GroupJobFactory\nprint('made by', GroupJobFactory.new.__module__)\n"
        )
    assert "made by pipeline.reruns.groups" in snakemake(tmp_path, "-n", "encoders").stdout
