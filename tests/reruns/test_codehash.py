"""The digest that decides reruns follows imports, and ignores what does not change behaviour."""

import pytest

from pipeline.reruns import codehash

CACHED = (
    codehash.module_file,
    codehash._parse,
    codehash.closure,
    codehash.code_digest,
    codehash.code_lines,
)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A small first-party tree; returns a function that writes a module and forgets what was parsed."""

    def write(module: str, text: str):
        path = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text)
        for cached in CACHED:
            cached.cache_clear()

    monkeypatch.setattr(codehash, "ROOT", tmp_path)
    write("models.losses", "def loss(x):\n    return x\n")
    write("models.unused", "y = 1\n")
    write("pipeline.student", "from models.losses import loss\n\ndef run():\n    return loss(1)\n")
    yield write
    for cached in CACHED:
        cached.cache_clear()


def test_edit_of_an_imported_module_changes_the_digest(tree):
    before = codehash.code_digest("pipeline.student")
    tree("models.losses", "def loss(x):\n    return 2 * x\n")
    assert codehash.code_digest("pipeline.student") != before


def test_edit_of_an_unrelated_module_changes_nothing(tree):
    before = codehash.code_digest("pipeline.student")
    tree("models.unused", "y = 2\n")
    assert codehash.code_digest("pipeline.student") == before


def test_comments_docstrings_and_layout_change_nothing(tree):
    before = codehash.code_digest("pipeline.student")
    tree("models.losses", '"""Losses."""\n\n\ndef loss(x):\n    """One."""\n    # why\n    return (x)\n')
    assert codehash.code_digest("pipeline.student") == before


@pytest.mark.parametrize(
    "text",
    [
        "def run():\n    from models import unused\n    return unused.y\n",
        "import importlib\n\ndef run():\n    return importlib.import_module('models.unused').y\n",
        "from ..models.unused import y\n",
    ],
)
def test_lazy_literal_and_relative_imports_are_followed(tree, text):
    tree("pipeline.student", text)
    assert "models.unused" in codehash.closure("pipeline.student")


def test_an_import_that_cannot_be_followed_is_an_error(tree):
    tree("pipeline.student", "import importlib\n\ndef run(name):\n    return importlib.import_module(name)\n")
    with pytest.raises(ValueError, match="cannot be followed"):
        codehash.closure("pipeline.student")


def test_every_stage_of_the_project_has_a_digest():
    stages = [path.stem for path in (codehash.ROOT / "pipeline").glob("*.py") if path.stem != "__init__"]
    assert stages
    for stage in stages:
        assert len(codehash.code_digest(f"pipeline.{stage}")) == 16


def test_floors_import_only_downwards():
    for path in (codehash.ROOT / "models").glob("*.py"):
        if path.stem != "__init__":
            reached = codehash.closure(f"models.{path.stem}")
            assert not [name for name in reached if name.startswith("pipeline")]


@pytest.mark.parametrize(
    "edited",
    [
        "def loss(x):\n    return x + 0\n",
        "def loss(y):\n    return y\n",
        "def loss(x, y=0):\n    return x\n",
        "def loss(x):\n    yield x\n",
        "async def loss(x):\n    return x\n",
        "@staticmethod\ndef loss(x):\n    return x\n",
        'def loss(x):\n    return "x"\n',
        "def loss(x: int):\n    return x\n",
        "def loss(x):\n    1\n    return x\n",
        "def loss(x):\n    return x\n\n\n'text'\n",
    ],
)
def test_whatever_may_change_behaviour_changes_the_digest(tree, edited):
    before = codehash.code_digest("models.losses")
    tree("models.losses", edited)
    assert codehash.code_digest("models.losses") != before


def test_the_lines_name_each_file_and_only_the_edited_one_changes(tree):
    before = codehash.code_lines("pipeline.student")
    assert set(before) == {
        "models/__init__.py",
        "models/losses.py",
        "pipeline/__init__.py",
        "pipeline/student.py",
    }
    tree("models.losses", "def loss(x):\n    return -x\n")
    now = codehash.code_lines("pipeline.student")
    assert {path for path in now if now[path] != before[path]} == {"models/losses.py"}
    assert now["models/losses.py"].startswith("models/losses.py ")
