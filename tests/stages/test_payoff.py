"""What a teacher knows more than its students: equality with a plain computation, and what is refused."""

import csv

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from trained_world import World

from models.masks import fixed_mask, missing_rate, reachable_rate
from pipeline import payoff
from pipeline.core.errors import PipelineError
from pipeline.evaluation import families
from pipeline.evaluation.protocol import Frozen
from pipeline.training import checkpoint
from pipeline.training.crossfit import fold_dialogues
from pipeline.training.dialogues import Dataset

ALONE = {"prediction": 0, "fused": 0, "modality": 0, "nce": 0}
REPORT = {"resamples": 500}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    world = World(tmp_path_factory.mktemp("world"))
    world.students = [
        world.train_student(f"held{part}", ALONE, held_out=part, folds=2)["weights"] for part in range(2)
    ]
    return world


def table(world, folder, teachers, students, seeds=(0,)) -> dict[str, dict[str, str]]:
    payoff.run(
        payoff.Params(report=REPORT, folds=2, seeds=list(seeds), device="cpu"),
        dataset=[world.dataset],
        masks=[world.masks],
        teachers=teachers,
        students=students,
        folder=folder,
    )
    assert {path.name for path in folder.glob("[!.]*")} == {
        f"payoff.{kind}" for kind in ("md", "html", "tex", "csv")
    }
    rows = list(csv.reader((folder / "payoff.csv").open()))
    return {row[0]: dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[1:]}


def plain(world, networks, letters) -> float:
    """Weighted F1 of held-out networks on the training dialogues under a fixed view, dialogue by dialogue."""
    data = Dataset.load(world.dataset)
    truth, told = [], []
    for path, names in zip(networks, fold_dialogues(data, 2), strict=True):
        network, _ = checkpoint.load_network(path)
        for number, name in enumerate(data.names):
            if name in names:
                batch = data.batch(torch.tensor([number]))
                shown = batch.available if letters is None else fixed_mask(batch.available, letters)
                known = batch.labelled
                truth.append(batch.label[known].numpy())
                told.append(network(batch.showing(shown)).logits[known].argmax(-1).numpy())
    return f1_score(np.concatenate(truth), np.concatenate(told), average="weighted")


def test_each_dialogue_is_judged_by_networks_that_have_not_seen_it(world, tmp_path):
    found = table(world, tmp_path / "payoff", world.folds, world.students)
    teacher = plain(world, world.folds, None)
    for name, letters in (("complete", None), ("text only", "t"), ("audio + visual", "av")):
        row, student = found[name], plain(world, world.students, letters)
        assert float(row["teacher, complete view"]) == pytest.approx(teacher, abs=1e-6)
        assert float(row["student"]) == pytest.approx(student, abs=1e-6)
        assert float(row["teacher minus student"]) == pytest.approx(teacher - student, abs=2e-6)
    views = families.views(Frozen.load(world.dataset, world.masks))
    assert found.keys() == {families.heading(view.condition) for view in views}


def test_of_equal_networks_neither_is_ahead(world, tmp_path):
    found = table(world, tmp_path / "payoff", world.folds, world.folds)
    assert found["complete"]["log-likelihood, nats"] == "+0.000 [+0.000, +0.000]"
    assert float(found["complete"]["teacher minus student"]) == 0.0


def test_networks_in_another_order_or_number_are_refused(world, tmp_path):
    with pytest.raises(PipelineError, match="held out 1, where seed 0 and part 0 were expected"):
        table(world, tmp_path / "a", world.folds[::-1], world.students)
    with pytest.raises(PipelineError, match="--students: 1 files were given"):
        table(world, tmp_path / "b", world.folds, world.students[:1])
    with pytest.raises(PipelineError, match="seed 1, held out 0"):
        table(world, tmp_path / "c", [*world.folds, *world.others], [*world.students] * 2, seeds=(0, 2))


def test_random_conditions_hide_training_slots_at_their_rate(world):
    names = Dataset.load(world.dataset).dialogues("train")
    fold = payoff.Fold.load(world.dataset, world.masks, sorted(names), 7)
    again = payoff.Fold.load(world.dataset, world.masks, sorted(names), 7)
    rows = fold.data.rows(["train"])
    there = fold.data.available[rows]
    rates = [view for view in fold.views if view.condition.rate is not None]
    assert rates
    for view, same in zip(fold.views, again.views, strict=True):
        assert (view.shown == same.shown).all()
    for view in rates:
        shown = torch.from_numpy(view.shown)[rows] & there
        assert missing_rate(there, shown) == pytest.approx(reachable_rate(there, view.condition.rate))
