"""Manifest and splits: rules are held, shards are whole dialogues, splits do not overlap."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import manifest, splits
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.corpora.rows import ROWS, Corpus, draw_validation, own_splits
from pipeline.settings.corpus import CorpusSettings


def rows(dialogues: int = 6, length: int = 3) -> pl.DataFrame:
    made = [
        {
            "corpus": "made",
            "dialogue": f"d{d}",
            "position": u,
            "utterance": f"d{d}u{u}",
            "speaker": "AB"[u % 2],
            "text": "words",
            "label": u % 2,
            "score": None,
            "media": f"d{d}.mp4",
            "start": float(u),
            "end": u + 0.9,
            "crop": None,
            "group": "main",
            "split": ("train", "train", "val", "test")[d % 4],
        }
        for d in range(dialogues)
        for u in range(length)
    ]
    return pl.DataFrame(made, schema=ROWS)


def changed(column: str, value: object) -> Corpus:
    """A corpus whose fifth row has one wrong value."""
    table = rows().with_row_index()
    kind = ROWS[column]
    wrong = pl.when(pl.col("index") == 4).then(pl.lit(value, kind)).otherwise(pl.col(column))
    return Corpus(table.with_columns(wrong.alias(column)).drop("index"), ("no", "yes"), "classification")


def test_a_good_corpus_passes():
    manifest.check(Corpus(rows(), ("no", "yes"), "classification"))


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("utterance", "d0u0", "more than once"),
        ("position", 0, "taken twice"),
        ("start", 1.95, "not before end"),
        ("start", -0.5, "before the file"),
        ("end", float("nan"), "must be numbers"),
        ("end", None, "must be numbers"),
        ("label", 2, "label 2"),
        ("label", -1, "label -1"),
        ("split", "test", "more than one split"),
        ("group", "other", "more than one group"),
        ("speaker", None, "must not be null"),
        ("crop", [0.5, 0.0, 0.4, 1.0], "crop"),
        ("crop", [0.0, 0.0, 1.0], "crop"),
    ],
)
def test_a_broken_rule_is_named_with_its_row(column, value, said):
    with pytest.raises(PipelineError, match=said):
        manifest.check(changed(column, value))


def test_shards_partition_the_corpus(tmp_path, monkeypatch):
    part = tmp_path / "corpus" / "0"
    names = pl.when(pl.col("label") == 0).then(pl.lit("joy")).otherwise(pl.lit("anger"))
    table = rows(9).with_columns(label=names)
    columns = ["dialogue", "position", "utterance", "speaker", "text"]
    columns += ["label", "split", "media", "start", "end"]
    artefacts.save_table(part / "utterances.parquet", table.select(columns))
    shards = [tmp_path / f"{k}.parquet" for k in range(4)]
    params = manifest.Params(corpus=CorpusSettings(shards=4))
    outputs = {"manifest": tmp_path / "m.parquet", "facts": tmp_path / "f.json", "shards": shards}
    manifest.run(params, parts=[part], **outputs)
    whole = artefacts.load_table(outputs["manifest"])
    slices = [artefacts.load_table(path) for path in shards]
    assert sorted(name for piece in slices for name in piece["utterance"]) == sorted(whole["utterance"])
    owners = [set(piece["dialogue"]) for piece in slices]
    assert sum(map(len, owners)) == len(set().union(*owners)) == 9
    assert "medium" not in whole.columns
    assert set(slices[0]["medium"]) == {""}, "there is no file"
    assert whole["media"][0] == f"{part.as_posix()}/d0.mp4"
    assert artefacts.load_json(outputs["facts"])["utterances"] == 27
    splits.run(splits.Params(), manifest=outputs["manifest"], splits=tmp_path / "s.parquet")
    assert artefacts.load_table(tmp_path / "s.parquet").height == 9
    with pytest.raises(PipelineError, match="embedded has no fold 'session1'; it has main"):
        splits.run(
            splits.Params(fold="session1"), manifest=outputs["manifest"], splits=tmp_path / "t.parquet"
        )


def test_a_medium_is_known_by_its_digest_or_its_size(tmp_path):
    film = tmp_path / "film.mp4"
    assert manifest.medium(film, whole=True) == manifest.medium(film, whole=False) == ""
    film.write_bytes(b"one")
    first = manifest.medium(film, whole=True)
    assert manifest.medium(film, whole=False) == "3"
    film.write_bytes(b"two")
    assert manifest.medium(film, whole=True) != first
    assert manifest.medium(film, whole=False) == "3"


@given(st.text(min_size=1), st.integers(1, 50))
def test_a_shard_depends_on_name_and_number_only(name, shards):
    assert 0 <= manifest.shard_of(name, shards) < shards
    assert manifest.shard_of(name, shards) == manifest.shard_of(name, shards)


def test_unknown_label_names_the_file(tmp_path):
    table = rows(2).with_columns(label=pl.lit("boredom"))
    artefacts.save_table(tmp_path / "p" / "utterances.parquet", table)
    with pytest.raises(PipelineError, match="boredom"):
        manifest.run(
            manifest.Params(corpus=CorpusSettings(shards=1)),
            parts=[tmp_path / "p"],
            manifest=tmp_path / "m.parquet",
            facts=tmp_path / "f.json",
            shards=[tmp_path / "0.parquet"],
        )


@given(st.sets(st.text("abc", min_size=1), min_size=2), st.floats(0.01, 0.49), st.integers(0, 5))
def test_validation_is_a_proper_part_and_ignores_order(names, share, seed):
    drawn = draw_validation(sorted(names), share, seed)
    assert 0 < len(drawn) < len(names)
    assert drawn == draw_validation(sorted(names, reverse=True), share, seed)


def test_validation_comes_out_of_training_only():
    table = rows(12).with_columns(split=pl.col("split").replace("val", "train"))
    drawn = own_splits(table, 0.3, 0)
    kept = table.select("dialogue", "split").unique()
    test = set(kept.filter(split="test")["dialogue"])
    assert set(drawn.filter(split="test")["dialogue"]) == test
    assert drawn.filter(split="val").height == 3


def test_an_empty_split_is_an_error():
    table = pl.DataFrame({"dialogue": ["a", "b"], "split": ["train", "test"]})
    with pytest.raises(PipelineError, match="val"):
        splits.check(table, {"a", "b"})
