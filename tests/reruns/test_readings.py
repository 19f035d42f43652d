"""Readings of code that are kept change nothing but the time that it takes to read them."""

import json

import pytest
from test_codehash import CACHED, tree  # noqa: F401

from pipeline.reruns import codehash
from pipeline.reruns.readings import Reading, Readings


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A function that begins as a new command does: with what the last one has kept."""

    def begin():
        codehash.READINGS.save()
        monkeypatch.setattr(codehash, "READINGS", Readings())
        codehash.READINGS.open(tmp_path / "kept" / "code.json")
        for cached in CACHED:
            cached.cache_clear()

    begin()
    return begin


def test_what_is_kept_says_the_same_and_nothing_is_read_twice(tree, kept, monkeypatch):  # noqa: F811
    before = codehash.code_lines("pipeline.student")
    kept()
    monkeypatch.setattr(codehash.ast, "parse", None)
    assert codehash.code_lines("pipeline.student") == before


def test_an_edit_counts_and_so_does_a_module_that_comes_or_goes(tree, kept, tmp_path):  # noqa: F811
    tree("pipeline.student", "from models import losses, later\n")
    first = codehash.code_digest("pipeline.student")
    kept()
    tree("models.losses", "def loss(x):\n    return 3 * x\n")
    second = codehash.code_digest("pipeline.student")
    kept()
    # the file that names it is as it was, and read already
    tree("models.later", "y = 1\n")
    assert "models.later" in codehash.closure("pipeline.student")
    third = codehash.code_digest("pipeline.student")
    assert len({first, second, third}) == 3
    kept()
    (tmp_path / "models" / "later.py").unlink()
    assert codehash.code_digest("pipeline.student") == second


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": 1}', '{"a": ["x", "y", "z"]}'])
def test_a_broken_file_holds_nothing(tmp_path, text):
    (tmp_path / "code.json").write_text(text)
    readings = Readings()
    readings.open(tmp_path / "code.json")
    assert readings.get("a") is None
    readings.put("a", Reading(("x",), "digest"))
    readings.save()
    assert json.loads((tmp_path / "code.json").read_text()) == {"a": [["x"], "digest"]}


def test_what_nobody_asks_for_any_more_is_not_kept(tmp_path):
    path = tmp_path / "code.json"
    path.write_text('{"old": [[], "a"], "used": [[], "b"]}')
    readings = Readings()
    readings.open(path)
    assert readings.get("used") == Reading((), "b")
    readings.put("new", Reading((), "c"))
    readings.save()
    assert json.loads(path.read_text()).keys() == {"used", "new"}
