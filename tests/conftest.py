"""Shared by all tests: the types and shapes in the signatures of `models/` and `pipeline/` are
checked while the tests run."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import faults_page  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

install_import_hook(["models", "pipeline"], "runtime_types.check")

# a busy machine is no fault of the code; pytest-timeout ends what hangs
settings.register_profile("project", deadline=None)
settings.load_profile("project")


# what takes longest begins first; the files of one name share what a session fixture made
FIRST = ["test_slurm", "road", "test_reruns", "test_reruns_executed"]
SHARED = {"test_road": "road", "test_browser": "road", "test_kills": "road"}


def group_of(nodeid: str) -> str:
    """The tests of a file stay together, for they share a cluster or a run; some files share one, too."""
    stem = Path(nodeid.split("::", maxsplit=1)[0]).stem
    return SHARED.get(stem, stem)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest groups begin, so that two workers end at about the same time."""
    # before any is deselected: the page of faults is of all tests
    if faults_page.whole(config):
        config.stash[faults_page.FOUND] = faults_page.rows(items)
    items.sort(key=lambda item: _place(group_of(item.nodeid)))


def _place(group: str) -> int:
    return FIRST.index(group) if group in FIRST else len(FIRST)


def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """Work is shared out by group. (`--dist loadgroup` does nothing under this pytest: ids are fixed.)"""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByGroup(config, log)


@pytest.fixture(scope="session")
def road(tmp_path_factory) -> Path:
    """A copy of the project in which the small run has been made; whoever edits it puts it back."""
    from workflow import SMALL, copy_project, snakemake, write_overlay

    folder = copy_project(tmp_path_factory.mktemp("road"))
    write_overlay(folder, SMALL)
    snakemake(folder, "--cores", "2", "--configfile", "small.json")
    return folder
