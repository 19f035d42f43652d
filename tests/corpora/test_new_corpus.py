"""The examples of the docs for a new corpus and for arrays from elsewhere work as they stand there."""

import importlib.util
import runpy

import fixture_trees as trees
import numpy as np
import pytest
from documents import examples
from workflow import ROOT

from pipeline import manifest
from pipeline.core.errors import PipelineError
from pipeline.corpora import features


def blocks(page):
    """The Python examples of one page."""
    return [example.text for example in examples(ROOT / "docs" / page) if example.language == "python"]


def test_a_new_corpus_is_one_module(tmp_path):
    path = trees.write_text(tmp_path / "mine.py", blocks("new-corpus.md")[0])
    spec = importlib.util.spec_from_file_location("mine", path)
    mine = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(mine)
    lines = "talk,who,says,mood,from,to\na,Ann,Hi,calm,0,1\na,Ben,No!,tense,1,2\nb,Ann,Well,calm,0,1\n"
    trees.write_text(tmp_path / "lines.csv", lines)
    settings = trees.settings("folder", tmp_path)
    corpus = mine.read(settings, [])
    manifest.check(corpus)
    assert corpus.rows["utterance"].to_list() == ["a_0", "a_1", "b_0"]
    trees.write_text(tmp_path / "lines.csv", lines.replace("tense", "odd"))
    with pytest.raises(PipelineError, match="row 3: unknown label 'odd'"):
        mine.read(settings, [])


FOLDS = {"none": ("main",), "halves": ("one", "two"), "sessions": ("session1", "session2", "session3")}


@pytest.mark.parametrize("kind", FOLDS)
def test_numpy_arrays_come_in_as_the_docs_say(tmp_path, monkeypatch, kind):
    count = 24
    # a dialogue lies in one session
    dialogue = [f"d{n // 8 * 3 + n % 8 // 3}" if kind == "sessions" else f"d{n // 3}" for n in range(count)]
    np.savez(
        tmp_path / "theirs.npz",
        utterance_id=[f"u{n}" for n in range(count)],
        dialogue_id=dialogue,
        utterance_index=np.arange(count) % 3,
        speaker=["s"] * count,
        label=np.arange(count) % 2,
        session=[1 + n // 8 for n in range(count)],
        split=["train" if n < 12 else "test" for n in range(count)],
        **{name: np.ones((count, 2), np.float32) for name in ("text", "audio", "visual")},
    )
    code, halves, sessions = blocks("corpora/features.md")
    if kind != "none":
        folds = halves if kind == "halves" else sessions
        code = code.replace("index.write_parquet", f"{folds}\nindex.write_parquet")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(trees.write_text(tmp_path / "convert.py", code)))
    settings = trees.settings("features", "data/features", features={"labels": ["no", "yes"]})
    corpus = features.read(settings, [])
    manifest.check(corpus)
    assert corpus.folds == FOLDS[kind]
    tested = [
        set(features.splits(corpus.rows, settings, fold).filter(split="test")["dialogue"])
        for fold in corpus.folds
    ]
    everything = {f"d{n}" for n in range(9 if kind == "sessions" else 8)}
    assert set.union(*tested) == (everything if kind == "sessions" else {"d4", "d5", "d6", "d7"})
