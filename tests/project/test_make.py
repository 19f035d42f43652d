"""`make run` beside and after other runs, by a stub for Snakemake; and a Python that cannot make a .venv."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from workflow import ROOT

# says what it was asked, and stays while a file named `stay` is there
STUB = """#!/bin/sh
echo "$@" >>asked
case "$1" in --unlock) exit 0 ;; esac
trap 'exit 1' INT
while [ -e stay ]; do sleep 0.05; done
exit $(cat status 2>/dev/null || echo 0)
"""
RUN = "--cores all"
pytestmark = pytest.mark.skipif(not shutil.which("flock"), reason="no flock on this machine")


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with the Makefile, where all is installed and Snakemake is a stub."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    program(tmp_path / ".venv/bin/python", "#!/bin/sh\n")
    program(tmp_path / ".venv/bin/snakemake", STUB)
    (tmp_path / ".venv/run.installed").touch()
    return tmp_path


def start(folder: Path) -> subprocess.Popen:
    """`make run`, in a process group of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(["make", "run"], cwd=folder, start_new_session=True, **pipes)


def make(folder: Path) -> tuple[int, list[str], str]:
    """Status of `make run`, what the stub was asked meanwhile, and what was said."""
    (folder / "asked").unlink(missing_ok=True)
    process = start(folder)
    said = process.communicate(timeout=60)[0]
    asked = folder / "asked"
    return process.returncode, asked.read_text().splitlines() if asked.exists() else [], said


def ended(process: subprocess.Popen) -> None:
    """Wait for the whole process group: make is gone before what it started lets go of the lock."""
    process.wait(timeout=60)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError("a process of the group lives on")


def working(folder: Path) -> subprocess.Popen:
    """A `make run` whose Snakemake stays at work."""
    (folder / "asked").unlink(missing_ok=True)
    (folder / "stay").touch()
    process = start(folder)
    deadline = time.monotonic() + 60
    while not (folder / "asked").exists() or RUN not in (folder / "asked").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("status", [0, 1])
def test_a_run_that_ended_by_itself_leaves_nothing_to_unlock(folder, status):
    (folder / "status").write_text(str(status))
    for _ in range(2):
        code, asked, _ = make(folder)
        assert bool(code) == bool(status)
        assert asked == [RUN]


@pytest.mark.fault(
    "disk",
    "Snakemake is killed and leaves its lock",
    "the next `make run` unlocks it; the lock of a run at work stays",
)
def test_only_what_a_killed_run_left_is_unlocked(folder):
    with working(folder) as process:
        os.killpg(process.pid, signal.SIGKILL)
        ended(process)
    (folder / "stay").unlink()
    assert make(folder)[1] == ["--unlock", RUN]
    assert make(folder)[1] == [RUN]


def test_an_interrupted_run_leaves_nothing_to_unlock(folder):
    """Snakemake tidies up by itself after a Ctrl-C."""
    with working(folder) as process:
        os.killpg(process.pid, signal.SIGINT)
        ended(process)
    (folder / "stay").unlink()
    assert make(folder)[1] == [RUN]


@pytest.mark.fault("disk", "a second `make run` in the same folder", "refused, in one paragraph")
def test_a_second_run_beside_is_refused(folder):
    with working(folder):
        (folder / "asked").unlink()
        code, asked, said = make(folder)
        assert (bool(code), asked) == (True, [])
        assert "another 'make run'" in said
        (folder / "stay").unlink()
    assert make(folder)[1] == [RUN]


@pytest.mark.fault("command", "a Python that cannot make a `.venv`", "one paragraph that names the package")
def test_a_python_without_venv_leaves_none_and_says_what_to_install(folder):
    shutil.rmtree(folder / ".venv")
    half = '#!/bin/sh\n[ "$1" = -c ] && exit 0\nmkdir -p .venv/bin && touch .venv/bin/python && exit 1\n'
    program(folder / "python", half)
    for _ in range(2):
        done = subprocess.run(
            ["make", "run", "PYTHON=./python"], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode != 0
        assert "apt-get install python3-venv" in done.stderr
        assert not (folder / ".venv").exists()
