"""A copy of the project that tests may run and edit, and a run that is as small as it can be."""

import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TREE = (
    "Snakefile",
    "config.yaml",
    "pyproject.toml",
    "requirements.lock",
    "rules",
    "pipeline",
    "models",
    "config",
    "profiles",
    "envs",
)

SMALL = {
    "run": "small",
    "seeds": [0, 1],
    "compare": ["corekd", "modality_dropout"],
    "embedded": {
        "parts": 2,
        "process": {
            "dialogues": 10,
            "utterances": 3,
            "train_share": 0.4,
            "val_share": 0.2,
            "test_share": 0.4,
        },
    },
    "standins": {
        "audio": {"voices": 12, "steps": 3},
        "visual": {"faces": 24, "steps": 3},
    },
    "training": {"epochs": 2},
    "report": {"resamples": 300},
}


def copy_project(folder: Path) -> Path:
    """Copy what a run needs into `folder`, without anything that a run left behind."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TREE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        elif source.exists():
            shutil.copy2(source, folder / name)
    return folder


def write_overlay(folder: Path, settings: dict, name: str = "small.json") -> Path:
    """An overlay for `--configfile`; JSON is YAML."""
    path = folder / name
    path.write_text(json.dumps(settings))
    return path


def snakemake(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    """Run Snakemake in the copy with the environment that runs the tests."""
    environment = dict(os.environ)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        ["snakemake", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(f"snakemake {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr[-8000:]}")
    return done


def dry_run(folder: Path, *arguments: str) -> str:
    """What `snakemake -n` says, from a process that has it loaded already: half the time of a new one."""
    # a server that has imported nothing of ours, for each copy of the project brings its own `pipeline`
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "snakemake.cli", "pydantic"])
    said = folder / "dry-run.txt"
    process = context.Process(target=_dry_run, args=(folder, arguments, said))
    process.start()
    process.join()
    text = said.read_text()
    said.unlink()
    if process.exitcode:
        raise AssertionError(
            f"snakemake -n {' '.join(arguments)} failed ({process.exitcode}):\n{text[-8000:]}"
        )
    return text


def _dry_run(folder: Path, arguments: tuple[str, ...], said: Path) -> None:
    os.chdir(folder)
    with said.open("w") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    from snakemake.cli import main

    status = 0
    try:
        main(["-n", *arguments])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    sys.stdout.flush()
    sys.stderr.flush()
    # what was imported before the fork is not taken down here: that once failed when all was said
    os._exit(status)


def pretend_finished(folder: Path, *arguments: str) -> str:
    """Make every file of a run, empty, and have Snakemake take them for up to date; what it had planned."""
    said = snakemake(folder, "-n", *arguments).stdout
    for outputs in re.findall(r"^    output: (.+)$", said, re.M):
        for path in map(folder.joinpath, outputs.split(", ")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch() if path.suffix else path.mkdir()
    snakemake(folder, "--touch", "--forceall", "--cores", "1", *arguments)
    return said


def planned(folder: Path, *arguments: str) -> dict[str, int]:
    """The rules that a dry run plans, with their number of jobs; without the target itself."""
    return counted(dry_run(folder, *arguments))


def counted(said: str) -> dict[str, int]:
    """The same, of what a dry run has said."""
    table = said.partition("Job stats:")[2].partition("Reasons:")[0]
    found = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)}
    return {rule: count for rule, count in found.items() if rule not in ("all", "total")}
