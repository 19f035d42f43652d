"""Modalities are told, and names of conditions made and read, in one place; the artefacts' names stay."""

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workflow import ROOT

from models.conditions import COMPLETE, DONOR_KINDS, Condition
from models.modalities import CHANNELS, LETTERS, MODALITIES, SUBSETS, has_letter, letters_of, modalities_of

words = st.from_regex(r"[a-z][a-z0-9_.-]*", fullmatch=True).filter(lambda word: word != "mean")
rates = st.integers(1, 999).map(lambda share: share / 1000)
conditions = st.one_of(
    st.just(COMPLETE),
    st.sampled_from(SUBSETS).map(Condition.fixed),
    st.builds(Condition.random, rates, st.none() | st.integers(0, 99)),
    st.builds(Condition.conflict, st.sampled_from(CHANNELS), st.sampled_from(DONOR_KINDS)),
    st.builds(Condition.over_swaps, st.sampled_from(DONOR_KINDS)),
    st.builds(
        lambda family, kind, level: Condition(family, kind=kind, level=level),
        words.filter(lambda word: word not in ("complete", "fixed", "random", "conflict")),
        words,
        st.just("") | words,
    ),
)


@given(conditions)
def test_a_condition_is_read_as_it_was_written(condition):
    assert Condition.parse(str(condition)) == condition
    assert Condition.parse(str(condition.mean)) == condition.mean == condition.mean.mean
    assert condition.undrawn.draw is None and condition.undrawn.mean == condition.mean


@pytest.mark.parametrize(
    ("condition", "name"),
    [
        (COMPLETE, "complete"),
        (Condition.fixed("at"), "fixed/at"),
        (Condition.fixed("at").mean, "fixed/mean"),
        (Condition.random(0.3), "random/0.3"),
        (Condition.random(0.3, 0), "random/0.3/0"),
        (Condition.random(0.3).mean, "random/mean"),
        (Condition.conflict("av", "different"), "conflict/av/different"),
        (Condition.over_swaps("same"), "conflict/mean/same"),
        (Condition("degraded", kind="babble", level="10"), "degraded/babble/10"),
    ],
)
def test_the_names_in_the_artefacts(condition, name):
    assert str(condition) == name
    assert Condition.parse(name) == condition


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "mean",
            "/mean",
            "complete/",
            "complete/x",
            "fixed",
            "fixed/",
            "fixed/x",
            "fixed/ta",
            "fixed/a/t",
        ),
        *("random", "random/much", "random/0.3/x", "random/0.3/0/0", "conflict/a", "conflict/t/same"),
        *("conflict/a/", "conflict/mean/", "odd", "odd/", "odd//x", "odd/a/b/c"),
    ],
)
def test_what_is_no_condition_is_refused(name):
    with pytest.raises(ValueError, match=r"\S"):
        Condition.parse(name)


@given(st.sets(st.sampled_from(MODALITIES)))
def test_letters_and_modalities_say_the_same(names):
    letters = letters_of(names)
    assert set(modalities_of(letters)) == names
    assert has_letter(letters) == tuple(name in names for name in MODALITIES)
    with pytest.raises(ValueError, match="letter 'x'"):
        has_letter(letters + "x")


# a condition that is made of text by hand, or told by how its name begins
MADE = re.compile(r"""["'](?:fixed|random|conflict)/|startswith\(\s*["'](?:complete|fixed|random|conflict)""")
OWN = ("conditions.py", "modalities.py", "test_conditions.py")
LISTS = [set(MODALITIES), set(LETTERS), set(SUBSETS), set(CHANNELS), set(DONOR_KINDS)]


def constants(node: ast.AST) -> list:
    """The entries of a literal list, tuple or set; empty where one of them is no literal."""
    entries = node.elts if isinstance(node, (ast.Tuple, ast.List, ast.Set)) else []
    values = [entry.value for entry in entries if isinstance(entry, ast.Constant)]
    return values if len(values) == len(entries) else []


@pytest.mark.parametrize("folder", ["pipeline", "models", "rules", "tests"])
def test_nothing_else_takes_names_of_conditions_apart(folder):
    found = []
    for path in sorted((ROOT / folder).rglob("*")):
        # tests name conditions in full, as they expect them in the artefacts
        if path.suffix in (".py", ".smk") and path.name not in OWN:
            lines = path.read_text(encoding="utf-8").splitlines()
            made = re.compile(r"f" + MADE.pattern) if folder == "tests" else MADE
            found += [f"{path}: {line.strip()}" for line in lines if made.search(line)]
    assert not found


def test_lists_of_modalities_and_subsets_stand_once():
    found = []
    for path in sorted([*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "models").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if path.name not in OWN and set(constants(node)) in LISTS:
                found.append(f"{path}, line {node.lineno}: {constants(node)}")
    assert not found
