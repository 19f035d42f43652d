"""Teacher, references and student end to end on a dataset of a few dialogues."""

import signal
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from dialogues import write_dataset
from pydantic import ValidationError
from trained_world import SMALL, World, outputs

from models.terms import TERMS
from pipeline import references, student, teacher
from pipeline.core import artefacts, stage
from pipeline.core.errors import PipelineError
from pipeline.settings.objective import ObjectiveSettings
from pipeline.settings.training import TrainingSettings
from pipeline.training import checkpoint, loop
from pipeline.training.dialogues import Dataset
from pipeline.training.resume import ResumeFolder

NO_CSA = {"prediction": 0, "fused": 0, "modality": 0}
DECOUPLED = {
    "network": "decoupled",
    **{"parts": 1.0, "apart": 0.1, "rebuilt": 0.3, "graph": 0.3, "dictionary": 0.1},
}
VARIANTS = {
    "modality_dropout": {**NO_CSA, "nce": 0},
    "complete_only": {**NO_CSA, "nce": 0, "incomplete": 0},
    "text_only": {**NO_CSA, "nce": 0, "incomplete": 0, "modalities": ["text"]},
    "logit_kd": {"fused": 0, "modality": 0, "nce": 0},
    "csa_no_fused": {"fused": 0, "nce": 0},
    "csa_no_modality": {"modality": 0, "nce": 0},
    "csa": {"nce": 0},
    "nce": NO_CSA,
    "corekd": {"nce_reference": 0.5},
    "corekd_from_teacher": {"initialisation": "teacher"},
    "corekd_crossfit": {"references": "cross_fitted"},
    "corekd_ensemble": {"references": "ensemble"},
    "imputation": {**NO_CSA, "nce": 0, "network": "imputation", "reconstruction": 1.0},
    "eacl": {**NO_CSA, "nce": 0, "network": "anchored", "anchor": 0.5, "anchor_angle": 0.2},
    "ada2i": {**NO_CSA, "nce": 0, "network": "balanced", "own": 1.0},
    "corekd_balanced": {"network": "balanced", "own": 1.0},
    "dhmd": {**NO_CSA, "nce": 0, **DECOUPLED},
    "corekd_decoupled": DECOUPLED,
    "corekd_unreliable": {"unreliable": {"share": 0.5}},
    "corekd_anchors": {"fused": 0, "network": "anchored", "anchor": 0.5, "anchor_angle": 0.2},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def same_arrays(left: Path, right: Path) -> bool:
    one, two = artefacts.load_tensors(left), artefacts.load_tensors(right)
    return sorted(one) == sorted(two) and all(
        np.array_equal(one[name], two[name], equal_nan=True) for name in one
    )


@pytest.mark.slow
@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_every_variant_is_a_setting(world, variant):
    before = world.teacher.read_bytes(), world.references["in_sample"].read_bytes()
    paths = world.train_student(variant, VARIANTS[variant])
    history = artefacts.load_table(paths["history"])
    assert history["epoch"].to_list() == [1, 2, 3]
    assert history["selected"].sum() == 1
    assert history.filter("selected")["validation"][0] == history["validation"].max()
    weights = ObjectiveSettings(**VARIANTS[variant]).weights
    assert [name for name in history.columns if name in TERMS] == list(weights.computed)
    network, shown = checkpoint.load_network(paths["weights"])
    assert shown == (("text",) if variant == "text_only" else ("text", "audio", "visual"))
    assert not network.training
    assert (world.teacher.read_bytes(), world.references["in_sample"].read_bytes()) == before
    assert not list(paths["weights"].parent.glob(".*"))


def test_the_selected_weights_are_those_of_their_epoch(world):
    folder = world.teacher.parent
    chosen = int(artefacts.load_metadata(world.teacher)["epoch"])
    epochs = dict(checkpoint.load_epochs(folder))
    assert sorted(epochs) == [1, 2, 3]
    own = checkpoint.load_network(world.teacher)[0].state_dict()
    assert all(torch.equal(value, epochs[chosen].state_dict()[name]) for name, value in own.items())


def test_a_rerun_is_bit_equal(world):
    left = world.train_student("once", {})
    right = world.train_student("twice", {})
    assert same_arrays(left["epochs"], right["epochs"])
    assert artefacts.load_table(left["history"]).equals(artefacts.load_table(right["history"]))


def test_unreliable_views_change_what_is_learnt_and_without_a_share_nothing(world):
    plain = world.train_student("plain", {})
    off = world.train_student("off", {"unreliable": {"share": 0.0, "kinds": ["mix"], "least": 0.5}})
    seen = [world.train_student(name, {"unreliable": {"share": 0.5}}) for name in ("seen", "again")]
    assert same_arrays(plain["epochs"], off["epochs"])
    assert same_arrays(seen[0]["epochs"], seen[1]["epochs"])
    assert not same_arrays(plain["epochs"], seen[0]["epochs"])


class Interrupted(Exception):
    pass


@pytest.mark.fault("artefacts", "a training is interrupted within an epoch", "a rerun ends in the same bytes")
@pytest.mark.parametrize("after", [1, 2])
@pytest.mark.parametrize("within", [False, True])
def test_an_interrupted_run_ends_bit_equal(world, monkeypatch, after, within):
    """Stopped between two epochs, or within the next one, and started again."""
    whole = world.train_student("whole", {})
    save, step, calls = ResumeFolder.save, loop._step, []

    def save_and_stop(self, epoch, *rest):
        save(self, epoch, *rest)
        calls.append(epoch)
        if epoch == after and not within:
            raise Interrupted

    def stop_within(*arguments):
        if len(calls) == after:
            raise Interrupted
        return step(*arguments)

    name = f"broken-{after}-{within}"
    monkeypatch.setattr(ResumeFolder, "save", save_and_stop)
    monkeypatch.setattr(loop, "_step", stop_within if within else step)
    with pytest.raises(Interrupted):
        world.train_student(name, {})
    assert list((world.root / name).glob(".resume-*"))
    monkeypatch.undo()
    epochs = []
    monkeypatch.setattr(
        ResumeFolder, "save", lambda self, epoch, *rest: epochs.append(epoch) or save(self, epoch, *rest)
    )
    resumed = world.train_student(name, {})
    assert epochs == list(range(after + 1, 4))
    assert same_arrays(whole["epochs"], resumed["epochs"])
    assert artefacts.load_table(whole["history"]).equals(artefacts.load_table(resumed["history"]))
    assert not list((world.root / name).glob(".*"))


def test_other_settings_never_resume(world, monkeypatch):
    save = ResumeFolder.save

    def save_and_stop(self, epoch, *rest):
        save(self, epoch, *rest)
        raise Interrupted

    monkeypatch.setattr(ResumeFolder, "save", save_and_stop)
    with pytest.raises(Interrupted):
        world.train_student("edited", {})
    (stale,) = (world.root / "edited").glob(".resume-*")
    monkeypatch.undo()
    world.train_student("edited", {"fused": 0.5})
    assert not stale.exists()
    assert not same_arrays(
        world.train_student("whole", {})["epochs"], world.root / "edited/epochs.safetensors"
    )


def test_sigterm_leaves_with_its_status_and_the_state(world, monkeypatch):
    save = ResumeFolder.save

    def save_and_kill(self, epoch, *rest):
        save(self, epoch, *rest)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(ResumeFolder, "save", save_and_kill)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as left, stage.leaving_on_sigterm():
        world.train_student("killed", {})
    assert left.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
    assert len(list((world.root / "killed").glob(".resume-*/epoch-*"))) == 1


@pytest.mark.slow
def test_regression_end_to_end(tmp_path):
    world = World(tmp_path, regression=True)
    for name in ("corekd", "imputation", "ada2i", "dhmd"):
        paths = world.train_student(name, VARIANTS[name])
        history = artefacts.load_table(paths["history"])
        assert history["validation"].is_finite().all()
        network, _ = checkpoint.load_network(paths["weights"])
        assert network.shape.outputs == 1


def test_training_learns(world):
    settings = {**SMALL["training"], "epochs": 15}
    history = artefacts.load_table(world.train_student("longer", {}, training=settings)["history"])
    assert history["complete"][-1] < 0.7 * history["complete"][0]
    assert history["val_complete"].max() > 0.6


def test_mixed_precision_trains_float32_parameters(world, monkeypatch):
    bfloat16 = {"precision": "mixed"}
    plain = artefacts.load_tensors(world.train_student("float32", {})["weights"])
    # a CPU stands in for the GPU
    monkeypatch.setattr(loop, "mixed_precision", lambda device: torch.autocast("cpu", torch.bfloat16))
    again = artefacts.load_tensors(world.train_student("float32_again", {})["weights"])
    settings = {**SMALL["training"], **bfloat16}
    paths = world.train_student("mixed", {}, training=settings)
    mixed = artefacts.load_tensors(paths["weights"])
    assert all(np.array_equal(plain[name], again[name]) for name in plain)
    assert all(value.dtype == np.float32 and np.isfinite(value).all() for value in mixed.values())
    assert any(not np.array_equal(plain[name], mixed[name]) for name in plain)
    history = artefacts.load_table(paths["history"])
    assert history["complete"][-1] < history["complete"][0]


def test_patience_stops_early(world):
    settings = {**SMALL["training"], "epochs": 40, "patience": 2}
    history = artefacts.load_table(world.train_student("patient", {"nce": 0}, training=settings)["history"])
    assert len(history) < 40
    assert len(history) - history.filter("selected")["epoch"][0] == 2


def test_learning_rate_warms_up_and_falls():
    settings = TrainingSettings(learning_rate=1.0, warmup=0.2)
    rates = [loop.learning_rate(step, 50, settings) for step in range(50)]
    assert rates[:10] == pytest.approx([(n + 1) / 10 for n in range(10)])
    assert all(a >= b for a, b in pairwise(rates[9:]))
    assert rates[-1] < 0.01


def test_batches_hold_whole_dialogues_once(world):
    data = Dataset.load(world.dataset)
    for generator in (None, torch.Generator().manual_seed(3)):
        rows = torch.cat([batch.row[batch.valid] for batch in data.batches(["train"], 3, generator)])
        assert torch.equal(rows.sort().values, data.rows(["train"]))


def test_speakers_are_numbered_by_first_appearance(world):
    data = Dataset.load(world.dataset)
    swap = pl.col("speaker").str.replace("_1", "_x").str.replace("_0", "_1").str.replace("_x", "_0")
    tensors = artefacts.load_tensors(world.dataset / "features.safetensors")
    renamed = Dataset.build(data.utterances.with_columns(swap), data.facts, tensors)
    assert torch.equal(data.speaker, renamed.speaker)
    assert data.speaker[data.index[:, 0]].eq(0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"references": []}, "--references"),
        ({"objective": {"references": "cross_fitted"}}, "in_sample references"),
        ({"objective": {"initialisation": "teacher"}, "teacher": []}, "--teacher"),
        ({"network": {"hidden": 24, "heads": 2}}, "has shape"),
    ],
)
def test_what_is_missing_is_said(world, tmp_path, change, message):
    params = {**SMALL, **{key: change[key] for key in ("objective", "network") if key in change}}
    paths = {
        "references": change.get("references", [world.references["in_sample"]]),
        "teacher": change.get("teacher", [world.teacher]),
    }
    with pytest.raises(PipelineError, match=message):
        student.run(
            student.Params(**params), dataset=world.dataset, masks=world.masks, **paths, **outputs(tmp_path)
        )


@pytest.mark.fault("labels", "a dialogue that lies in two splits", "training stops, naming it")
def test_a_dialogue_in_two_splits_is_refused(tmp_path):
    folder = write_dataset(tmp_path / "dataset")
    table = artefacts.load_table(folder / "utterances.parquet")
    torn = table.with_columns(
        pl.when(pl.col("row") == 0).then(pl.lit("test")).otherwise("split").alias("split")
    )
    artefacts.save_table(folder / "utterances.parquet", torn)
    with pytest.raises(PipelineError, match="more than one split"):
        Dataset.load(folder)


@pytest.mark.fault("artefacts", "features of a dataset that are not finite", "training stops, naming the row")
def test_an_available_slot_that_is_not_finite_is_refused(tmp_path):
    folder = write_dataset(tmp_path / "dataset")
    tensors = artefacts.load_tensors(folder / "features.safetensors")
    tensors["audio"][5, 0] = np.nan
    artefacts.save_tensors(folder / "features.safetensors", tensors)
    with pytest.raises(PipelineError, match=r"row 5 \(u5\): the audio"):
        Dataset.load(folder)


@pytest.mark.parametrize(
    "objective",
    [
        {"reconstruction": 1.0, "network": "attention"},
        {"complete": 0, "incomplete": 0, **NO_CSA, "nce": 0},
        {"modalities": ["text"]},
        {"modalities": ["audio", "visual"]},
        {"modalities": ["text", "audio"], "conflict": {"channels": ["v", "av"]}},
        {"views": {"rates": [1.5]}},
        {"unreliable": {"share": 0.3, "least": 0.8, "most": 0.2}},
        {"unreliable": {"share": 0.3}, **NO_CSA, "incomplete": 0},
    ],
)
def test_objectives_that_contradict_themselves_are_refused(objective):
    with pytest.raises(ValidationError):
        ObjectiveSettings(**objective)


def test_the_command_lines_stand():
    for module, inputs in (
        (teacher, ("dataset",)),
        (references, ("dataset", "teacher", "folds*")),
        (student, ("dataset", "masks", "references*", "teacher*")),
    ):
        made = stage.parser(module.__name__, inputs, ())
        flags = [f"--{name.rstrip('*')}" for name in inputs]
        values = [item for flag in flags for item in (flag, "x")]
        assert made.parse_args(["--params", "{}", *values])
