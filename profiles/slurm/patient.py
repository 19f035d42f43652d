"""SLURM's commands for a controller that is busy: what fails for want of an answer is asked again.

The plugin that submits the jobs takes any failure of sbatch for a failure of the job, and forgets all
running jobs when no answer to squeue comes. So Snakemake finds `patient/sbatch` and its neighbours before
the commands themselves (rules/configuration.smk), and they call this file. Nothing but the standard library
is needed.

    patient.py COMMAND [ARGUMENT ...]
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).resolve().parent / "patient"
MINUTES = float(os.environ.get("CORE_KD_SLURM_MINUTES", "20"))  # for which a submission is tried again
PAUSE = float(os.environ.get("CORE_KD_SLURM_PAUSE", "5"))  # seconds, then twice as long each time
LONGEST = 60  # seconds between two tries
LOGS = Path("runs", "slurm-logs")
# the plugin waits 60 s for squeue and sacct and 10 s for scontrol
TIMEOUTS = {"squeue": 45, "sacct": 45, "scontrol": 8}
# what is said when nothing is wrong with the request: the controller, the network, or a full queue
PASSING = re.compile(
    "unable to contact slurm|timed out|connection (refused|reset|failure)|zero bytes were transmitted|"
    "temporarily unable|temporarily unavailable|not connected|standby mode|receive failure|"
    "unexpected message|header lengths|no route to host|network is unreachable|name resolution|"
    "authentication (error|credential)|munge|submit limit|too many (open files|requests)|try again",
    re.IGNORECASE,
)


def real(command: str) -> str:
    """The command itself; ends the program, as a shell does, if there is none."""
    places = [place for place in os.get_exec_path() if Path(place).resolve() != HERE]
    found = shutil.which(command, path=os.pathsep.join(places))
    if found is None:
        sys.stderr.write(f"{command}: command not found\n")
        sys.exit(127)
    return found


def asked(program: str, arguments: Sequence[str], seconds: float | None = None) -> tuple[int, str, str]:
    """Status, output and errors of a command; a status of 1 and `timed out` if no answer comes in time."""
    try:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return 1, "", "timed out"
    return done.returncode, done.stdout, done.stderr


def note(text: str) -> None:
    """A line in runs/slurm-logs/waiting.log; the plugin shows nothing of what succeeds in the end."""
    LOGS.mkdir(parents=True, exist_ok=True)
    with open(LOGS / "waiting.log", "a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")


def submitted(arguments: Sequence[str]) -> str | None:
    """The number of a job that was submitted though no answer came; None if there is none.

    Jobs of a run have one name, and each its comment (`marked`). Raises TimeoutError if that cannot be asked
    either.
    """
    told = dict(pairwise(arguments))
    name, comment = told.get("--job-name"), told.get("--comment")
    if name is None or comment is None:
        return None
    status, out, _ = asked(real("squeue"), ["--noheader", "--format=%i|%k", "--name", name], 45)
    if status:
        raise TimeoutError
    rows = [line.strip().split("|", 1) for line in out.splitlines() if "|" in line]
    return next((number for number, said in rows if said == comment), None)


def marked(arguments: Sequence[str]) -> list[str]:
    """The same request with its digest in the comment, for the plugin gives all of a group one comment."""
    digest = hashlib.sha256("\0".join(arguments).encode()).hexdigest()[:8]
    return [
        f"{told}@{digest}" if before == "--comment" else told
        for before, told in zip(["", *arguments], arguments, strict=False)
    ]


def sbatch(arguments: Sequence[str]) -> int:
    """Submit a job, again and again for MINUTES while the failure is a passing one."""
    arguments = marked(arguments)
    program, deadline, pause, lost = real("sbatch"), time.monotonic() + 60 * MINUTES, PAUSE, False
    while True:
        try:
            # after a lost answer, whether the job is there is known before it is submitted again
            if lost and (number := submitted(arguments)):
                note(f"sbatch: the answer was lost, but the job is there: {number}")
                print(number)
                return 0
            status, out, err = asked(program, arguments)
        except TimeoutError:
            status, out, err = 1, "", "squeue timed out"
        if status == 0 or not PASSING.search(err) or time.monotonic() + pause > deadline:
            sys.stdout.write(out)
            # the plugin takes some words of a warning for a failure
            sys.stderr.write(err if status else "")
            return status
        note(f"sbatch: {' '.join(err.split())}; again in {pause:.0f} s")
        time.sleep(pause)
        pause, lost = min(2 * pause, LONGEST), True


def states(command: str, arguments: Sequence[str]) -> int:
    """Ask for the states of jobs; while there is no answer, no state is known, and no job is forgotten."""
    status, out, err = asked(real(command), arguments, TIMEOUTS[command])
    # the plugin asks for a run by its name; what else is asked may fail
    if status and "--name" in arguments and PASSING.search(err):
        note(f"{command}: {' '.join(err.split())}")
        return 0
    sys.stdout.write(out)
    sys.stderr.write(err)
    return status


def scontrol(arguments: Sequence[str]) -> int:
    """Ask the controller; its configuration is that of the last answer while there is none."""
    status, out, err = asked(real("scontrol"), arguments, TIMEOUTS["scontrol"])
    kept = LOGS / ".configuration"
    if list(arguments) == ["show", "config"]:
        if status == 0:
            LOGS.mkdir(parents=True, exist_ok=True)
            kept.write_text(out, encoding="utf-8")
        elif PASSING.search(err) and kept.is_file():
            status, out, err = 0, kept.read_text(encoding="utf-8"), ""
    sys.stdout.write(out)
    sys.stderr.write(err)
    return status


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "sbatch": sbatch,
    "squeue": lambda arguments: states("squeue", arguments),
    "sacct": lambda arguments: states("sacct", arguments),
    "scontrol": scontrol,
}

if __name__ == "__main__":
    sys.exit(COMMANDS[sys.argv[1]](sys.argv[2:]))
