"""What runs again where the contents of files decide it, and nothing is lost on the way: real, small runs."""

import os
import re
from pathlib import Path

import fixture_encoders
import fixture_trees as trees
import numpy as np
import polars as pl
import pytest
from workflow import copy_project, planned, snakemake, write_overlay

from pipeline.corpora.listing import listing
from pipeline.manifest import shard_of

SHARDS = 3


def run(project: Path, *targets: str) -> dict[str, int]:
    """Run to the targets; the rules whose jobs were executed, with their number."""
    said = snakemake(project, "--cores", "2", *targets, "--configfile", "small.json")
    done = re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):$", said.stdout + said.stderr, re.M)
    return {rule: done.count(rule) for rule in set(done) - {"all", "features", "evaluation"}}


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Time and contents of every file of a run, by its path."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and not {"logs", "benchmarks"} & set(path.parts)
    }


def text_of(shard: int) -> str:
    return f"runs/small/features/text/{shard}.safetensors"


TEXTS = [text_of(shard) for shard in range(SHARDS)]


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """A project beside a folder of six short videos with transcripts, and the features of their words."""
    base = tmp_path_factory.mktemp("videos")
    fixture_encoders.place(base)
    project = copy_project(base / "project")
    (project / "weights").symlink_to(base / "weights")
    trees.own_folder(project / "talks", dialogues=6)
    corpus = {"name": "folder", "folder": "talks", "shards": SHARDS}
    write_overlay(project, {"run": "small", "encoders": fixture_encoders.SETTINGS, "corpus": corpus})
    assert run(project, *TEXTS) == {"manifest": 1, "weights": 1, "text": SHARDS}
    return project


@pytest.mark.slow
def test_a_dialogue_that_comes_is_edited_or_goes_runs_its_own_shard_alone(videos):
    name, folder = "late", videos / "talks"
    late = text_of(shard_of(name, SHARDS)).removeprefix("runs/")
    before = state(videos / "runs")
    trees.write_clip(folder / f"{name}.mp4")
    trees.write_text(folder / f"{name}.csv", trees.CUES)
    # before the manifest is made anew, nobody can know which shards will change
    assert planned(videos, "--configfile", "small.json", "--", *TEXTS) == {"manifest": 1, "text": SHARDS}
    assert run(videos, *TEXTS) == {"manifest": 1, "text": 1}
    now = state(videos / "runs")
    changed = {path for path in now if path.startswith("small/features") and now[path] != before.get(path)}
    assert changed == {
        late.removeprefix("runs/"),
        late.removeprefix("runs/").replace("safetensors", "parquet"),
    }

    trees.write_text(folder / f"{name}.csv", trees.CUES.replace("Hello", "Hallo"))
    assert run(videos, *TEXTS) == {"manifest": 1, "text": 1}
    (folder / f"{name}.mp4").unlink()
    (folder / f"{name}.csv").unlink()
    assert run(videos, *TEXTS) == {"manifest": 1, "text": 1}
    assert {path: data for path, (_, data) in state(videos / "runs").items()} == {
        path: data for path, (_, data) in before.items()
    }


@pytest.mark.slow
def test_a_video_of_another_size_runs_its_shard_and_what_was_placed_by_hand_its_weights(videos):
    before = state(videos / "runs")
    film = sorted((videos / "talks").glob("*.mp4"))[0]
    own = text_of(shard_of(film.stem, SHARDS)).removeprefix("runs/")
    film.write_bytes(film.read_bytes() + b"\0")
    assert run(videos, *TEXTS) == {"manifest": 1, "text": 1}
    now = state(videos / "runs")
    assert {path for path in now if path.endswith(".safetensors") and now[path] != before[path]} == {own}

    (placed,) = (videos / "weights").glob("tests--text/*/config.json")
    placed.write_text(placed.read_text() + "\n")
    assert run(videos, *TEXTS) == {"weights": 1, "text": SHARDS}
    assert planned(videos, "--configfile", "small.json", "--", *TEXTS) == {}


@pytest.mark.slow
def test_another_picture_of_the_embedded_corpus_finds_its_faces_anew(tmp_path):
    """The utterances are the same, so it is the medium's digest in the slice that says so."""
    process = {"dialogues": 4, "utterances": 2}
    settings = {"run": "small", "corpus": {"shards": 1}, "embedded": {"parts": 1, "process": process}}
    project, faces = copy_project(tmp_path / "project"), "runs/small/faces/0"
    write_overlay(project, settings)
    assert run(project, faces) == {"corpus": 1, "manifest": 1, "faces": 1}
    crops = (project / faces / "crops.safetensors").read_bytes()
    settings["embedded"]["rendering"] = {"head": 0.25}
    write_overlay(project, settings)
    assert run(project, faces) == {"corpus": 1, "manifest": 1, "faces": 1}
    assert (project / faces / "crops.safetensors").read_bytes() != crops


@pytest.mark.slow
def test_a_touched_corpus_runs_nothing(videos):
    for path in (videos / "talks", *(videos / "talks").iterdir()):
        os.utime(path)
    assert planned(videos, "--configfile", "small.json", "--", *TEXTS) == {}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A project with given features of 48 utterances, one seed and one student that needs no teacher."""
    project = copy_project(tmp_path_factory.mktemp("given") / "project")
    index = "utterance,dialogue,label\n" + "".join(
        f"u{n},d{n // 4},{'yes' if n % 3 else 'no'}\n" for n in range(48)
    )
    draw = np.random.default_rng(0)
    arrays = {name: {"pooled": draw.normal(size=(48, 3))} for name in ("text", "audio")}
    trees.features(project / "given", index, arrays)
    choose(project, seeds=[0], compare=["modality_dropout"])
    first = {"manifest": 1, "splits": 1, "given": 3, "dataset": 1, "masks": 1, "conflicts": 1}
    assert run(project, "evaluation") == first | {"teacher": 1, "student": 1, "evaluate": 2}
    return project


def choose(project: Path, **keys: object) -> None:
    corpus = {"name": "features", "folder": "given", "shards": 1}
    report = {"oracle": False, "reference": "modality_dropout"}
    settings = {"run": "small", "corpus": corpus, "training": {"epochs": 1}, "report": report}
    write_overlay(project, settings | keys)


@pytest.mark.slow
def test_a_new_variant_or_seed_runs_its_own_jobs_and_a_removed_one_loses_nothing(trained):
    before = state(trained / "runs")
    choose(trained, seeds=[0], compare=["modality_dropout", "text_only"])
    assert run(trained, "evaluation") == {"student": 1, "evaluate": 1}
    choose(trained, seeds=[0, 1], compare=["modality_dropout"])
    assert run(trained, "evaluation") == {"teacher": 1, "student": 1, "evaluate": 2}
    both = state(trained / "runs")
    assert before.items() <= both.items()
    choose(trained, seeds=[0], compare=["modality_dropout"])
    assert run(trained, "evaluation") == {}
    assert state(trained / "runs") == both
    choose(trained, seeds=[0, 1], compare=["modality_dropout"])
    assert run(trained, "evaluation") == {}, "what was there before is taken as it is"


@pytest.mark.slow
def test_an_edited_loss_trains_anew_and_computes_nothing_above(trained):
    choose(trained, seeds=[0], compare=["modality_dropout"])
    before = state(trained / "runs")
    with (trained / "models" / "losses.py").open("a") as file:
        file.write("\nEDITED = 1\n")
    assert run(trained, "evaluation") == {"teacher": 1, "student": 1, "evaluate": 2}
    now = state(trained / "runs")
    for path in before:
        rerun = re.search(
            r"/(teacher|student/modality_dropout|predictions/(teacher|modality_dropout))/0", path
        )
        assert (now[path][0] > before[path][0]) == bool(rerun), path
        # the edit changes nothing that is computed
        assert now[path][1] == before[path][1], path


@pytest.mark.slow
def test_other_splits_in_the_index_are_read(tmp_path):
    """The manifest has no column split_one, so it cannot tell of the edit."""
    project, splits = copy_project(tmp_path / "project"), "runs/small/one/splits.parquet"
    names = ["train", "train", "val", "test"]

    def write(names: list[str]) -> None:
        rows = [f"u{n},d{n},{n % 2},{names[n % 4]}\n" for n in range(8)]
        arrays = {"text": {"pooled": np.zeros((8, 2))}}
        trees.features(project / "given", "utterance,dialogue,label,split_one\n" + "".join(rows), arrays)

    write(names)
    corpus = {"name": "features", "folder": "given", "shards": 1, "folds": ["one"]}
    write_overlay(project, {"run": "small", "corpus": corpus})
    assert run(project, splits) == {"manifest": 1, "splits": 1}
    before = pl.read_parquet(project / splits)
    write(["train", "train", "test", "val"])
    assert run(project, splits) == {"manifest": 1, "splits": 1}
    swapped = before.with_columns(pl.col("split").replace({"val": "test", "test": "val"}))
    assert pl.read_parquet(project / splits).equals(swapped)


def test_the_listing_of_a_corpus_sees_names_sizes_and_texts_and_no_times(tmp_path):
    trees.write_text(tmp_path / "deep" / "a.srt", "one")
    (tmp_path / "deep" / "a.mp4").write_bytes(b"12")
    seen = {first := listing(tmp_path)}
    os.utime(tmp_path / "deep" / "a.mp4", (1, 1))
    trees.write_text(tmp_path / ".hidden", "x")
    assert listing(tmp_path) == first
    for edit in (
        lambda: trees.write_text(tmp_path / "deep" / "a.srt", "two"),
        lambda: (tmp_path / "deep" / "a.mp4").write_bytes(b"123"),
        lambda: (tmp_path / "deep" / "a.mp4").rename(tmp_path / "deep" / "b.mp4"),
        lambda: trees.write_text(tmp_path / "deeper" / "c.txt", ""),
    ):
        edit()
        seen.add(listing(tmp_path))
    assert len(seen) == 5
    assert first.startswith(f"{tmp_path}: 2 files, ")
    (tmp_path / "again").symlink_to(tmp_path)
    assert listing(tmp_path) in seen
