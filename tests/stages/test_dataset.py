"""The joined dataset: every utterance once, normalised on training rows, zeros where absent."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from workflow import ROOT

from pipeline import dataset
from pipeline.core import artefacts
from pipeline.core.absence import REASONS
from pipeline.core.errors import PipelineError
from pipeline.training import normalisation
from pipeline.training.dialogues import Dataset

WIDTHS = {"text": 4, "audio": 3, "visual": 2}


@pytest.fixture
def made(tmp_path) -> dict[str, Path | list[Path]]:
    """Manifest, splits and features of 8 dialogues of 3 utterances in 2 shards, shards in odd order."""
    generator = np.random.default_rng(0)
    manifest = pl.DataFrame(
        {
            "utterance": [f"d{d}u{u}" for d in range(8) for u in range(3)],
            "dialogue": [f"d{d}" for d in range(8) for _ in range(3)],
            "position": pl.Series([u for _ in range(8) for u in range(3)], dtype=pl.Int32),
            "speaker": ["A", "B", "A"] * 8,
            "label": pl.Series([0, 1, None] * 8, dtype=pl.Int32),
            "score": pl.Series([None] * 24, dtype=pl.Float32),
        }
    )
    artefacts.save_table(tmp_path / "m.parquet", manifest)
    artefacts.save_json(
        tmp_path / "facts.json",
        {"corpus": "made", "task": "classification", "labels": ["no", "yes"], "timed": True},
    )
    split = ["train"] * 4 + ["val"] * 2 + ["test"] * 2
    artefacts.save_table(
        tmp_path / "s.parquet", pl.DataFrame({"dialogue": [f"d{d}" for d in range(8)], "split": split})
    )
    paths: dict[str, list[Path]] = {}
    for modality, width in WIDTHS.items():
        paths[modality] = []
        for number, own in enumerate((manifest[::2], manifest[1::2][::-1])):
            names = own["utterance"].to_list()
            reasons = [
                "gone" if name in ("d0u1", "d7u2") and modality == "visual" else None for name in names
            ]
            # the row number is written into the first feature, so that a wrong join shows
            pooled = generator.normal(5, 3, (len(names), width)).astype(np.float32)
            pooled[:, 0] = [int(name[1]) * 3 + int(name[3]) for name in names]
            pooled[[reason is not None for reason in reasons]] = 0
            path = tmp_path / "features" / modality / f"{number}.safetensors"
            artefacts.save_tensors(path, {"pooled": pooled})
            table = {"utterance": names, "available": [r is None for r in reasons]}
            reason = pl.Series("reason", reasons, dtype=pl.String)
            artefacts.save_table(path.with_suffix(".parquet"), pl.DataFrame(table).with_columns(reason))
            paths[modality].append(path)
    inputs = {"manifest": tmp_path / "m.parquet", "facts": tmp_path / "facts.json"}
    return inputs | {"splits": tmp_path / "s.parquet", "folder": tmp_path / "dataset"} | paths


def test_join_normalisation_and_absences(made):
    dataset.run(dataset.Params(), **made)
    arrays = artefacts.load_tensors(made["folder"] / "features.safetensors")
    table = artefacts.load_table(made["folder"] / "utterances.parquet")
    assert table["row"].to_list() == list(range(24))
    train = (table["split"] == "train").to_numpy()
    for place, (modality, width) in enumerate(WIDTHS.items()):
        own = arrays["available"][:, place].astype(bool)
        seen = arrays[modality][own & train]
        assert seen.mean(0) == pytest.approx(np.zeros(width), abs=1e-5)
        values = arrays[modality]
        if modality == "audio":
            values = values @ np.linalg.inv(arrays["audio_whitening"])
        assert values[own & train].std(0) == pytest.approx(np.ones(width), abs=1e-4)
        raw = values * arrays[f"{modality}_scale"] + arrays[f"{modality}_mean"]
        assert raw[own, 0] == pytest.approx(np.flatnonzero(own), abs=1e-4)
        assert (arrays[modality][~own] == 0).all()
    assert table.filter(pl.col("reason_visual") == "gone")["utterance"].to_list() == ["d0u1", "d7u2"]
    facts = artefacts.load_json(made["folder"] / "facts.json")
    assert facts["dimensions"] == WIDTHS
    assert facts["absent"]["train"]["visual"] == {"gone": 1}
    assert facts["absent"]["test"] == {"text": {}, "audio": {}, "visual": {"gone": 1}}


def test_every_reason_of_absence_is_documented():
    page = (ROOT / "docs" / "artefacts.md").read_text()
    section = page.partition("### Reasons of absence")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.M)) == sorted(REASONS)


def test_no_other_module_spells_a_reason_of_absence():
    for path in (ROOT / "pipeline").rglob("*.py"):
        if path.name != "absence.py":
            spelt = set(re.findall(r"[\"'](\w+)[\"']", path.read_text())) & set(REASONS)
            assert not spelt, f"{path}: {spelt} stand in pipeline/core/absence.py"


def test_training_reads_what_this_stage_writes(made):
    dataset.run(dataset.Params(), **made)
    loaded = Dataset.load(made["folder"])
    assert loaded.available.sum() == 24 * 3 - 2
    assert (loaded.label == -1).sum() == 8


def test_test_rows_do_not_move_the_normalisation(made):
    dataset.run(dataset.Params(), **made)
    before = artefacts.load_tensors(made["folder"] / "features.safetensors")["text_mean"]
    for path in made["text"]:
        pooled = artefacts.load_tensors(path)["pooled"]
        names = artefacts.load_table(path.with_suffix(".parquet"))["utterance"]
        pooled[names.str.starts_with("d7").to_numpy()] += 1000
        artefacts.save_tensors(path, {"pooled": pooled})
    dataset.run(dataset.Params(), **made)
    after = artefacts.load_tensors(made["folder"] / "features.safetensors")["text_mean"]
    assert (before == after).all()


@pytest.mark.fault(
    "artefacts", "features of a shard are missing, or twice", "the dataset stops, naming an utterance"
)
def test_a_missing_or_double_shard_is_an_error(made):
    whole = made["audio"]
    for wrong in (whole[:1], [whole[0], whole[0]], [*whole, whole[1]], []):
        with pytest.raises(PipelineError, match="audio"):
            dataset.run(dataset.Params(), **(made | {"audio": wrong}))
    assert not made["folder"].exists()


@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(1, 4), st.none() | st.floats(0.01, 1))
def test_normalisation_is_finite_whatever_is_available(seed, rows, width, shrinkage):
    generator = np.random.default_rng(seed)
    features = generator.normal(0, 10, (rows, width)).astype(np.float32)
    features[:, 0] = 3  # a constant feature
    available, train = generator.random((2, rows)) < 0.5
    features[~available] = np.nan
    fitted = normalisation.fit(features, available & train, shrinkage)
    scaled = fitted(features, available)
    assert scaled.dtype == np.float32
    assert np.isfinite(scaled).all() and np.isfinite(fitted.mean).all() and (fitted.scale > 0).all()
    assert (scaled[~available] == 0).all()
    again = normalisation.stored(fitted.arrays("text"), "text")(features, available)
    assert (scaled == again).all()


def test_whitening_decorrelates_and_stays_near():
    generator = np.random.default_rng(0)
    mixed = generator.normal(size=(4000, 3)) @ generator.normal(size=(3, 3)) + 5
    everyone = np.ones(4000, dtype=bool)
    values = normalisation.fit(mixed, everyone, 1e-6)(mixed, everyone)
    assert np.cov(values.T) == pytest.approx(np.eye(3), abs=1e-2)
    # of all maps that decorrelate, the symmetric one keeps each feature nearest to itself
    plain = normalisation.fit(mixed, everyone)(mixed, everyone)
    near = [np.corrcoef(values[:, i], plain[:, i])[0, 1] for i in range(3)]
    rotation, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    turned = values @ rotation
    assert sum(near) > sum(np.corrcoef(turned[:, i], plain[:, i])[0, 1] for i in range(3))
    # a shrinkage of 1 is no whitening at all
    assert normalisation.fit(mixed, everyone, 1.0)(mixed, everyone) == pytest.approx(plain, abs=1e-5)


def test_a_modality_is_whitened_only_if_it_is_named(made):
    dataset.run(dataset.Params(whiten=["text", "visual"], shrinkage=0.2), **made)
    arrays = artefacts.load_tensors(made["folder"] / "features.safetensors")
    assert {name for name in arrays if name.endswith("_whitening")} == {"text_whitening", "visual_whitening"}
