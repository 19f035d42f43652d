"""docs/new-stage.md, followed word by word: the stage is planned, runs, and reruns after an edit of it."""

from pathlib import Path

import polars as pl
import pytest
from documents import follow
from workflow import ROOT, SMALL, copy_project, planned, snakemake, write_overlay

from pipeline.core import artefacts

PAGE = ROOT / "docs" / "new-stage.md"
MADE = "runs/small/results/turns.csv"
UTTERANCES = pl.DataFrame(
    {
        "dialogue": ["a"] * 5 + ["b"] * 2,
        "position": [4, 0, 1, 2, 3, 0, 1],
        "speaker": ["x", "x", "y", "x", "y", "x", "x"],
        "label": [0, 0, 1, 0, 2, 3, None],
        "split": ["train"] * 5 + ["test"] * 2,
    }
)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("stage"))
    follow(PAGE, folder)
    write_overlay(folder, SMALL)
    return folder


@pytest.mark.slow
def test_the_stage_of_the_docs_runs_and_is_asked_for(project):
    dataset = project / "runs/small/main/dataset"
    dataset.mkdir(parents=True)
    artefacts.save_table(dataset / "utterances.parquet", UTTERANCES)
    force = ("--configfile", "small.json", "--cores", "1", "--rerun-triggers", "params", "code")
    snakemake(project, MADE, "--allowed-rules", "turns", *force)
    rows = (project / MADE).read_text().splitlines()
    # x keeps 0 twice in dialogue a, y changes; a missing label is no turn
    assert rows == ["fold,split,turns,kept", f"main,train,3,{2 / 3}"]
    assert planned(project, "--configfile", "small.json")["turns"] == 1


@pytest.mark.slow
def test_an_edit_of_its_module_reruns_it(project):
    arguments = (MADE, "--allowed-rules", "turns", "--configfile", "small.json")
    assert not planned(project, *arguments)
    module = project / "pipeline/turns.py"
    module.write_text(module.read_text().replace("ge=1", "ge=2"))
    assert planned(project, *arguments) == {"turns": 1}
