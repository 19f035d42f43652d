"""What a file system refuses ends in one paragraph, whoever meets it, and leaves what was there."""

import errno
import os
import resource
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

import fixture_trees as trees
import numpy as np
import polars as pl
import pytest
from fault_cases import cases
from unprivileged import unprivileged

from pipeline.core import artefacts, disk, media, stage
from pipeline.core.errors import PipelineError
from pipeline.core.filling import filling
from pipeline.reruns.partial import run_digest
from pipeline.settings.base import Settings

MUCH = 200_000
STAYS = "one paragraph, status 1; what was there before stays, and no litter"


@contextmanager
def at_most(size: int):
    """Files may not grow beyond `size` bytes: what a full disk does, without one."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)


@pytest.fixture
def small(tmp_path):
    """A disk of 256 kB of its own."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this account may not mount a disk")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def save_tensors(folder):
    artefacts.save_tensors(folder / "x.safetensors", {"a": np.random.default_rng(0).random(MUCH)})


def save_table(folder):
    artefacts.save_table(folder / "x.parquet", pl.DataFrame({"a": np.random.default_rng(0).random(MUCH)}))


def save_json(folder):
    artefacts.save_json(folder / "x.json", {"a": "x" * 10 * MUCH})


def save_text(folder):
    artefacts.save_text(folder / "x.md", "x" * 10 * MUCH)


def save_folder(folder):
    with artefacts.replacing_folder(folder / "x") as target:
        (target / "a").write_text("x" * 10 * MUCH)


def fill_folder(folder):
    with filling(folder / "x") as target:
        (target / "a").write_text("x" * 10 * MUCH)


WRITERS = {
    "arrays": save_tensors,
    "a table": save_table,
    "facts": save_json,
    "a text": save_text,
    "a folder": save_folder,
    "a folder of results": fill_folder,
}


@pytest.mark.parametrize(
    "what", cases("disk", {what: f"the disk is full when {what} would be written" for what in WRITERS}, STAYS)
)
def test_a_full_disk_is_said_and_leaves_nothing_half(small, what):
    before = sorted(path for path in small.iterdir() if path.name != "x")
    with pytest.raises(PipelineError, match=r"/small/x[^:]*: the disk is full .*Make room"):
        WRITERS[what](small)
    assert sorted(path for path in small.iterdir() if path.name != "x") == before
    assert not [path for path in small.rglob("*") if path.is_file()]


@pytest.mark.fault("disk", "a limit on the size of files (ulimit -f)", STAYS)
@pytest.mark.parametrize("what", WRITERS)
def test_a_limit_on_files_is_said(tmp_path, what):
    with at_most(1000), pytest.raises(PipelineError, match="may not become so large"):
        WRITERS[what](tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.fault("disk", "the output's folder may not be written", STAYS)
@pytest.mark.parametrize("what", WRITERS)
def test_a_folder_that_may_not_be_written_is_said(tmp_path, what):
    tmp_path.chmod(0o500)
    with unprivileged(), pytest.raises(PipelineError, match="this account may not"):
        WRITERS[what](tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.fault("disk", "a read-only file system", "one paragraph, status 1, before anything is written")
def test_a_read_only_disk_is_said(small):
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    for writer in WRITERS.values():
        with pytest.raises(PipelineError, match="the file system is read-only"):
            writer(small)


class Params(Settings):
    """No settings."""


MET = {
    errno.ENOSPC: "a stage meets a full disk anywhere",
    errno.EDQUOT: "a quota is used up",
    errno.EIO: "a disk fails",
    errno.ESTALE: "a disk of the network is gone",
    errno.EMFILE: "too many files are open",
    errno.EACCES: "an input may not be read",
}


@pytest.mark.parametrize("number", cases("disk", MET, "one paragraph, status 1"))
def test_a_stage_ends_with_one_paragraph(tmp_path, capsys, number):
    def run(params, *, table):
        raise OSError(number, os.strerror(number), "/some/file")

    with pytest.raises(SystemExit) as left:
        stage.main(run, Params, outputs=("table",), argv=["--params", "{}", "--table", str(tmp_path / "t")])
    said = capsys.readouterr().err
    assert left.value.code == 1 and "Traceback" not in said
    assert f"error: /some/file: {disk.REFUSALS[number][0]}" in said


@pytest.mark.fault("disk", "an output's name is longer than the disk takes", "one paragraph, status 1")
def test_a_name_that_is_too_long_is_said(tmp_path):
    with pytest.raises(PipelineError, match="the name is too long"):
        artefacts.save_json(tmp_path / ("x" * 300 + ".json"), {})


@pytest.mark.fault("disk", "a file stands where a folder of the output is needed", "one paragraph, status 1")
def test_a_file_where_a_folder_is_needed_is_said(tmp_path, capsys):
    (tmp_path / "runs").write_text("mine")
    with pytest.raises(SystemExit):
        stage.main(
            lambda params, *, table: None,
            Params,
            outputs=("table",),
            argv=["--params", "{}", "--table", str(tmp_path / "runs" / "x" / "t")],
        )
    assert "a file stands where a folder is needed" in capsys.readouterr().err
    assert (tmp_path / "runs").read_text() == "mine"


def test_another_error_stays_what_it_is(tmp_path):
    with pytest.raises(ValueError, match="mine"), artefacts.replacing(tmp_path / "x"):
        raise ValueError("mine")
    with pytest.raises(PipelineError, match="mine"), artefacts.replacing(tmp_path / "x"):
        raise PipelineError("mine")


def test_an_error_that_names_another_file_is_said_of_that(tmp_path):
    with (
        pytest.raises(PipelineError, match="/elsewhere/y: this account"),
        artefacts.replacing(tmp_path / "x"),
    ):
        raise PermissionError(errno.EACCES, "no", "/elsewhere/y")


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(path))


ODD = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a link to nothing": lambda path: path.symlink_to(path.with_name("gone")),
    "a link to itself": lambda path: path.symlink_to(path),
    "a socket": bound,
}


@pytest.mark.parametrize(
    "what",
    cases(
        "media",
        {what: f"{what} has the name of a video" for what in ODD},
        "an absence (`file_missing`) that says so",
    ),
)
def test_what_is_no_file_is_an_absence_that_says_what_it_is(tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    path = Path("talk.mp4")
    ODD[what](path)
    shown = {"a link to nothing": "a link to .*gone", "a link to itself": "nothing that can be looked at"}
    with pytest.raises(media.MediaAbsence, match=f"it is {shown.get(what, what)}") as lack:
        media.probe(path)
    assert lack.value.reason == "file_missing"


@pytest.mark.fault("media", "a video may not be read (mode 000)", "an absence (`undecodable`)")
def test_a_video_that_may_not_be_read_is_an_absence(tmp_path):
    path = trees.write_clip(tmp_path / "talk.mp4")
    path.chmod(0)
    with unprivileged(), pytest.raises(media.MediaAbsence, match="Permission denied") as lack:
        media.audio(path)
    assert lack.value.reason == "undecodable"
    with unprivileged():
        assert run_digest("pipeline.audio", {}, [path], "cpu"), "and no end of the shard that it belongs to"


@pytest.mark.fault("media", "the folder of a video may not be looked into", "an absence (`file_missing`)")
def test_a_video_in_a_folder_that_may_not_be_entered_is_an_absence(tmp_path):
    path = trees.write_clip(tmp_path / "in" / "talk.mp4")
    path.parent.chmod(0)
    with unprivileged(), pytest.raises(media.MediaAbsence, match="Permission denied") as lack:
        media.audio(path)
    path.parent.chmod(0o700)
    assert lack.value.reason == "file_missing"
