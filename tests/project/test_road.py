"""The whole road on a very small embedded corpus: run, run again, edit, kill and go on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from documents import examples
from workflow import ROOT, SMALL, copy_project, planned, snakemake, write_overlay

from pipeline.core import media
from pipeline.core.artefacts import file_digest
from pipeline.model import load
from pipeline.settings.annotate import AnnotateSettings, FilmSettings, SpeechSettings
from pipeline.speech import activity

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(road) -> Path:
    """A copy of the project in which the small run has been made."""
    return road


def results(folder: Path) -> dict[str, str]:
    """Digest of every result file by its path; without the costs, which are times."""
    base = folder / "runs" / "small" / "results"
    files = [path for path in base.rglob("*") if path.is_file() and path.parent.name != "costs"]
    return {str(path.relative_to(base)): file_digest(path) for path in files}


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
        told = next(line for line in lines[3:] if not line.startswith("reads "))
        assert told.startswith(("device cpu", "device cuda")), path
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


@pytest.mark.fault(
    "disk",
    "kill -9 of Snakemake and all its jobs in training",
    "`make run` goes on from the last epoch; the same tables",
)
def test_a_run_killed_in_training_ends_in_the_same_tables(project, tmp_path):
    """SIGKILL for Snakemake and all its jobs in the middle of a student; then the same command again."""
    folder = copy_project(tmp_path / "killed")
    write_overlay(folder, SMALL)
    shutil.copytree(project / "runs", folder / "runs")
    shutil.copytree(project / ".snakemake", folder / ".snakemake")
    for stale in ("student", "predictions", "states", "../results"):
        shutil.rmtree(folder / "runs" / "small" / "main" / stale)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with subprocess.Popen(
        ["snakemake", "--cores", "2", "--configfile", "small.json"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as running:
        try:
            variant, seed = caught_in_training(folder, running)
        finally:
            os.killpg(running.pid, signal.SIGKILL)
    snakemake(folder, "--unlock", "--configfile", "small.json")
    snakemake(folder, "--cores", "2", "--configfile", "small.json")
    log = folder / "runs" / "small" / "logs" / "student" / f"main-{variant}-{seed}.log"
    assert "resumed after epoch" in log.read_text()
    assert results(folder) == results(project)


def caught_in_training(folder: Path, running: subprocess.Popen) -> tuple[str, str]:
    """Stop a run when a student has kept an epoch and is not at its end; the student's variant and seed.

    Raises AssertionError if the run ends before, or none is caught in five minutes.
    """
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and running.poll() is None:
        if states(folder):
            os.killpg(running.pid, signal.SIGSTOP)
            # it may have ended between the look and the stop
            if found := states(folder):
                return found[0].parts[-4], found[0].parts[-3]
            os.killpg(running.pid, signal.SIGCONT)
        time.sleep(0.005)
    raise AssertionError("no student could be caught in training")


def states(folder: Path) -> list[Path]:
    """What students in training have kept."""
    return list(folder.glob("runs/small/main/student/*/*/.resume-*/state.safetensors"))


CONFIG = ("--configfile", "small.json")


@pytest.fixture(scope="module")
def model(project):
    """The model that the run exports."""
    snakemake(project, "--cores", "2", "model", *CONFIG)
    return load(project / "runs/small/model/corekd/0")


def test_annotating_says_what_the_evaluation_said(project, model, tmp_path):
    """A test dialogue with its transcript: the same features and the same probabilities.

    Batches are put together differently, so sums end in other last digits; nothing more.
    """
    run = project / "runs/small"
    own = pl.read_parquet(run / "main/dataset/utterances.parquet").filter(split="test")
    told = pl.read_parquet(run / "manifest.parquet").select("utterance", "media", "start", "end", "text")
    said = pl.read_parquet(run / "main/predictions/corekd/0.parquet").filter(
        condition="complete", checkpoint="selected"
    )
    for dialogue in own["dialogue"].unique(maintain_order=True)[:2]:
        rows = (
            own.filter(dialogue=dialogue).sort("position").join(told, on="utterance", maintain_order="left")
        )
        rows = rows.join(said, on="row", maintain_order="left")
        transcript = tmp_path / f"{dialogue}.csv"
        rows.select("start", "end", "speaker", "text").write_csv(transcript)
        settings = AnnotateSettings(film=FilmSettings(drawn=False))
        found = model.annotate(project / rows["media"][0], transcript, settings=settings, device="cpu")
        shares = found.select(f"p_{label}" for label in model.labels).to_numpy()
        assert shares == pytest.approx(np.stack(rows["probabilities"].to_list()), abs=1e-4)
        for name in ("reason_text", "reason_audio", "reason_visual"):
            assert found[name].to_list() == rows[name].to_list()
        assert found["speaker"].to_list() == rows["speaker"].to_list()


def test_the_card_holds_the_measured_scores(project, model):
    card = (model.folder / "README.md").read_text()
    assert model.facts.notice in card
    scores = pl.read_parquet(project / "runs/small/results/scores.parquet").filter(
        variant="corekd", seed=0, checkpoint="selected", metric="weighted_f1"
    )
    row = next(line for line in card.splitlines() if "this model (seed 0)" in line)
    for condition in ("complete", "fixed/mean", "random/mean"):
        value = scores.filter(condition=condition)["value"].item()
        assert f"{100 * value:.1f}" in row


def test_an_exported_model_holds_nothing_of_snakemakes(project, model):
    assert (project / "runs/small/encoders/text/.snakemake_timestamp").exists()
    parts = [path.name for path in (model.folder / "encoders").rglob("*")]
    assert "model.safetensors" in parts and not [name for name in parts if name.startswith(".")]
    assert ".snakemake_timestamp" not in (model.folder / "config.json").read_text()


def test_speech_of_drawn_dialogues_is_found(project):
    heard = told = right = 0
    for (film,), rows in pl.read_parquet(project / "runs/small/manifest.parquet").group_by("media"):
        sound = media.audio(project / film)
        times = np.arange(0, len(sound) / media.SAMPLE_RATE, 0.01)
        spans = activity.utterances(sound, SpeechSettings())
        found, true = np.zeros(len(times), bool), np.zeros(len(times), bool)
        for start, end in spans:
            found |= (times >= start) & (times < end)
        for start, end in rows.select("start", "end").iter_rows():
            true |= (times >= start) & (times < end)
        heard, told, right = heard + found.sum(), told + true.sum(), right + (found & true).sum()
        assert len(spans) == pytest.approx(len(rows), abs=1)
    assert right / told > 0.95
    assert right / heard > 0.95


def test_annotating_never_plans_training(project, model):
    video = next((project / "runs/small/corpus").rglob("*.mp4")).relative_to(project)
    target = ("--cores", "1", "annotate", *CONFIG, "--config", f"video={video}")
    weights = project / "runs/small/main/student/corekd/0/weights.safetensors"
    losses = project / "models" / "losses.py"
    text = losses.read_text()
    weights.rename(weights.with_suffix(".away"))
    try:
        losses.write_text(text + "\nEDITED = 1\n")
        assert planned(project, *target) == {"annotate": 1}
        shutil.move(model.folder, model.folder.with_name("away"))
        done = snakemake(project, "-n", *target, check=False)
        assert done.returncode != 0
        assert "annotating trains none" in done.stdout + done.stderr
        assert "snakemake --cores all model" in done.stdout + done.stderr
        elsewhere = f"model={model.folder.with_name('away').relative_to(project)}"
        assert planned(project, *target, elsewhere) == {"annotate": 1}
        for wrong, said in (
            ("video=gone.mp4", "there is no file gone.mp4"),
            ("video=", "the key 'video' is null"),
        ):
            done = snakemake(project, "-n", "annotate", *CONFIG, "--config", wrong, elsewhere, check=False)
            assert done.returncode != 0 and said in done.stdout + done.stderr
    finally:
        losses.write_text(text)
        weights.with_suffix(".away").rename(weights)
        if model.folder.with_name("away").exists():
            shutil.move(model.folder.with_name("away"), model.folder)
