"""Shared by all tests: the shapes in the signatures of `models/` are checked while the tests run."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

install_import_hook("models", "beartype.beartype")

# a busy machine is no fault of the code; pytest-timeout ends what hangs
settings.register_profile("project", deadline=None)
settings.load_profile("project")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two workers share the tests by file, files of one run together; what takes longest begins first."""

    def group(item: pytest.Item) -> str:
        return "road" if "road" in item.fixturenames else item.path.stem

    shared = {item.path.stem: group(item) for item in items if group(item) == "road"}
    first = ["test_slurm", "road", "test_reruns", "test_reruns_executed"]
    for item in items:
        item.add_marker(pytest.mark.xdist_group(shared.get(item.path.stem, item.path.stem)))
    items.sort(key=lambda item: _place(first, item.get_closest_marker("xdist_group").args[0]))


def _place(first: list[str], name: str) -> int:
    return first.index(name) if name in first else len(first)


@pytest.fixture(scope="session")
def road(tmp_path_factory) -> Path:
    """A copy of the project in which the small run has been made; whoever edits it puts it back."""
    from workflow import SMALL, copy_project, snakemake, write_overlay

    folder = copy_project(tmp_path_factory.mktemp("road"))
    write_overlay(folder, SMALL)
    snakemake(folder, "--cores", "2", "--configfile", "small.json")
    return folder
