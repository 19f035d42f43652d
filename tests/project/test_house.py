"""The house: stages on top, shared rooms below them, imports downwards only (CONTRIBUTING.md)."""

import re
from graphlib import TopologicalSorter

import pytest
from workflow import ROOT

from pipeline.reruns.codehash import direct_imports

# from the top; rooms of one floor may not import each other in a circle, which the last test sees
FLOORS = (
    ("annotation",),
    ("reporting",),
    ("training",),
    ("evaluation",),
    ("extraction", "speech"),
    ("reruns",),
    ("degradation",),
    ("corpora", "encoders", "synth"),
    ("settings",),
    ("core",),
)
DOORS = {"config", "config_page", "environments", "model"}
HEIGHT = {room: len(FLOORS) - floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for top in ("pipeline", "models")
    for path in sorted((ROOT / top).rglob("*.py"))
    if path.name != "__init__.py"
}


def height(module: str) -> int:
    """The floor of a module: networks below all, stages above the rooms, doors above all."""
    parts = module.split(".")
    if parts[0] == "models":
        return 0
    if len(parts) > 2:
        return HEIGHT[parts[1]]
    return len(FLOORS) + (2 if parts[1] in DOORS else 1)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_downwards_and_no_stage_imports_a_stage(module):
    for name in direct_imports(module):
        if name not in MODULES:
            continue
        above = f"{module} imports {name}"
        assert height(name) <= height(module), above
        assert height(name) <= len(FLOORS) or height(module) > len(FLOORS) + 1, above


def test_rooms_import_each_other_in_no_circle():
    rooms: dict[str, set[str]] = {}
    for module in MODULES:
        for name in direct_imports(module):
            here, there = (part.rpartition(".")[0] for part in (module, name))
            if name in MODULES and here != there:
                rooms.setdefault(here, set()).add(there)
    rooms.pop("pipeline")  # stages and doors, which the other test places
    TopologicalSorter(rooms).prepare()


def test_modules_import_each_other_in_no_circle():
    TopologicalSorter({module: set(direct_imports(module)) for module in MODULES}).prepare()


def test_packages_hold_nothing_of_their_own():
    for path in ROOT.glob("pipeline/**/__init__.py"):
        assert not path.read_bytes(), f"{path}: its code would stand behind every stage"


def test_contributing_tells_the_same_floors():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    rooms = [set(re.findall(r"`(\w+)/`", row)) for row in rows]
    assert [found for found in rooms if found & set(HEIGHT)] == [set(floor) for floor in FLOORS]
