"""The workflow used from another folder: its runs there, its code and its settings' base in the clone."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
from documents import examples
from workflow import ROOT, SMALL, copy_project, planned, snakemake, write_overlay

# one part, one shard, one student: what is asked here is where files are looked for
SMALLEST = SMALL | {
    "seeds": [0],
    "compare": ["modality_dropout"],
    "corpus": {"shards": 1},
    "embedded": SMALL["embedded"] | {"parts": 1},
    "report": SMALL["report"] | {"reference": "modality_dropout"},
}
MANIFEST = "runs/small/manifest.parquet"
PAGE = "runs/small/results/explorer.html"
# the Snakefile of somebody else's that docs/elsewhere.md shows
SHOWN = next(e.text for e in examples(ROOT / "docs" / "elsewhere.md") if e.language == "python")


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    return copy_project(tmp_path_factory.mktemp("clone"))


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


def module(folder: Path, clone: Path, settings: dict) -> Path:
    """A folder whose Snakefile has the workflow as a module, with these settings."""
    folder.mkdir()
    (folder / "Snakefile").write_text(SHOWN.replace("/home/me/core-kd/Snakefile", str(clone / "Snakefile")))
    (folder / "settings.yaml").write_text(json.dumps({"own": 1, "emotions": settings}))
    return folder


@pytest.fixture(scope="module")
def begun(clone, tmp_path_factory) -> Path:
    """A folder in which the module has drawn the corpus and listed it."""
    folder = module(tmp_path_factory.mktemp("other") / "study", clone, SMALLEST)
    snakemake(folder, "--cores", "2", MANIFEST)
    return folder


@pytest.mark.slow
def test_a_module_of_another_workflow(begun):
    process = SMALLEST["embedded"]["process"]
    assert pl.read_parquet(begun / MANIFEST).height == process["dialogues"] * process["utterances"]
    plan = planned(begun)
    assert plan["report_emotions"] == plan["corekd_scores"] == 1
    assert "corekd_manifest" not in plan


@pytest.mark.slow
def test_a_run_in_another_folder(clone, begun, tmp_path):
    """From the same folder, so that it goes on from what the module has made."""
    before = files(clone)
    overlay = write_overlay(tmp_path, SMALLEST)
    (begun / "models").mkdir()  # not a package, so it is in nobody's way
    arguments = ("-s", str(clone / "Snakefile"), "--directory", str(begun), "--configfile", str(overlay))
    said = snakemake(tmp_path, "--cores", "2", "results", PAGE, *arguments)
    jobs = set(re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):$", said.stdout + said.stderr, re.M))
    assert {"faces", "student", "tables"} <= jobs
    assert not {"corpus", "manifest"} & jobs, "it is the same run"
    results = begun / "runs" / "small" / "results"
    assert "modality dropout" in (results / "tables" / "main.csv").read_text()
    assert "@@DATA@@" not in (results / "explorer.html").read_text()
    assert files(clone) == before
    assert not planned(tmp_path, "results", PAGE, *arguments)


@pytest.mark.fault("config", "a mistake in the settings that a module is given", "one paragraph")
def test_a_fault_in_the_settings_of_a_module_is_told(clone, tmp_path):
    module(tmp_path / "other", clone, {"seed": 1})
    said = snakemake(tmp_path / "other", "-n", check=False).stderr
    assert "config of the module" in said
    assert "'seed'" in said


@pytest.mark.fault("command", "a module with a prefix", "refused, with the key to use")
def test_a_prefix_is_refused(clone, tmp_path):
    module(tmp_path / "other", clone, SMALLEST)
    path = tmp_path / "other" / "Snakefile"
    path.write_text(path.read_text().replace("    config:\n", '    prefix:\n        "below"\n    config:\n'))
    assert "takes no prefix" in snakemake(tmp_path / "other", "-n", check=False).stderr


@pytest.mark.fault(
    "command",
    "a folder `pipeline` or `models` where Snakemake is started elsewhere",
    "refused, with its name",
)
def test_a_package_that_would_take_the_place_of_ours_is_refused(clone, tmp_path):
    (tmp_path / "models.py").touch()
    said = snakemake(tmp_path, "-n", "-s", str(clone / "Snakefile"), check=False).stderr
    assert "models.py" in said
    assert "Rename it" in said
