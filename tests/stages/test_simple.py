"""The rows without a network: what they know, and that a conflict view needs no pass of its own."""

import numpy as np
import polars as pl
import pytest
import torch
from protocol_fakes import LABELS, write_dataset, write_protocol
from scipy.special import log_softmax

from models.conditions import COMPLETE, Condition
from models.modalities import MODALITIES
from pipeline import simple
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.evaluation import families
from pipeline.evaluation.protocol import Frozen, View
from pipeline.training.dialogues import Dataset
from pipeline.training.evidence import Early, Product, Target
from pipeline.training.label_chain import LabelChain

TASKS = ("classification", "regression")


def made(folder, task="classification", dialogues=24):
    """A fold with masks and conflict pairs."""
    dataset = write_dataset(folder / "dataset", dialogues=dialogues, task=task)
    masks, conflicts = write_protocol(folder)
    return {"dataset": dataset, "masks": masks, "conflicts": conflicts}


def telling(folder):
    """The fold again, its text saying the label, which keeps to the speaker's last one."""
    path = folder / "dataset" / "utterances.parquet"
    table, rng = artefacts.load_table(path), np.random.default_rng(5)
    last: dict[tuple[str, str], int] = {}
    labels = []
    for dialogue, speaker in table.select("dialogue", "speaker").iter_rows():
        before = last.get((dialogue, speaker))
        fresh = int(rng.integers(len(LABELS)))
        last[dialogue, speaker] = before if before is not None and rng.random() < 0.8 else fresh
        labels.append(last[dialogue, speaker])
    artefacts.save_table(path, table.with_columns(label=pl.Series(labels, dtype=pl.Int32)))
    features = artefacts.load_tensors(folder / "dataset" / "features.safetensors")
    features["text"] = features["text"] + 1.5 * np.eye(len(LABELS), 5, dtype=np.float32)[labels]
    artefacts.save_tensors(folder / "dataset" / "features.safetensors", features)


def fitted(files):
    data = Dataset.load(files["dataset"])
    target = Target.of(data)
    frozen = Frozen.load(files["dataset"], files["masks"], files["conflicts"])
    rows = {row.name: row for row in simple.rows(simple.Params(), data, target, list(families.views(frozen)))}
    return simple.Split.of(data, "test", target), frozen, rows


@pytest.mark.parametrize("task", TASKS)
def test_all_rows_under_all_conditions_and_the_same_bytes_twice(tmp_path, task):
    files = made(tmp_path, task)
    for name in ("one", "two"):
        simple.run(simple.Params(), **files, simple=tmp_path / name)
    table = artefacts.load_table(tmp_path / "one")
    assert table.equals(artefacts.load_table(tmp_path / "two"))
    frozen = Frozen.load(files["dataset"], files["masks"], files["conflicts"])
    wanted = {str(one.condition) for one in (*families.views(frozen), *families.swaps(frozen))}
    assert table["variant"].unique(maintain_order=True).to_list() == [
        "product",
        "product_chain",
        "early_chain",
    ]
    for _, part in table.group_by("variant"):
        assert set(part["condition"]) == wanted
        complete = part.filter(condition=str(COMPLETE))
        assert complete["row"].to_list() == frozen.test.tolist()
    if task == "classification":
        assert np.allclose(np.array(table["probabilities"].to_list()).sum(axis=1), 1, atol=1e-5)
    else:
        assert table["score"].is_finite().all()


@pytest.mark.parametrize("task", TASKS)
def test_swaps_equal_passes_of_their_own(tmp_path, task):
    """Each conflict view computed as a whole: the dialogue again, with the donor's features in one place."""
    split, frozen, rows = fitted(made(tmp_path, task))
    wanted = Condition.conflict("av", "different")
    (swaps,) = [own for own in families.swaps(frozen) if own.condition == wanted]
    everything = np.ones_like(frozen.available)
    for row in rows.values():
        (found,) = split.swapped(row, [swaps])
        values = found["probabilities" if task == "classification" else "score"].to_list()
        pairs = swaps.pairs.sort("draw", "row")
        for (target, donor), value in list(
            zip(pairs.select("row", "donor").iter_rows(), values, strict=True)
        )[:12]:
            other = {}
            for name in ("audio", "visual"):
                other[name] = frozen.features(name).copy()
                other[name][target] = other[name][donor]
            whole = split.posterior(row, View(wanted, 0, everything, other))[split.batch.row == target]
            assert simple.told(whole, split.target)[0] == pytest.approx(np.atleast_1d(value), abs=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_absent_means_absent(tmp_path, task):
    """What stands in a slot that a view does not show changes nothing, and is never fitted on."""
    files = made(tmp_path, task)
    simple.run(simple.Params(), **files, simple=tmp_path / "plain")
    features = artefacts.load_tensors(files["dataset"] / "features.safetensors")
    for column, name in enumerate(MODALITIES):
        features[name][features["available"][:, column] == 0] = 1e6
    artefacts.save_tensors(files["dataset"] / "features.safetensors", features)
    simple.run(simple.Params(), **files, simple=tmp_path / "noisy")
    assert artefacts.load_table(tmp_path / "plain").equals(artefacts.load_table(tmp_path / "noisy"))


def test_the_product_counts_the_prior_once(tmp_path):
    data = Dataset.load(made(tmp_path)["dataset"])
    reader, target = Product.fit(data), Target.of(data)
    rows = np.repeat(np.arange(4)[:, None], 3, axis=1)
    alone = [reader(rows, np.eye(3, dtype=bool)[[column] * 4]) for column in range(3)]
    together = reader(rows, np.ones((4, 3), bool))
    assert together == pytest.approx(sum(alone) - 2 * target.log_prior)
    nothing = reader(rows, np.zeros((4, 3), bool))
    assert nothing == pytest.approx(np.tile(target.log_prior, (4, 1)))


@pytest.mark.parametrize("task", TASKS)
def test_early_fusion_is_linear_and_reads_other_features(tmp_path, task):
    data = Dataset.load(made(tmp_path, task)["dataset"])
    reader = Early.fit(data, 0)
    rows = np.repeat(np.arange(6)[:, None], 3, axis=1)
    shown = np.ones((6, 3), bool)
    whole = reader(rows, shown)
    other = reader.reading({"audio": np.roll(data.features["audio"].numpy(), -1, axis=0)})
    moved = np.stack([rows[:, 0], rows[:, 1] + 1, rows[:, 2]], axis=1)
    assert other(rows, shown) == pytest.approx(reader(moved, shown))
    assert np.isfinite(whole).all()


def test_a_chain_helps_where_speakers_keep_to_what_they_felt(tmp_path):
    files = made(tmp_path, dialogues=90)
    telling(tmp_path)
    split, frozen, rows = fitted(files)
    hidden = View(Condition.random(0.5), 0, np.random.default_rng(0).random(frozen.available.shape) < 0.5)
    label = split.batch.label[split.batch.labelled].numpy()
    right = {}
    for name in ("product", "product_chain"):
        said = simple.told(split.posterior(rows[name], hidden)[split.batch.labelled], split.target)
        right[name] = (said.argmax(axis=1) == label).mean()
    assert right["product_chain"] > right["product"] + 0.05


def test_chains_are_counted_on_training_dialogues_alone(tmp_path):
    files = made(tmp_path)
    before = LabelChain.count(Dataset.load(files["dataset"]))
    path = files["dataset"] / "utterances.parquet"
    table = artefacts.load_table(path)
    other = pl.when(pl.col("split") == "train").then("label").otherwise(0).cast(pl.Int32).alias("label")
    artefacts.save_table(path, table.with_columns(other))
    after = LabelChain.count(Dataset.load(files["dataset"]))
    for one, two in ((before.prior, after.prior), (before.own, after.own), (before.other, after.other)):
        assert (one == two).all()


def test_counts_are_those_of_a_plain_loop(tmp_path):
    data = Dataset.load(made(tmp_path)["dataset"])
    counts = np.ones((2, len(LABELS), len(LABELS)))
    table = data.utterances.filter(split="train").sort("dialogue", "position")
    for part in table.partition_by("dialogue"):
        told = part.select("speaker", "label").rows()
        for place, (speaker, label) in enumerate(told):
            for kind, same in enumerate((True, False)):
                earlier = [one for one in told[:place] if (one[0] == speaker) == same]
                if earlier and earlier[-1][1] is not None and label is not None:
                    counts[kind, earlier[-1][1], label] += 1
    chain = LabelChain.count(data)
    shares = np.log(counts / counts.sum(axis=2, keepdims=True))
    assert chain.own == pytest.approx(shares[0])
    assert chain.other == pytest.approx(shares[1] - chain.prior)


def test_conflicts_of_another_dataset_are_refused(tmp_path):
    files = made(tmp_path)
    table = artefacts.load_table(files["conflicts"])
    artefacts.save_table(files["conflicts"], table.with_columns(row=pl.lit(0, pl.Int32)))
    with pytest.raises(PipelineError, match="is not in the test split"):
        simple.run(simple.Params(), **files, simple=tmp_path / "simple")


def test_told_is_a_softmax_of_log_probabilities():
    target = Target(False, np.zeros(1, int), np.zeros(0, int), np.zeros(1), 3, 0.0, 1.0)
    natural = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert simple.told(natural, target) == pytest.approx(
        np.exp(log_softmax(natural.numpy(), axis=1)), abs=1e-6
    )
