"""The whole road on a very small embedded corpus: run, run again, edit, kill and go on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from documents import examples
from workflow import ROOT, SMALL, copy_project, planned, snakemake, write_overlay

from pipeline.artefacts import file_digest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project in which the small run has been made."""
    folder = copy_project(tmp_path_factory.mktemp("road"))
    write_overlay(folder, SMALL)
    snakemake(folder, "--cores", "2", "--configfile", "small.json")
    return folder


def results(folder: Path) -> dict[str, str]:
    """Digest of every result file by its path."""
    base = folder / "runs" / "small" / "results"
    return {str(path.relative_to(base)): file_digest(path) for path in base.rglob("*") if path.is_file()}


def test_the_run_ends_with_tables_and_figures(project):
    files = results(project)
    assert [name for name in files if name.endswith(".md")]
    assert [name for name in files if name.endswith(".csv")]
    assert [name for name in files if name.endswith(".svg")]
    assert "tables/summary.txt" in files


def test_every_variant_seed_and_condition_is_scored(project):
    scores = pl.read_parquet(project / "runs/small/results/scores.parquet")
    trained = scores.filter(pl.col("variant").is_in(["teacher", "corekd", "modality_dropout"]))
    seeds = trained.filter(pl.col("seed") >= 0).group_by("variant").agg(pl.col("seed").unique().sort())
    assert {row["variant"] for row in seeds.iter_rows(named=True)} == {
        "teacher",
        "corekd",
        "modality_dropout",
    }
    for row in seeds.iter_rows(named=True):
        assert row["seed"] == [0, 1]
    conditions = set(trained["condition"])
    assert {
        "complete",
        "fixed/t",
        "fixed/av",
        "random/0.1",
        "random/0.7",
        "conflict/av/different",
    } <= conditions


def test_a_second_run_has_nothing_to_do(project):
    before = results(project)
    assert planned(project, "--configfile", "small.json") == {}
    said = snakemake(project, "--cores", "2", "--configfile", "small.json")
    assert "Nothing to be done" in said.stdout + said.stderr
    assert results(project) == before


def test_every_job_left_a_log_and_a_benchmark(project):
    run = project / "runs" / "small"
    assert len(list(run.glob("logs/student/*.log"))) == 4
    assert len(list(run.glob("benchmarks/student/*.tsv"))) == 4
    for path in run.glob("logs/**/*.log"):
        lines = path.read_text().splitlines()
        assert lines[0].startswith("stage pipeline."), path
        assert lines[1].startswith("on "), path
        assert lines[2].startswith("settings {"), path
        assert any(line.startswith(("device cpu", "device cuda")) for line in lines[3:12]), path
        assert lines[-2].startswith("wrote "), path
        assert lines[-1].startswith("done in "), path
        assert "\r" not in path.read_text(), path


def test_the_tutorials_examples_run_on_it(project):
    path = project / "example.py"
    for example in examples(ROOT / "docs" / "tutorial.md"):
        if example.language == "python":
            path.write_text(example.text.replace("runs/embedded", "runs/small"))
            environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(project)}
            subprocess.run([sys.executable, str(path)], cwd=project, env=environment, check=True)
    assert (project / "dialogue.png").stat().st_size > 1000
    assert (project / "crops.png").stat().st_size > 1000


def test_a_run_killed_in_training_ends_in_the_same_tables(project, tmp_path):
    """SIGKILL for Snakemake and all its jobs in the middle of training; then the same command again."""
    import shutil

    folder = copy_project(tmp_path / "killed")
    write_overlay(folder, SMALL)
    shutil.copytree(project / "runs", folder / "runs")
    shutil.copytree(project / ".snakemake", folder / ".snakemake")
    for stale in ("main/teacher", "main/student", "main/references", "main/predictions", "results"):
        shutil.rmtree(folder / "runs" / "small" / stale)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with subprocess.Popen(
        ["snakemake", "--cores", "2", "--configfile", "small.json"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as running:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            if list(folder.glob("runs/small/logs/student/*.log")) and list(
                folder.glob("runs/small/main/teacher/*/weights.safetensors")
            ):
                break
            time.sleep(0.2)
        time.sleep(1.0)
        assert running.poll() is None, "the run ended before it could be killed"
        os.killpg(running.pid, signal.SIGKILL)
    snakemake(folder, "--unlock", "--configfile", "small.json")
    snakemake(folder, "--cores", "2", "--configfile", "small.json")
    assert results(folder) == results(project)
