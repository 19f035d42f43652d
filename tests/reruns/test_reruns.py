"""You edit X, these stages run: every row of the table in docs/reruns.md, by dry runs over a finished run.

The finished run is made of empty files that Snakemake has been told are up to date (--touch), so that a row
costs one dry run. What is decided by the contents of files is executed, in test_reruns_executed.py.
"""

import json
import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from workflow import ROOT, SMALL, copy_project, counted, dry_run, pretend_finished, write_overlay

pytestmark = pytest.mark.slow

DOC = (ROOT / "docs" / "reruns.md").read_text(encoding="utf-8")
OVERLAY = SMALL | {"compare": ["corekd", "modality_dropout", "corekd_crossfit"], "reference_folds": 2}


def table(heading: str) -> list[list[str]]:
    """The cells of the table under a heading of docs/reruns.md, row by row."""
    section = DOC.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


GROUPS = {name.strip("*"): set(re.findall(r"\w+", stages)) for name, stages in table("Stages in bold")}


def stages(cell: str) -> dict[str, int | None]:
    """Rules of a cell, with the number of jobs where it is told; a group in bold stands for its stages."""
    if cell == "nothing":
        return {}
    found: dict[str, int | None] = {}
    for bold, name, count in re.findall(r"(\*\*)?(\w+)(?:\*\*)?(?: \((\d+)\))?(?:, |$)", cell):
        for rule in GROUPS[name] if bold else [name]:
            found[rule] = int(count) if count else None
    return found


# what stands in brackets after an edit is for the reader
ROWS = {
    re.sub(r" \((?:now |of P5|P5 is).*\)", "", row[0]): stages(row[1])
    for row in table("You edit, these stages run")
}


def overlay(**keys: object) -> Callable[[Path], None]:
    """An overlay with other keys, given by their dotted path (with two underscores for a dot)."""

    def edit(project: Path) -> None:
        settings = json.loads(json.dumps(OVERLAY))
        for path, value in keys.items():
            *sections, last = path.split("__")
            place = settings
            for section in sections:
                place = place.setdefault(section, {})
            place[last] = value
        write_overlay(project, settings)

    return edit


def rewrite(name: str, pattern: str, text: str) -> Callable[[Path], None]:
    """Replace what matches in a file of the project; something must."""

    def edit(project: Path) -> None:
        edited, count = re.subn(pattern, text, (project / name).read_text(), flags=re.M)
        assert count, f"{name} has nothing like {pattern}"
        (project / name).write_text(edited)

    return edit


def touch_all(project: Path) -> None:
    for path in project.rglob("*"):
        if path.is_file() and "runs" not in path.parts and ".snakemake" not in path.parts:
            os.utime(path)


# config keys of the table, and another value than the run has
VALUES = {
    "embedded.process.irony": 0.3,
    "standins.audio.steps": 4,
    "corpus.validation": 0.3,
    "corpus.meld.longest": 20,
    "faces.max_crops": 3,
    "encoders.text.layers": [-2],
    "encoders.text.weights.revision": "0" * 40,
    "dataset.shrinkage": 0.2,
    "network.hidden": 32,
    "training.epochs": 3,
    "by_fold.main.training.epochs": 3,
    "training.validation.fixed": 2.0,
    "teacher.auxiliary": 0.1,
    "objective.nce": 0.7,
    "variants.modality_dropout.label_smoothing": 0.1,
    "variants.modality_dropout.network": "imputation",
    "reference_folds": 3,
    "protocol.conflict.draws": 2,
    "protocol.words": ["misheard", "none"],
    "unreliable.kinds": ["mouth"],
    "unreliable.snr": [10],
    "report.resamples": 200,
    "encoders.precision": "bfloat16",
    "workers": 2,
    "threads": 2,
}
EDITS = {
    "a comment": rewrite("models/losses.py", r"\Z", "\n# why\n"),
    "a docstring": rewrite("models/losses.py", r'\A"""', '"""One more sentence. '),
    "all files touched, as by a git checkout": touch_all,
    "the command of the rule `masks`": rewrite(
        "rules/results.smk", "python -m pipeline.masks", "nice python -m pipeline.masks"
    ),
    "a new seed": overlay(seeds=[0, 1, 2]),
    "a seed removed": overlay(seeds=[0]),
    "a new variant (`csa`)": overlay(compare=[*OVERLAY["compare"], "csa"]),
    "a variant removed": overlay(compare=["corekd", "corekd_crossfit"]),
    **{f"`{key}`": overlay(**{key.replace(".", "__"): value}) for key, value in VALUES.items()},
}


def edit_of(row: str) -> Callable[[Path], None]:
    """The edit that a row of the table names."""
    if row in EDITS:
        return EDITS[row]
    if package := re.fullmatch(r"a bumped pin: `([\w-]+)`", row):
        return rewrite("requirements.lock", rf"^{package[1]}==\S+", f"{package[1]}==99.9")
    return rewrite(re.fullmatch(r"`([\w/]+\.py)`", row)[1], r"\Z", "\nEDITED = 1\n")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, dict[str, int]]:
    """A project whose run is finished, as far as Snakemake can know, and the number of jobs of each rule."""
    project = copy_project(tmp_path_factory.mktemp("reruns"))
    write_overlay(project, OVERLAY)
    jobs = counted(pretend_finished(project, "--configfile", "small.json"))
    assert counted(dry_run(project, "--configfile", "small.json")) == {}
    return project, jobs


def after(finished: Path, folder: Path, edit: Callable[[Path], None]) -> str:
    """What a dry run says in an edited copy of the finished project."""
    project = folder / "edited"
    shutil.copytree(finished, project)
    edit(project)
    return dry_run(project, "--configfile", "small.json")


@pytest.fixture(scope="module")
def planned_after(request, finished, tmp_path_factory) -> dict[str, Future]:
    """What a dry run says after the edit of each row that the chosen tests need; two at a time."""
    asked = [getattr(item, "callspec", None) for item in request.session.items if item.path == request.path]
    rows = dict.fromkeys(call.params["row"] for call in asked if call and "row" in call.params)
    with ThreadPoolExecutor(2) as pool:
        yield {
            row: pool.submit(after, finished[0], tmp_path_factory.mktemp("row"), edit_of(row)) for row in rows
        }


@pytest.mark.parametrize("row", ROWS)
def test_the_table_says_what_is_planned(finished, planned_after, row):
    jobs = finished[1]
    wanted = {rule: count or jobs[rule] for rule, count in ROWS[row].items()}
    assert counted(planned_after[row].result()) == wanted


def test_the_table_is_large_enough_and_every_stage_is_in_it(finished):
    assert len(ROWS) >= 20
    # stages that run only where they are asked for, as rows of the table do
    asked = {"degraded_visual", "unreliable", "examples", "word_sources"}
    assert GROUPS["everything"] == set(finished[1]) == set().union(*ROWS.values()) - asked


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("`training.epochs`", "before: 'training.epochs=2' now: 'training.epochs=3'"),
        ("`models/losses.py`", r"before: 'models/losses.py \w+' now: 'models/losses.py \w+' "),
        ("a bumped pin: `matplotlib`", r"before: 'matplotlib==[\d.]+' now: 'matplotlib==99.9'"),
        (
            "`variants.modality_dropout.label_smoothing`",
            "before: 'objective.label_smoothing=0.05' now: 'objective.label_smoothing=0.1'",
        ),
    ],
)
def test_the_reason_names_the_file_the_pin_or_the_key_and_nothing_else(planned_after, row, named):
    said = planned_after[row].result()
    reasons = set(re.findall(r"reason: Params have changed.*: (before: .*)", said))
    assert reasons
    assert all(re.fullmatch(named + " ?", reason) for reason in reasons), reasons


def test_an_edit_of_a_network_reruns_the_variants_that_train_it(tmp_path):
    project = copy_project(tmp_path / "project")
    chosen = ["corekd", "imputation"]
    write_overlay(project, OVERLAY | {"compare": chosen, "export": {"variants": chosen}})
    targets = ("all", "model", "--configfile", "small.json")
    pretend_finished(project, *targets)
    edit_of("`models/networks/imputation.py`")(project)
    said = dry_run(project, *targets)
    found = counted(said)
    assert (found["student"], found["evaluate"]) == (2, 2)
    assert {"teacher", "references", "held_out_teacher"}.isdisjoint(found)
    trained = re.findall(r"rule (?:student|evaluate):\n(?:    .*\n)*?    wildcards: (.*)", said)
    assert all("variant=imputation" in wildcards for wildcards in trained) and len(trained) == 4


def test_an_edit_for_one_fold_reruns_the_jobs_of_that_fold(tmp_path):
    project = copy_project(tmp_path / "project")
    (project / "there").mkdir()
    for name in ("index.csv", "text.npz"):
        (project / "there" / name).touch()
    corpus = {"name": "features", "folder": "there", "folds": ["one", "two"]}
    settings = OVERLAY | {"corpus": corpus, "compare": ["corekd", "modality_dropout"]}
    write_overlay(project, settings)
    pretend_finished(project, "--configfile", "small.json")

    def edited(**own: dict) -> tuple[dict[str, int], set[str], set[str]]:
        """Jobs by rule, the folds of those with a network, and the reasons that are settings."""
        write_overlay(project, settings | {"by_fold": {"one": own}})
        said = dry_run(project, "--configfile", "small.json")
        folds = re.findall(
            r"rule (?:teacher|references|student|evaluate|states):\n(?:    .*\n)*?"
            r"    wildcards: fold=(\w+)",
            said,
        )
        reasons = re.findall(r"reason: Params have changed.*: (before: .*)", said)
        return counted(said), set(folds), {reason.strip() for reason in reasons}

    seeds = len(OVERLAY["seeds"])
    found, folds, reasons = edited(training={"epochs": 3})
    assert (found["teacher"], found["student"], found["evaluate"]) == (seeds, 2 * seeds, 3 * seeds)
    assert folds == {"one"}
    assert reasons == {"before: 'training.epochs=2' now: 'training.epochs=3'"}
    found, folds, reasons = edited(variants={"modality_dropout": {"label_smoothing": 0.1}})
    assert "teacher" not in found
    assert (found["student"], found["evaluate"], folds) == (seeds, seeds, {"one"})
    assert reasons == {"before: 'objective.label_smoothing=0.05' now: 'objective.label_smoothing=0.1'"}
    assert edited() == ({}, set(), set())


# of each named target a stage that it makes, and one that comes after
TARGETS = {
    "encoders": ("standins", "text"),
    "features": ("visual", "dataset"),
    "teachers": ("teacher", "student"),
    "students": ("student", "evaluate"),
    "evaluation": ("evaluate", "scores"),
    "results": ("tables", "explorer"),
    "report": ("explorer", None),
}


@pytest.fixture(scope="module")
def unmade(tmp_path_factory) -> Path:
    """A project in which nothing has been made."""
    project = copy_project(tmp_path_factory.mktemp("unmade"))
    write_overlay(project, OVERLAY)
    return project


@pytest.mark.parametrize("target", TARGETS)
def test_each_named_target_plans_its_stages(unmade, target):
    made, after = TARGETS[target]
    found = counted(dry_run(unmade, target, "--configfile", "small.json"))
    assert made in found
    assert after not in found


def test_every_named_target_is_in_the_table():
    told = {row[0].strip("`") for row in table("Named targets")}
    # these need a trained model, a search or networks of their own, and are planned elsewhere
    assert told == {*TARGETS, "model", "annotate", "searches", "payoff"}
