"""A SLURM whose controller does not answer for a while: nothing is submitted twice, or lost."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import fixture_trees as trees
import numpy as np
import pytest
from fault_cases import cases
from workflow import ROOT, copy_project, write_overlay

PATIENT = ROOT / "profiles" / "slurm" / "patient"
SUBMIT = ("sbatch", "--parsable", "--job-name", "run", "--comment", "rule_text", "--wrap=work")
# fails as often as the file `busy` says, with the words of `said`, and counts how often it was asked
FAKE = """#!/bin/sh
echo "$0" | sed 's/.*[/]//' >>"{here}/asked"
echo "$@" >"{here}/told.${{0##*/}}"
left=$(cat "{here}/busy.${{0##*/}}" 2>/dev/null || echo 0)
if [ "$left" -gt 0 ]; then
    echo $((left - 1)) >"{here}/busy.${{0##*/}}"
    cat "{here}/said" >&2
    exit 1
fi
cat "{here}/answer.${{0##*/}}" 2>/dev/null
exit 0
"""


@pytest.fixture
def slurm(tmp_path):
    """A folder with stand-ins of SLURM's commands."""
    for name in ("sbatch", "squeue", "sacct", "scontrol"):
        path = tmp_path / name
        path.write_text(FAKE.format(here=tmp_path))
        path.chmod(0o755)
    (tmp_path / "said").write_text("sbatch: error: Unable to contact slurm controller (connect failure)\n")
    (tmp_path / "answer.sbatch").write_text("17\n")
    return tmp_path


def call(slurm: Path, *command: str, minutes: str = "1") -> subprocess.CompletedProcess:
    # nothing of a SLURM that this machine may have
    tools = slurm / "tools"
    for name in ("sh", "dirname", "sed", "cat", "python3"):
        tools.mkdir(exist_ok=True)
        (tools / name).exists() or (tools / name).symlink_to(os.path.realpath(shutil.which(name)))
    places = [PATIENT, slurm, tools]
    environment = os.environ | {
        "PATH": os.pathsep.join(map(str, places)),
        "CORE_KD_SLURM_PAUSE": "0.01",
        "CORE_KD_SLURM_MINUTES": minutes,
    }
    return subprocess.run(command, cwd=slurm, env=environment, capture_output=True, text=True, check=False)


def asked(slurm: Path, name: str) -> int:
    return (slurm / "asked").read_text().split().count(name)


BUSY = {
    "Unable to contact slurm controller (connect failure)": "sbatch does not reach the controller",
    "Batch job submission failed: Socket timed out on send/recv": "sbatch waits in vain for an answer",
    "Batch job submission failed: Resource temporarily unavailable": "the controller is busy",
    "Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size)":
        "the queue takes no more jobs of this account for now",
    "Protocol authentication error": "the cluster's own authentication (munge) is down for a while",
}  # fmt: skip
AGAIN = "submitted again for minutes, within one attempt: no more memory is asked for"


@pytest.mark.parametrize("said", cases("cluster", BUSY, AGAIN))
def test_a_submission_that_fails_in_passing_is_tried_again(slurm, said):
    (slurm / "said").write_text(f"sbatch: error: {said}\n")
    (slurm / "busy.sbatch").write_text("4")
    done = call(slurm, *SUBMIT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "17\n", "")
    assert asked(slurm, "sbatch") == 5
    assert (slurm / "runs/slurm-logs/waiting.log").read_text().count("again in") == 4


@pytest.mark.fault(
    "cluster", "sbatch refuses a request (a partition that is not there)", "the job fails at once"
)
def test_a_submission_that_is_wrong_is_not(slurm):
    (slurm / "said").write_text("sbatch: error: invalid partition specified: gpus\n")
    (slurm / "busy.sbatch").write_text("9")
    done = call(slurm, *SUBMIT)
    assert done.returncode == 1 and "invalid partition" in done.stderr and asked(slurm, "sbatch") == 1


@pytest.mark.fault("cluster", "the controller stays away for longer", "the job fails, with SLURM's own words")
def test_patience_ends(slurm):
    (slurm / "busy.sbatch").write_text("9999")
    done = call(slurm, *SUBMIT, minutes="0.05")
    assert done.returncode == 1 and "Unable to contact" in done.stderr and asked(slurm, "sbatch") > 1


@pytest.mark.fault(
    "cluster", "sbatch has submitted a job, and its answer is lost", "the job is found, not submitted twice"
)
def test_a_job_whose_number_was_lost_is_found(slurm):
    own, other = comment(slurm, *SUBMIT), comment(slurm, *SUBMIT[:-1], "--wrap=other work")
    (slurm / "asked").unlink()
    (slurm / "busy.sbatch").write_text("1")
    (slurm / "answer.squeue").write_text(f"15|{other}\n16|{own}\n")
    done = call(slurm, *SUBMIT)
    assert (done.returncode, done.stdout) == (0, "16\n") and asked(slurm, "sbatch") == 1


def comment(slurm: Path, *submission: str) -> str:
    """What SLURM is told as the comment of a job."""
    assert call(slurm, *submission).returncode == 0
    told = (slurm / "told.sbatch").read_text().split()
    return told[told.index("--comment") + 1]


@pytest.mark.fault(
    "cluster",
    "the answer to a submission of a group is lost, and another part of that group is in the queue",
    "submitted again: the other is not taken for it, though the plugin gives both the same comment",
)
def test_another_submission_of_the_same_group_is_not_taken_for_it(slurm):
    other = comment(slurm, *SUBMIT[:-1], "--wrap=other work")
    assert other.startswith("rule_text@")
    (slurm / "busy.sbatch").write_text("1")
    (slurm / "answer.squeue").write_text(f"15|{other}\n")
    (slurm / "asked").unlink()
    assert call(slurm, *SUBMIT).stdout == "17\n" and asked(slurm, "sbatch") == 2


@pytest.mark.fault(
    "cluster", "squeue or sacct gets no answer while jobs run", "no job is forgotten; asked again later"
)
@pytest.mark.parametrize("command", ["squeue", "sacct"])
def test_states_that_cannot_be_asked_are_unknown(slurm, command):
    """To the plugin a failure is the end of all running jobs, an empty answer that of none."""
    (slurm / f"busy.{command}").write_text("1")
    (slurm / f"answer.{command}").write_text("16|RUNNING\n")
    done = call(slurm, command, "--name", "run")
    assert (done.returncode, done.stdout) == (0, "")
    assert call(slurm, command, "--name", "run").stdout == "16|RUNNING\n"


@pytest.mark.fault(
    "cluster", "scontrol gets no answer", "the controller's configuration is that of its last answer"
)
def test_the_configuration_is_remembered(slurm):
    (slurm / "answer.scontrol").write_text("MinJobAge = 300 sec\n")
    for busy in ("0", "1"):
        (slurm / "busy.scontrol").write_text(busy)
        done = call(slurm, "scontrol", "show", "config")
        assert (done.returncode, done.stdout) == (0, "MinJobAge = 300 sec\n")
    (slurm / "busy.scontrol").write_text("1")
    assert call(slurm, "scontrol", "show", "job").returncode == 1


@pytest.mark.fault("cluster", "SLURM is not installed", "said as a shell says it")
def test_a_command_that_is_not_there_is_said(slurm):
    (slurm / "sbatch").unlink()
    done = call(slurm, *SUBMIT)
    assert done.returncode == 127 and "command not found" in done.stderr


# the step of a job: its command, without the options before it
STEP = """#!/bin/sh
while [ "${{1#-}}" != "$1" ]; do shift; done
exec "$@"
"""
# runs what it is given, as SLURM would on a node
NODE = """#!/bin/sh
for last in "$@"; do :; done
echo "$@" >>"{here}/submitted"
(
    sh -c "${{last#--wrap=}}" >"{here}/node.log" 2>&1
    echo "7|COMPLETED" >"{here}/answer.squeue"
) >/dev/null 2>&1 &
echo 7
"""


@pytest.mark.slow
@pytest.mark.fault(
    "cluster", "the controller is busy when Snakemake submits a job", "submitted in the first attempt"
)
def test_snakemake_submits_through_it(slurm, tmp_path):
    """The plugin of the lock, its profile, and stand-ins of SLURM: one attempt, and the job is done."""
    project = copy_project(tmp_path / "project")
    rows = "".join(f"u{n},d{n},{n % 2}\n" for n in range(8))
    arrays = {"text": {"pooled": np.zeros((8, 2))}}
    trees.features(project / "given", "utterance,dialogue,label\n" + rows, arrays)
    write_overlay(project, {"run": "small", "corpus": {"name": "features", "folder": "given", "shards": 1}})
    for name, text in (("node", NODE), ("srun", STEP)):
        (slurm / name).write_text(text.format(here=slurm))
        (slurm / name).chmod(0o755)
    (slurm / "sbatch").write_text(FAKE.format(here=slurm).replace("exit 0", f'exec "{slurm}/node" "$@"'))
    (slurm / "answer.sbatch").unlink()
    (slurm / "answer.squeue").write_text("7|RUNNING\n")
    (slurm / "answer.scontrol").write_text("MinJobAge = 300 sec\n")
    (slurm / "busy.sbatch").write_text("3")
    places = [slurm, Path(sys.executable).parent, *os.get_exec_path()]
    environment = os.environ | {
        "PATH": os.pathsep.join(map(str, places)),
        "CORE_KD_SLURM_PAUSE": "0.01",
    }
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [
            *("snakemake", "runs/small/manifest.parquet", "--workflow-profile", "profiles/slurm"),
            *("--configfile", "small.json", "--config", "device=cpu"),
            *("--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5"),
        ],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / "runs/small/manifest.parquet").is_file()
    (line,) = (slurm / "submitted").read_text().splitlines()
    assert "--mem 2500" in line and asked(slurm, "sbatch") == 4
