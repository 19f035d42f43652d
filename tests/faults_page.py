"""`make faults`: docs/faults.md, from the markers `fault` of all tests, which are collected and not run."""

import contextlib
import io
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "faults.md"
AREAS = {
    "media": "Video and sound files",
    "faces": "Faces",
    "sound": "Sound",
    "text": "Words",
    "subtitles": "Subtitles and transcripts",
    "tables": "Tables",
    "labels": "Labels",
    "corpora": "Folders of corpora",
    "weights": "Weights of encoders",
    "artefacts": "Artefacts of the pipeline",
    "config": "Configuration",
    "command": "Command line",
    "names": "Names",
    "disk": "Disks, kills and other runs",
    "cluster": "Clusters",
}
HEAD = """# What goes wrong, and how it ends

A fault of an input costs the utterances that it touches, as [absences](artefacts.md#reasons-of-absence) with
their reasons, or it ends in one paragraph that says what is wrong, where, and how to mend it. Each row below
is a kind of fault that a test makes and whose end it checks: {count} kinds. This page is written from the
markers of those tests (`make faults`, which collects them and runs none), and a test holds it to them. What
is marked *long* runs with `make test-long`, all else with `make test`; of the area of clusters, where SLURM
is installed.
"""


class Row(NamedTuple):
    """One kind of fault."""

    area: str
    kind: str
    ends: str
    test: str  # file::function
    long: bool


FOUND = pytest.StashKey[list[Row]]()  # of a session that has collected all tests


def rows(items: Iterable[pytest.Item]) -> list[Row]:
    """The kinds that these tests make, each once a test; raises ValueError for a marker of another form."""
    found = set()
    for item in items:
        for marker in item.iter_markers("fault"):
            if len(marker.args) != 3 or marker.args[0] not in AREAS or marker.kwargs:
                raise ValueError(
                    f"{item.nodeid}: fault takes an area of {', '.join(AREAS)}, the kind, and how it ends"
                )
            test = item.nodeid.partition("[")[0]
            found.add(Row(*marker.args, test, item.get_closest_marker("long") is not None))
    return sorted(found, key=lambda row: (list(AREAS).index(row.area), row.test, row.kind))


def as_page(found: Iterable[Row]) -> str:
    """The page: a table an area, a line a kind."""
    found = list(found)
    parts = [HEAD.format(count=len({(row.area, row.kind) for row in found}))]
    for area, title in AREAS.items():
        own = [row for row in found if row.area == area]
        if own:
            lines = [f"| {_cell(row.kind)} | {_cell(row.ends)} | {_place(row)} |" for row in own]
            parts.append(
                "\n".join([f"## {title}", "", "| kind | how it ends | test |", "|---|---|---|", *lines, ""])
            )
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _place(row: Row) -> str:
    file, _, function = row.test.partition("::")
    return f"`{file}` `{function}`{' *long*' if row.long else ''}"


def whole(config: pytest.Config) -> bool:
    """Whether a session collects all tests."""
    given = {Path(config.invocation_params.dir, argument).resolve() for argument in config.args}
    return bool(given & {ROOT, ROOT / "tests"})


def collected() -> list[Row]:
    """The rows of all tests, by collecting them in this process; raises RuntimeError if that fails."""
    kept: list[Row] = []

    class Keep:
        @pytest.hookimpl(tryfirst=True)
        def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
            kept.extend(rows(items))

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        arguments = [
            "--collect-only",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(ROOT),
            str(ROOT / "tests"),
        ]
        code = pytest.main(arguments, plugins=[Keep()])
    if code != pytest.ExitCode.OK:
        raise RuntimeError(f"the tests cannot be collected:\n{said.getvalue()[-3000:]}")
    return kept


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.write(as_page(collected()))
    else:
        PAGE.write_text(as_page(collected()), encoding="utf-8")
        sys.stdout.write(f"{PAGE.relative_to(ROOT)} is written\n")
