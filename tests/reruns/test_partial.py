"""Extraction shards that are killed: they go on from their last whole piece, and end in the same bytes."""

import json
import logging
import re
import shutil
import subprocess
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import fixture_encoders
import polars as pl
import pytest
from dialogues import write_dataset
from hypothesis import given
from hypothesis import strategies as st
from trained_world import SMALL, outputs
from workflow import ROOT

from pipeline import corpus, faces, manifest, teacher
from pipeline.core import artefacts
from pipeline.core.digests import file_digest
from pipeline.reruns import partial
from pipeline.settings.corpus import CorpusSettings
from pipeline.settings.process import ProcessSettings
from pipeline.training.resume import ResumeFolder

# utterances (visual: crops) that the tests have in a piece
PIECES = {"faces": 3, "text": 3, "audio": 3, "visual": 12}
BATCH = {"encoder": {"batch": 2}}
SETTINGS = {"faces": {}, "text": BATCH, "audio": BATCH, "visual": {"encoder": {"batch": 4}}}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A shard of drawn dialogues, tiny encoders, and the shard's faces."""
    folder = tmp_path_factory.mktemp("shard")
    process = ProcessSettings(dialogues=4, utterances=3)
    corpus.run(corpus.Params(process=process, seed=5, parts=4), folder=folder / "part")
    tables = {"manifest": folder / "manifest.parquet", "facts": folder / "facts.json"}
    manifest.run(
        manifest.Params(corpus=CorpusSettings(shards=1)),
        parts=[folder / "part"],
        shards=[folder / "shard.parquet"],
        **tables,
    )
    fixture_encoders.place(folder)
    for name in ("text", "audio", "visual"):
        (found,) = (folder / "weights").glob(f"tests--{name}/*")
        found.rename(folder / name)
    faces.run(faces.Params(device="cpu"), shard=folder / "shard.parquet", folder=folder / "faces")
    return folder


def paths(stage: str, world: Path, target: Path) -> dict[str, Path]:
    """Inputs and outputs of a stage by their flags."""
    if stage == "faces":
        return {"shard": world / "shard.parquet", "folder": target / "0"}
    extra = {"faces": world / "faces"} if stage == "visual" else {}
    made = {"features": target / "0.safetensors", "index": target / "0.parquet"}
    return {"shard": world / "shard.parquet", "encoder": world / stage} | extra | made


def params(stage: str, **more) -> dict:
    return {"device": "cpu"} | SETTINGS[stage] | more


def run(stage: str, world: Path, target: Path, **more) -> dict[str, str]:
    """Run a stage in this process; the digests of what it leaves."""
    module = import_module(f"pipeline.{stage}")
    target.mkdir(parents=True, exist_ok=True)
    module.run(module.Params(**params(stage, **more)), **paths(stage, world, target))
    return {str(path.relative_to(target)): file_digest(path) for path in target.rglob("*") if path.is_file()}


def kill(stage: str, world: Path, target: Path, signal: str = "SIGKILL", status: int = -9) -> None:
    """Run a stage in a process that gets a signal after its first piece; it must end with this status."""
    flags = [text for flag, path in paths(stage, world, target).items() for text in (f"--{flag}", str(path))]
    script = ROOT / "tests" / "killed_stage.py"
    command = [sys.executable, script, signal, str(PIECES[stage]), stage]
    done = subprocess.run(
        [*command, "--params", json.dumps(params(stage)), *flags],
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == status, done.stderr.decode()[-2000:]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    for stage, size in PIECES.items():
        monkeypatch.setattr(import_module(f"pipeline.{stage}"), "PIECE", size)


@pytest.mark.parametrize("stage", PIECES)
@pytest.mark.fault(
    "disk",
    "kill -9 of an extraction after its first piece",
    "it goes on from there; the rerun ends in the same bytes",
)
def test_a_killed_shard_goes_on_and_ends_in_the_same_bytes(world, tmp_path, caplog, stage):
    whole = run(stage, world, tmp_path / "whole")
    broken = tmp_path / "broken"
    kill(stage, world, broken)
    assert [path.name for path in broken.rglob("*") if path.is_file()] == ["00000.safetensors"]
    with caplog.at_level(logging.INFO, "pipeline"):
        assert run(stage, world, broken) == whole
    assert "resumed: 1 of " in caplog.text


@pytest.mark.fault(
    "disk",
    "a crash leaves a damaged piece of an extraction",
    "it is made anew; the rerun ends in the same bytes",
)
def test_a_damaged_piece_is_made_anew(world, tmp_path, caplog):
    """As a crash of the machine may leave it: every retry would stumble over it."""
    made = run("text", world, tmp_path / "whole")
    broken = tmp_path / "broken"
    kill("text", world, broken)
    (piece,) = broken.rglob("00000.safetensors")
    piece.write_bytes(piece.read_bytes()[:-1])
    with caplog.at_level(logging.INFO, "pipeline"):
        assert run("text", world, broken) == made
    assert "made anew: " in caplog.text
    assert "00000.safetensors" in caplog.text


@pytest.mark.parametrize("damaged", ["state.safetensors", "epoch-0001.safetensors"])
@pytest.mark.fault(
    "disk",
    "a crash leaves a damaged state of training",
    "training begins anew; the rerun ends in the same bytes",
)
def test_a_damaged_state_trains_from_the_beginning(tmp_path, monkeypatch, caplog, damaged):
    dataset, save = write_dataset(tmp_path / "dataset"), ResumeFolder.save

    def train(name: str) -> dict[str, str]:
        made = outputs(tmp_path / name)
        teacher.run(teacher.Params(**SMALL), dataset=dataset, **made)
        return {name: file_digest(path) for name, path in made.items()}

    def save_damage_and_stop(self, epoch, *rest):
        save(self, epoch, *rest)
        if epoch == 2:
            path = self.folder / damaged
            path.write_bytes(path.read_bytes()[:-1])
            raise InterruptedError

    made = train("whole")
    monkeypatch.setattr(ResumeFolder, "save", save_damage_and_stop)
    with pytest.raises(InterruptedError):
        train("broken")
    monkeypatch.undo()
    with caplog.at_level(logging.INFO, "pipeline"):
        assert train("broken") == made
    assert re.search(rf"not resumed, made anew: \S*{damaged}: ", caplog.text)
    assert "resumed after" not in caplog.text
    assert not list((tmp_path / "broken").glob(".*"))


@pytest.mark.fault(
    "cluster", "SIGTERM (walltime, preemption)", "whole pieces stay, and nothing half; status 143"
)
def test_sigterm_leaves_only_whole_pieces_and_its_status(world, tmp_path):
    kill("audio", world, tmp_path, "SIGTERM", status=143)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["00000.safetensors"]


@pytest.mark.parametrize("edit", ["settings", "code", "medium"])
@pytest.mark.fault(
    "disk", "settings, code or a video change between a kill and the rerun", "nothing of before is taken up"
)
def test_an_edit_never_resumes(world, tmp_path, monkeypatch, caplog, edit):
    kill("audio", world, tmp_path)
    (stale,) = tmp_path.glob(".resume-0-*")
    more = {"encoder": BATCH["encoder"] | {"silence": -50.0}} if edit == "settings" else {}
    if edit == "code":
        monkeypatch.setattr(partial, "code_digest", lambda *modules: "another")
    if edit == "medium":
        video = next((world / "part").rglob("*.mp4"))
        shutil.copy2(video, tmp_path / "kept")
        shutil.copy2(world / "shard.parquet", tmp_path / "kept.parquet")
        before = file_digest(video)
        video.write_bytes(video.read_bytes() + b"\0")
        # as the manifest does, when it is made again
        table = artefacts.load_table(world / "shard.parquet")
        digest = pl.col("medium").replace({before: file_digest(video)})
        artefacts.save_table(world / "shard.parquet", table.with_columns(digest))
    with caplog.at_level(logging.INFO, "pipeline"):
        run("audio", world, tmp_path, **more)
    if edit == "medium":
        shutil.move(tmp_path / "kept", video)
        shutil.move(tmp_path / "kept.parquet", world / "shard.parquet")
    assert "resumed" not in caplog.text
    assert not stale.exists()


def test_shards_that_share_a_folder_leave_each_other_alone(tmp_path):
    for shard in ("0", "00", "1"):
        pieces = partial.Pieces(tmp_path / f"{shard}.safetensors", "digest" + shard * 20)
        list(pieces.of([shard], lambda own: ({}, own)))
    assert len(list(tmp_path.glob(".resume-*"))) == 3


@given(st.lists(st.integers(1, 9)), st.integers(1, 12))
def test_pieces_are_consecutive_whole_groups(sizes, least):
    groups = [range(size) for size in sizes]
    pieces = partial.in_pieces(groups, least)
    assert [group for piece in pieces for group in piece] == groups
    assert all(sum(map(len, piece)) >= least for piece in pieces[:-1])
    assert all(sum(map(len, piece[:-1])) < least for piece in pieces)


def test_a_stage_needs_no_library_but_its_own(tmp_path, monkeypatch):
    """The environment that trains has no decoder; another version of what it has is a new start."""

    def told(versions: dict[str, str]) -> str:
        def version(name: str) -> str:
            if name not in versions:
                raise PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(partial, "version", version)
        return partial.run_digest("pipeline.teacher", {}, [], "cpu")

    assert told({"torch": "1"}) == told({"torch": "1"})
    assert len({told({"torch": "1"}), told({"torch": "2"}), told({"torch": "1", "av": "1"})}) == 3
