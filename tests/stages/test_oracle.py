"""The oracle's references: what they hold, that they have not seen the answer, and who may read them."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from latent_corpus import LABELS, PROCESS, write_corpus
from trained_world import SMALL, World, outputs
from workflow import SMALL as SMALL_RUN
from workflow import copy_project, planned, write_overlay

from models.conditions import COMPLETE
from pipeline import ceilings, oracle, student
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.synth.reading import load_corpus, read_features
from pipeline.training.crossfit import fold_dialogues
from pipeline.training.dialogues import Dataset

PARAMS = oracle.Params(process=PROCESS, strengths=(0.03, 0.3), folds=3)
ANSWERS_ALONE = {"references": "oracle", "fused": 0, "modality": 0, "nce": 0}


def logits_of(folder: Path) -> np.ndarray:
    parts = [folder / "0.parquet", folder / "1.parquet"]
    path = folder / "oracle.safetensors"
    oracle.run(PARAMS, latent=parts, dataset=folder / "dataset", references=path)
    tensors = artefacts.load_tensors(path)
    assert set(tensors) == {"logits"}
    return tensors["logits"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("oracle")
    write_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def logits(corpus) -> np.ndarray:
    return logits_of(corpus)


def test_answers_are_probabilities_of_what_a_student_trains_on(corpus, logits):
    data = Dataset.load(corpus / "dataset")
    seen = data.rows(["train", "val"]).numpy()
    assert logits.shape == (len(data.available), len(LABELS)) and logits.dtype == np.float32
    np.testing.assert_allclose(np.exp(logits[seen]).sum(axis=1), 1, atol=1e-5)
    assert np.isnan(logits[data.rows(["test"]).numpy()]).all()
    assert (logits[seen].argmax(axis=1) == data.label[seen].numpy()).mean() > 0.6
    metadata = artefacts.load_metadata(corpus / "oracle.safetensors")
    assert metadata["references"] == "oracle" and json.loads(metadata["seed"]) is None
    assert metadata["utterances"] == data.digest


def test_readers_have_not_seen_what_they_read(corpus, logits, tmp_path):
    """Other cues in one part of the training dialogues change what all say but those."""
    data = Dataset.load(corpus / "dataset")
    names = fold_dialogues(data, PARAMS.folds)[1]
    other = tmp_path / "other"
    shutil.copytree(corpus, other)
    rng = np.random.default_rng(3)
    for part in (0, 1):
        table = artefacts.load_table(other / f"{part}.parquet")
        inside = table["utterance"].str.replace(r"_\d+$", "").is_in(names).to_numpy()
        assert inside.any()
        for column in ("cue_text", "cue_audio", "cue_visual"):
            values = table[column].to_numpy().copy()
            values[inside] = rng.permutation(values[inside])
            table = table.with_columns(pl.Series(column, values))
        artefacts.save_table(other / f"{part}.parquet", table)
    found = logits_of(other)
    held = data.holding_out(names).rows(["held_out"]).numpy()
    assert np.array_equal(found[held], logits[held])
    rest = data.holding_out(names).rows(["train", "val"]).numpy()
    assert (found[rest] != logits[rest]).any(axis=1).all()


def test_no_label_is_read(corpus, logits, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(corpus, other)
    path = other / "dataset" / "utterances.parquet"
    artefacts.save_table(path, artefacts.load_table(path).with_columns(label=pl.lit(0, pl.Int32)))
    assert np.array_equal(logits_of(other), logits, equal_nan=True)


def test_with_readers_of_all_training_dialogues_it_is_the_readable_ceiling(corpus, logits, tmp_path):
    parts = [corpus / "0.parquet", corpus / "1.parquet"]
    own = load_corpus(parts, corpus / "dataset")
    readings = read_features(own, PARAMS.strengths, own.rows("train"))
    val = own.rows("val")
    told = oracle.beliefs(PROCESS, own, readings, val)
    np.testing.assert_allclose(np.exp(logits[val]), told, atol=1e-5)
    ceilings.run(
        ceilings.Params(process=PROCESS, strengths=PARAMS.strengths),
        latent=parts,
        dataset=corpus / "dataset",
        masks=corpus / "masks.safetensors",
        conflicts=corpus / "conflicts.parquet",
        ceilings=tmp_path / "ceilings.parquet",
    )
    rows = artefacts.load_table(tmp_path / "ceilings.parquet").filter(
        variant="readable_ceiling", condition=str(COMPLETE)
    )
    told = oracle.beliefs(PROCESS, own, readings, own.rows("test"))
    np.testing.assert_allclose(np.array(rows["probabilities"].to_list()), told, atol=1e-6)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def test_students_of_any_seed_read_answers_without_states(world, tmp_path):
    told = artefacts.load_tensors(world.references["in_sample"])
    metadata = artefacts.load_metadata(world.references["in_sample"])
    path = tmp_path / "oracle.safetensors"
    metadata |= {"references": "oracle", "seed": "null"}
    artefacts.save_tensors(path, {"logits": told["logits"]}, metadata)

    def trained(name, references, **changes):
        paths = outputs(tmp_path / name)
        params = student.Params(**{**SMALL, "objective": ANSWERS_ALONE, **changes})
        student.run(
            params, dataset=world.dataset, masks=world.masks, references=[references], teacher=[], **paths
        )
        return artefacts.load_tensors(paths["epochs"])

    # the answers of a teacher teach the same, whoever gave them
    plain = trained(
        "plain", world.references["in_sample"], objective={**ANSWERS_ALONE, "references": "in_sample"}
    )
    own = trained("own", path)
    assert all(np.array_equal(own[name], value) for name, value in plain.items())
    trained("other", path, seed=1)
    with pytest.raises(PipelineError, match=r"holds in_sample references and .* asks for oracle"):
        trained("mixed", world.references["in_sample"])
    told["logits"][0] = np.nan
    artefacts.save_tensors(path, {"logits": told["logits"]}, metadata)
    with pytest.raises(PipelineError, match="some training utterance has no reference"):
        trained("torn", path)


def test_a_run_makes_one_oracle_for_all_seeds(tmp_path):
    overlay = SMALL_RUN | {"compare": ["modality_dropout", "oracle_kd"]}
    overlay |= {"report": {"resamples": 300, "reference": "modality_dropout"}}
    write_overlay(copy_project(tmp_path), overlay)
    jobs = planned(tmp_path, "students", "--configfile", "small.json")
    assert jobs["oracle"] == 1 and jobs["student"] == 4 and not jobs.get("references")
