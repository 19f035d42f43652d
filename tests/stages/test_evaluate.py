"""Predictions under every condition, against one dialogue at a time."""

from contextlib import contextmanager, nullcontext

import numpy as np
import polars as pl
import pytest
import torch
from protocol_fakes import LABELS, write_dataset, write_network, write_protocol
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from models.batch import Batch
from models.conditions import COMPLETE, Condition
from models.masks import fixed_mask
from models.modalities import CHANNELS, MODALITIES, SUBSETS
from models.passes import References
from pipeline import evaluate, references, states
from pipeline.core import artefacts, device
from pipeline.core.errors import PipelineError
from pipeline.evaluation import families
from pipeline.evaluation.protocol import Frozen, View
from pipeline.settings.objective import ObjectiveSettings
from pipeline.settings.training import ValidationMix
from pipeline.training import checkpoint, step
from pipeline.training.dialogues import Dataset
from pipeline.training.selection import Selection
from pipeline.training.validation import Validator

EVERYTHING = torch.ones(3, dtype=torch.bool)


@pytest.fixture
def fold(tmp_path):
    write_dataset(tmp_path / "main" / "dataset", dialogues=15)
    write_protocol(tmp_path / "main", draws=2)
    write_network(tmp_path / "main", len(LABELS))
    return tmp_path / "main"


def run(fold, name="p.parquet", **params) -> pl.DataFrame:
    evaluate.run(
        evaluate.Params(**{"device": "cpu", **params}),
        dataset=fold / "dataset",
        masks=fold / "protocol" / "masks.safetensors",
        conflicts=fold / "protocol" / "conflicts.parquet",
        weights=fold / "weights.safetensors",
        epochs=fold / "epochs.safetensors",
        predictions=fold / name,
    )
    return artefacts.load_table(fold / name)


def cell(table: pl.DataFrame, condition: str, draw: int = 0) -> dict[int, list[float]]:
    part = table.filter(
        pl.col("condition") == condition, pl.col("draw") == draw, pl.col("checkpoint") == "selected"
    )
    column = "probabilities" if "probabilities" in part.columns else "score"
    return dict(zip(part["row"], part[column].to_list(), strict=True))


@torch.no_grad()
def test_equal_to_one_dialogue_at_a_time(fold):
    found = run(fold, oracle=False, batch=20)
    data = Dataset.load(fold / "dataset")
    network, _ = checkpoint.load_network(fold / "weights.safetensors")
    masks = artefacts.load_tensors(fold / "protocol" / "masks.safetensors")
    conflicts = artefacts.load_table(fold / "protocol" / "conflicts.parquet")
    swaps = {(k, d, r): donor for k, d, r, donor, _ in conflicts.iter_rows()}
    wanted = {name: cell(found, name) for name in ("complete", "fixed/at", "conflict/av/different")}
    wanted["random/0.5"] = cell(found, "random/0.5", 1)
    wanted["conflict/v/same"] = cell(found, "conflict/v/same", 1)
    for batch in data.batches(["test"], 1):
        rows = batch.row[0].tolist()
        mask = torch.from_numpy(masks["random/0.5/1"] > 0)
        views = {
            "complete": batch,
            "fixed/at": batch.showing(fixed_mask(batch.available, "at")),
            "random/0.5": batch.showing(mask[batch.row]),
        }
        for name, view in views.items():
            plain = torch.softmax(network(view).logits[0], dim=-1)
            for place, row in enumerate(rows):
                assert wanted[name][row] == pytest.approx(plain[place].tolist(), abs=1e-5)
        for name, kind, draw, channels in (
            ("conflict/av/different", "different", 0, ("audio", "visual")),
            ("conflict/v/same", "same", 1, ("visual",)),
        ):
            for place, row in enumerate(rows):
                donor = swaps.get((kind, draw, row))
                if donor is None:
                    continue
                features = {channel: value.clone() for channel, value in batch.features.items()}
                for channel in channels:
                    features[channel][0, place] = data.features[channel][donor]
                logits = network(batch.with_features(features, batch.available)).logits[0, place]
                plain = torch.softmax(logits, dim=-1)
                assert wanted[name][row] == pytest.approx(plain.tolist(), abs=1e-5)


def test_every_condition_once_and_the_test_split_only(fold):
    found = run(fold)
    utterances = artefacts.load_table(fold / "dataset" / "utterances.parquet")
    test = utterances.filter(pl.col("split") == "test")["row"]
    conflicts = artefacts.load_table(fold / "protocol" / "conflicts.parquet")
    assert found.columns == ["row", "condition", "draw", "probabilities", "checkpoint"]
    assert set(found["row"]) == set(test)
    assert not found.select("row", "condition", "draw", "checkpoint").is_duplicated().any()
    counts = dict(found.filter(pl.col("checkpoint") == "selected").group_by("condition").len().iter_rows())
    clean = [str(COMPLETE), *(str(Condition.fixed(letters)) for letters in SUBSETS)]
    wanted = dict.fromkeys(clean, len(test))
    wanted |= {str(Condition.random(rate)): 3 * len(test) for rate in (0.2, 0.5, 0.7)}
    for kind, count in conflicts.group_by("kind").len().iter_rows():
        wanted |= {str(Condition.conflict(letters, kind)): count for letters in CHANNELS}
    assert counts == wanted
    values = found["probabilities"].list.to_array(len(LABELS)).to_numpy()
    assert np.isfinite(values).all() and values.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_rerun_is_bit_equal(fold):
    run(fold, "one.parquet")
    run(fold, "two.parquet")
    assert (fold / "one.parquet").read_bytes() == (fold / "two.parquet").read_bytes()


def weighted(complete: float, fixed: float, random: float) -> ValidationMix:
    return ValidationMix(complete=complete, fixed=fixed, random=random)


@pytest.mark.parametrize("mix", [weighted(1, 1, 1), weighted(1, 0, 0), weighted(0, 2, 1)])
def test_oracle_is_the_best_test_epoch_by_the_mix_of_its_training(fold, mix):
    found = run(fold, validation=mix)
    networks = dict(checkpoint.load_epochs(fold / "epochs.safetensors"))
    # the split that training judges by is the test split here, so that its own score is the oracle's
    table = fold / "dataset" / "utterances.parquet"
    swap = pl.col("split").replace({"val": "test", "test": "val"})
    artefacts.save_table(table, artefacts.load_table(table).with_columns(swap))
    data = Dataset.load(fold / "dataset")
    masks = fold / "protocol" / "masks.safetensors"
    judge = Validator(data, masks, mix, MODALITIES, regression_score="pearson", device=torch.device("cpu"))
    scores = {epoch: judge(network)["validation"] for epoch, network in networks.items()}
    best = max(scores, key=lambda epoch: scores[epoch])
    test = Batch.cat(data.batches(["val"], 64))
    asked = evaluate.Asked(test, [View(COMPLETE, 0, data.available.numpy())], [], EVERYTHING, 99)
    (plain,) = evaluate.clean_predictions(networks[best], asked, "classification")
    oracle = found.filter(pl.col("checkpoint") == "oracle", pl.col("condition") == "complete")
    assert np.allclose(
        np.array(oracle["probabilities"].to_list()), np.array(plain["probabilities"].to_list()), atol=1e-5
    )


def test_views_without_weight_choose_no_epoch_and_are_not_computed(fold, monkeypatch):
    data = Dataset.load(fold / "dataset")
    test = Batch.cat(data.batches(["test"], 64))
    views = list(families.views(Frozen.load(fold / "dataset", fold / "protocol" / "masks.safetensors")))
    seen = []
    plain = evaluate.clean_logits

    def noted(network, batch, budget):
        seen.append(torch.equal(batch.available, test.available))
        return plain(network, batch, budget)

    monkeypatch.setattr(evaluate, "clean_logits", noted)
    selection = Selection(weighted(1, 0, 0), False, "pearson")
    asked = evaluate.Asked(test, views, [], EVERYTHING, 99)
    evaluate.best_on_test(selection, checkpoint.load_epochs(fold / "epochs.safetensors"), asked)
    assert seen == [True] * 3


def test_a_text_only_variant_sees_no_conflict(fold):
    write_network(fold, len(LABELS), shown=("text",))
    found = run(fold, oracle=False)
    clean = cell(found, "complete")
    assert cell(found, "fixed/t") == clean
    for letters in CHANNELS:
        swapped = str(Condition.conflict(letters, "different"))
        for row, values in cell(found, swapped).items():
            assert values == pytest.approx(clean[row], abs=1e-5)


def test_regression_gives_scores(tmp_path):
    fold = tmp_path / "main"
    write_dataset(fold / "dataset", dialogues=15, task="regression")
    write_protocol(fold)
    write_network(fold, 1)
    found = run(fold)
    assert "score" in found.columns and found["score"].is_finite().all()
    assert set(found["checkpoint"]) == {"selected", "oracle"}


@pytest.mark.fault(
    "artefacts", "conflicts that were drawn on another dataset", "evaluate stops, naming the row"
)
def test_conflicts_of_another_dataset_are_an_error(fold):
    path = fold / "protocol" / "conflicts.parquet"
    artefacts.save_table(path, artefacts.load_table(path).with_columns(row=pl.lit(0, pl.Int32)))
    with pytest.raises(PipelineError, match="row 0"):
        run(fold, oracle=False)


class Far(torch.Tensor):
    """A tensor that says it lies on the device `meta` and holds its numbers all the same."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor):
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), dtype=inner.dtype, device="meta"
        )

    def __init__(self, inner: torch.Tensor):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        with FarAway():
            return func(*args, **(kwargs or {}))


class FarAway(TorchDispatchMode):
    """Computes `meta` tensors on the CPU, and refuses what a GPU would: tensors of two devices at once."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        flat = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
        far = any(isinstance(value, Far) for value in flat)
        moves = func.overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.copy_)
        if far and not moves:
            near = [value for value in flat if not isinstance(value, Far) and value.ndim]
            assert not near, f"{func}: tensors of two devices"
        if kwargs.get("device") is not None:
            far = torch.device(kwargs["device"]).type == "meta"
            kwargs["device"] = torch.device("cpu")
        elif func.overloadpacket is torch.ops.aten.copy_:
            far = isinstance(args[0], Far)
        args, kwargs = tree_map_only(Far, lambda value: value.inner, (args, kwargs))
        # views of a wrapper must not be inference tensors: they share its version counter
        with torch.inference_mode(False), torch.no_grad():
            found = func(*args, **kwargs)
            return tree_map_only(torch.Tensor, Far, found) if far else found


@contextmanager
def far_away():
    """Every stage computes on the device `meta`."""
    plain = torch.tensor
    with pytest.MonkeyPatch.context() as patch, FarAway():
        patch.setattr(device, "prepare", lambda device, threads: torch.device("meta"))
        # the one way to make a tensor that a mode does not see
        patch.setattr(torch, "tensor", lambda *args, device="cpu", **named: plain(*args, **named).to(device))
        yield


def test_no_step_of_the_evaluation_mixes_devices(fold):
    near = run(fold)
    with far_away():
        far = run(fold, "far.parquet")
    assert far.equals(near)


def test_no_step_of_the_states_mixes_devices(fold):
    students = [fold / "student" / "corekd" / "0" / "weights.safetensors"]
    read = {"dataset": fold / "dataset", "masks": fold / "protocol" / "masks.safetensors"}
    for folder in (fold / "teacher" / "0", students[0].parent):
        write_network(folder, len(LABELS))
    found = {}
    for name, mode in (("near", nullcontext), ("far", far_away)):
        written = {"states": fold / f"{name}.parquet", "facts": fold / f"{name}.json"}
        teacher = fold / "teacher" / "0" / "weights.safetensors"
        with mode():
            states.run(states.Params(device="cpu"), **read, teacher=teacher, students=students, **written)
        found[name] = artefacts.load_table(written["states"])
    assert found["near"].equals(found["far"])


def test_no_step_of_references_and_training_mixes_devices(fold):
    """References, the validation score and all terms of a student, on one network."""
    data = Dataset.load(fold / "dataset")
    objective = ObjectiveSettings(nce_reference=0.5, auxiliary=0.3, class_weights="balanced")
    found = []
    for where, mode in ((torch.device("cpu"), nullcontext), (torch.device("meta"), far_away)):
        network, _ = checkpoint.load_network(fold / "weights.safetensors")
        with mode(), torch.no_grad():
            told = references.judge(network, data, where)
            validator = Validator(
                data,
                fold / "protocol" / "masks.safetensors",
                ValidationMix(),
                MODALITIES,
                regression_score="pearson",
                device=where,
            )
            scores = validator(network)
            known = References(**{name: torch.from_numpy(values) for name, values in told.items()})
            one = step.Step(data, objective, known.to(where), where)
            batch = next(data.batches(["train"], 8))
            terms = one(network, batch, torch.Generator().manual_seed(0))
            found.append((scores, {name: float(value) for name, value in terms.items()}))
    assert found[0][0] == found[1][0]
    assert found[0][1] == pytest.approx(found[1][1]) and len(found[0][1]) == 9


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_says_what_the_cpu_says(fold):
    near, far = run(fold), run(fold, "far.parquet", device="cuda")
    assert far.drop("probabilities").equals(near.drop("probabilities"))
    one, other = (np.array(table["probabilities"].to_list()) for table in (near, far))
    assert np.allclose(one, other, atol=1e-4)
