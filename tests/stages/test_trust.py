"""Reliability inputs from shards to networks: joined, normalised, read by those that ask for them alone."""

import numpy as np
import polars as pl
import pytest
import torch
from dialogues import write_dataset, write_masks

from models.batch import Batch
from models.modalities import MODALITIES
from pipeline import evaluate, student, trust
from pipeline.config import Config
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.core.registries.gauges import GAUGES, table_name
from pipeline.evaluation.trust import Trust
from pipeline.settings.network import NetworkSettings
from pipeline.settings.objective import ObjectiveSettings
from pipeline.settings.training import TrainingSettings
from pipeline.training import checkpoint
from pipeline.training.dialogues import Dataset
from pipeline.training.loop import build_network


@pytest.fixture
def fold(tmp_path):
    """A dataset, and what was measured of its utterances in two shards, in another order."""
    write_dataset(tmp_path / "dataset")
    names = artefacts.load_table(tmp_path / "dataset" / "utterances.parquet")["utterance"].to_list()
    rng = np.random.default_rng(0)
    for shard in range(2):
        own = names[shard::2][::-1]
        columns = {"utterance": own}
        for modality, gauges in GAUGES.items():
            for gauge in gauges:
                values = 5 + 3 * rng.standard_normal(len(own))
                values[rng.random(len(own)) < 0.2] = np.nan
                columns[table_name(modality, gauge)] = pl.Series(values, dtype=pl.Float32).fill_nan(None)
        columns["audio_level"] = [None] * len(own)
        table = pl.DataFrame(columns, schema_overrides={"audio_level": pl.Float32})
        artefacts.save_table(tmp_path / "gauges" / f"{shard}.parquet", table)
    return tmp_path


def joined(fold):
    paths = [fold / "gauges" / f"{shard}.parquet" for shard in range(2)]
    trust.run(trust.Params(), dataset=fold / "dataset", gauges=paths, trust=fold / "trust.safetensors")
    return Trust.load(fold / "trust.safetensors"), pl.concat(map(artefacts.load_table, paths))


def test_inputs_are_normalised_on_the_training_split(fold):
    found, told = joined(fold)
    table = artefacts.load_table(fold / "dataset" / "utterances.parquet")
    train = (table["split"] == "train").to_numpy()
    told = table.select("utterance").join(told, on="utterance", maintain_order="left")
    assert found.counts == {name: len(own) for name, own in GAUGES.items()}
    for modality, gauges in GAUGES.items():
        for place, gauge in enumerate(gauges):
            own = found.inputs[modality][:, place]
            raw = told[table_name(modality, gauge)].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            assert np.array_equal(np.isnan(own), np.isnan(raw))
            if gauge == "level" and modality == "audio":
                assert np.isnan(own).all() and found.scale[modality][place] == 1
                continue
            assert np.nanmean(own[train]) == pytest.approx(0, abs=1e-5)
            assert np.nanstd(own[train]) == pytest.approx(1, abs=1e-5)
            back = own * found.scale[modality][place] + found.mean[modality][place]
            assert np.allclose(back, raw, atol=1e-4, equal_nan=True)
    raw = np.array([[5.0] * len(GAUGES["text"])])
    assert np.allclose(found.normalised("text", raw) * found.scale["text"] + found.mean["text"], raw)


def test_they_stand_behind_the_features_and_change_none(fold):
    plain = Dataset.load(fold / "dataset")
    data = plain.gauged(joined(fold)[0])
    assert data.dimensions == plain.dimensions and data.gauges == {n: len(o) for n, o in GAUGES.items()}
    for name in MODALITIES:
        assert torch.equal(data.features[name][:, : plain.dimensions[name]], plain.features[name])


def trained(fold, name, **flags):
    folder = fold / name
    folder.mkdir(exist_ok=True)
    files = {"weights": "w.safetensors", "epochs": "e.safetensors", "history": "h.parquet"}
    student.run(
        student.Params(
            device="cpu",
            network=NetworkSettings(hidden=16, heads=2),
            training=TrainingSettings(epochs=2, batch=4),
            objective=ObjectiveSettings(
                prediction=0, fused=0, modality=0, network=name, unreliable={"share": 0.5}
            ),
        ),
        dataset=fold / "dataset",
        masks=write_masks(fold / "masks.safetensors", fold / "dataset"),
        references=[],
        teacher=[],
        **{flag: folder / path for flag, path in files.items()},
        **flags,
    )
    return folder


@pytest.mark.slow
def test_a_student_learns_its_gates_and_others_do_not_look_at_the_file(fold):
    found, _ = joined(fold)
    path = fold / "trust.safetensors"
    network, _ = checkpoint.load_network(trained(fold, "gated", trust=[path]) / "w.safetensors")
    data = Dataset.load(fold / "dataset")
    batch = Batch.cat(data.gauged(found).batches(["test"], 8))
    trust_ = network.trust(batch)[batch.available]
    assert (trust_ != 1).any() and torch.isfinite(trust_).all()
    begun = build_network(data.gauged(found), NetworkSettings(name="gated", hidden=16, heads=2), 0)
    assert begun.trust(batch).eq(1).all()
    written = [
        (trained(fold, "structured", **flags) / "w.safetensors").read_bytes()
        for flags in ({}, {"trust": [path]})
    ]
    assert written[0] == written[1]


@pytest.mark.fault(
    "command", "a network that reads reliability inputs and is given none", "an error names the flag"
)
def test_a_gated_network_asks_for_its_inputs(fold):
    with pytest.raises(PipelineError, match=r"--trust: the network gated reads .* 0 files"):
        trained(fold, "gated")
    write_masks(fold / "masks.safetensors", fold / "dataset")
    network = build_network(Dataset.load(fold / "dataset"), NetworkSettings(name="gated", hidden=16), 0)
    checkpoint.save_network(fold / "w.safetensors", network, MODALITIES, 1, 0.5)
    with pytest.raises(PipelineError, match=r"--trust: the network gated"):
        evaluate.run(
            evaluate.Params(device="cpu"),
            dataset=fold / "dataset",
            masks=fold / "masks.safetensors",
            conflicts=fold / "none",
            weights=fold / "w.safetensors",
            epochs=fold / "none",
            predictions=fold / "p.parquet",
        )


@pytest.mark.fault(
    "artefacts", "reliability inputs of other utterances", "an error names the file and the stage"
)
def test_inputs_of_other_utterances_are_an_error(fold):
    found, _ = joined(fold)
    write_dataset(fold / "dataset", train=11)
    with pytest.raises(PipelineError, match=r"trust\.safetensors: its rows are of other utterances"):
        Dataset.load(fold / "dataset").gauged(found)
    with pytest.raises(PipelineError, match=r"gauges: the shards lack an utterance.*stage gauges"):
        joined(fold)
    with pytest.raises(PipelineError, match=r"3 reliability inputs of text.*have 4"):
        found.normalised("text", np.zeros((1, 4)))


@pytest.mark.fault(
    "config", "a trust gate in the teacher, or on given features", "refused before any job, with the key"
)
def test_where_reliability_cannot_be_read_the_configuration_says_so():
    with pytest.raises(ValueError, match=r"network\.name: gated reads how reliable.*entry of variants"):
        Config.model_validate({"network": {"name": "gated"}})
    given = {"corpus": {"name": "features", "folder": "x"}, "variants": {"corekd": {"network": "gated"}}}
    with pytest.raises(ValueError, match=r"compare: corekd reads how reliable the extraction"):
        Config.model_validate(given)
