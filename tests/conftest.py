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


@pytest.fixture(scope="session")
def road(tmp_path_factory) -> Path:
    """A copy of the project in which the small run has been made; whoever edits it puts it back."""
    from workflow import SMALL, copy_project, snakemake, write_overlay

    folder = copy_project(tmp_path_factory.mktemp("road"))
    write_overlay(folder, SMALL)
    snakemake(folder, "--cores", "2", "--configfile", "small.json")
    return folder
