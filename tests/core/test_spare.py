"""What a killed writer leaves is swept away by the next; what another one is writing is not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from workflow import ROOT

from pipeline.core import artefacts
from pipeline.core.filling import filling

# writes half of each kind of artefact and is killed
KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.core import artefacts
from pipeline.core.filling import filling

here = Path(sys.argv[1])
kinds = artefacts.replacing(here / "a.json"), artefacts.replacing_folder(here / "b"), filling(here / "c")
with kinds[0] as file, kinds[1] as one, kinds[2] as two:
    for path in (file, one / "x", two / "x"):
        path.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.fault(
    "disk", "a writer is killed (SIGKILL, lost node)", "the next one sweeps its temporary files away"
)
def test_the_next_writer_sweeps_what_a_killed_one_left(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, check=False)
    assert done.returncode == -9
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 3
    write(tmp_path)
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert names == ["a.json", "b", "b/x", "c", "c/.files.json", "c/x"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_killed_writer_that_its_parent_has_not_seen_yet_is_gone(tmp_path):
    writer = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT)
    # without taking its status, as a busy parent
    os.waitid(os.P_PID, writer.pid, os.WEXITED | os.WNOWAIT)
    write(tmp_path)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert writer.wait() == -9
    assert names == {"a.json", "b", "b/x", "c", "c/.files.json", "c/x"}


@pytest.mark.fault("disk", "two writers of one artefact at once", "both end well, and the artefact is whole")
def test_a_writer_at_work_is_left_alone(tmp_path):
    with artefacts.replacing_folder(tmp_path / "b") as one, filling(tmp_path / "c") as two:
        (one / "x").write_text("first")
        (two / "x").write_text("first")
        write(tmp_path)
    assert (tmp_path / "b" / "x").read_text() == (tmp_path / "c" / "x").read_text() == "first"


def write(folder: Path) -> None:
    artefacts.save_json(folder / "a.json", {})
    with artefacts.replacing_folder(folder / "b") as target:
        (target / "x").write_text("whole")
    with filling(folder / "c") as target:
        (target / "x").write_text("whole")
