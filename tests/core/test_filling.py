"""Folders that people look into: what they put there stays, and what was made before is replaced or goes."""

import os
from pathlib import Path

import pytest

from pipeline.core import filling as module
from pipeline.core.errors import PipelineError
from pipeline.core.filling import LISTING, filling


def fill(folder: Path, **files: str) -> None:
    with filling(folder) as target:
        for name, text in files.items():
            (target / name).parent.mkdir(exist_ok=True)
            (target / name).write_text(text)


def held(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != LISTING
    }


@pytest.mark.fault("names", "a file of one's own in a folder of results", "it stays as it is")
def test_what_others_put_there_stays_and_what_is_no_longer_made_goes(tmp_path):
    fill(tmp_path / "f", a="1", b="1")
    (tmp_path / "f" / "notes.txt").write_text("mine")
    fill(tmp_path / "f", b="2", c="2")
    assert held(tmp_path / "f") == {"b": "2", "c": "2", "notes.txt": "mine"}


@pytest.mark.fault(
    "names", "a result that somebody has edited is made anew", "the edited one is kept beside it"
)
def test_a_file_that_somebody_has_changed_is_kept_under_another_name(tmp_path):
    fill(tmp_path, **{"README.md": "1", "gone": "1"})
    (tmp_path / "README.md").write_text("edited")
    (tmp_path / "gone").write_text("edited")
    (tmp_path / "new").write_text("mine")
    fill(tmp_path, **{"README.md": "2", "new": "ours"})
    assert held(tmp_path) == {
        "README.md": "2", "README.kept1.md": "edited", "gone": "edited", "new": "ours", "new.kept1": "mine",
    }  # fmt: skip
    fill(tmp_path, **{"README.md": "3", "new": "ours"})
    assert (tmp_path / "README.kept1.md").read_text() == "edited" and not (
        tmp_path / "README.kept2.md"
    ).exists()


def test_files_of_versions_without_a_listing_are_replaced(tmp_path):
    (tmp_path / "main.md").write_text("old")
    fill(tmp_path, **{"main.md": "new"})
    assert held(tmp_path) == {"main.md": "new"}


@pytest.mark.fault(
    "disk", "a kill while a folder of results is being filled", "the next run ends as if undisturbed"
)
@pytest.mark.parametrize("moment", range(2))
def test_a_kill_between_two_files_leaves_nothing_that_is_taken_for_somebodys(tmp_path, monkeypatch, moment):
    fill(tmp_path, a="1", b="1", c="1")
    rename, moved = os.replace, []

    def killed(source, place):
        if Path(place).name in "abc":
            moved.append(place)
            if len(moved) > moment:
                raise KeyboardInterrupt
        rename(source, place)

    with monkeypatch.context() as patched:
        patched.setattr(module.os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            fill(tmp_path, a="2", b="2")
    fill(tmp_path, a="3", b="3")
    assert held(tmp_path) == {"a": "3", "b": "3"}


@pytest.mark.fault("names", "the listing of what was made in a folder is damaged", "nothing is deleted by it")
@pytest.mark.parametrize("damaged", ["", "[]", '{"files": 3}'])
def test_a_damaged_listing_deletes_nothing(tmp_path, damaged):
    fill(tmp_path, a="1", b="1")
    (tmp_path / LISTING).write_text(damaged)
    fill(tmp_path, b="2")
    assert held(tmp_path) == {"a": "1", "b": "2"}


def test_a_failed_writer_changes_nothing(tmp_path):
    fill(tmp_path, a="1")
    with pytest.raises(RuntimeError), filling(tmp_path) as target:
        (target / "a").write_text("2")
        raise RuntimeError
    assert held(tmp_path) == {"a": "1"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [LISTING, "a"]


@pytest.mark.fault(
    "names", "a file where a folder of results belongs, or a folder where a file does", "refused"
)
def test_a_file_where_a_folder_belongs_and_the_other_way_is_named(tmp_path):
    (tmp_path / "f").write_text("mine")
    with pytest.raises(PipelineError, match=r"/f: it is a file"):
        fill(tmp_path / "f", a="1")
    (tmp_path / "g" / "a").mkdir(parents=True)
    with pytest.raises(PipelineError, match=r"/g/a: it is a folder"):
        fill(tmp_path / "g", a="1")
    assert (tmp_path / "f").read_text() == "mine" and not list((tmp_path / "g" / "a").iterdir())
