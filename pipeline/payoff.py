"""Stage: where a teacher could pay, teacher minus student on training dialogues that neither has seen.

For each condition the answers of held-out teachers on the complete view are compared with those of held-out
students, which learnt without a teacher, on what the condition shows (docs/method.md, "Where distillation can
pay"). A difference of nothing means that there is nothing to pass on.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from pydantic import Field

from models.batch import Batch
from models.conditions import COMPLETE, Condition
from models.masks import random_masks
from pipeline.core import stage
from pipeline.core.device import prepare
from pipeline.core.errors import PipelineError
from pipeline.core.filling import filling
from pipeline.evaluation import bootstrap, families
from pipeline.evaluation.metrics import METRICS
from pipeline.evaluation.passes import DIALOGUES, clean_logits, viewed
from pipeline.evaluation.protocol import Frozen, View
from pipeline.evaluation.results import Cell, title
from pipeline.evaluation.sums import class_statistics, score_statistics
from pipeline.reporting.markup import Table, write
from pipeline.settings.compute import ComputeSettings
from pipeline.settings.report import ReportSettings
from pipeline.training import checkpoint
from pipeline.training.crossfit import fold_dialogues
from pipeline.training.dialogues import HELD_OUT, Dataset
from pipeline.training.networks import as_read_by, name_of

log = logging.getLogger("pipeline")
LIKELIHOOD = "log_likelihood"
TRAINING = 2  # the masks of validation and test are drawn as 0 and 1
BUDGET = 4096  # utterances, with padding, in one forward pass


class Params(ComputeSettings):
    """Settings of the stage."""

    report: ReportSettings = Field(ReportSettings(), description="Metric and bootstrap.")
    student: str = Field("modality_dropout", description="The variant of the students, for the heading.")
    folds: int = Field(4, ge=2, le=50, description="Parts of the training dialogues.")
    seeds: list[int] = Field([0], min_length=1, description="Training seeds, in the order of the networks.")
    masks_seed: int = Field(7, ge=0, description="Seed of the random masks of training dialogues.")


def run(
    params: Params,
    *,
    dataset: list[Path],
    masks: list[Path],
    teachers: list[Path],
    students: list[Path],
    folder: Path,
) -> None:
    """Write the table `payoff`.

    `teachers` and `students` hold the weights of the networks that have not seen one part of the training
    dialogues: fold by fold, in it seed by seed, in it part by part. Raises PipelineError if they do not.
    """
    device = prepare(params.device, params.threads)
    count = len(params.seeds) * params.folds
    for flag, given in (("--teachers", teachers), ("--students", students)):
        if len(given) != len(dataset) * count:
            raise PipelineError(
                f"{flag}: {len(given)} files were given, and {len(dataset)} folds of {count} networks are "
                "needed. Pass the weights of every part, seed by seed, fold by fold."
            )
    names = sorted({name for path in dataset for name in Dataset.load(path).dialogues("train")})
    parts = []
    for place, (path, mask) in enumerate(zip(dataset, masks, strict=True)):
        own = slice(place * count, (place + 1) * count)
        fold = Fold.load(path, mask, names, params.masks_seed)
        parts.append(
            (
                fold.sums(teachers[own], params, [fold.views[0]], device),
                fold.sums(students[own], params, fold.views, device),
            )
        )
        conditions, regression = [view.condition for view in fold.views], fold.data.regression
    # a dialogue that trains in several folds is resampled as one
    teacher, student = (
        {name: np.sum([part[side][name] for part in parts], axis=0) for name in parts[0][side]}
        for side in (0, 1)
    )
    task = "regression" if regression else "classification"
    table = payoff_table(params, task, conditions, teacher, student)
    with filling(folder) as target:
        write(target, "payoff", table, [])


@dataclass(frozen=True)
class Fold:
    """The training dialogues of one fold, and what is shown of them."""

    data: Dataset
    views: list[View]  # the complete one first
    names: list[str]  # dialogues of all folds

    @staticmethod
    def load(dataset: Path, masks: Path, names: list[str], seed: int) -> "Fold":
        """Read a fold; `seed` draws the random masks of its training rows, for the frozen ones hide none."""
        frozen = hidden_in_training(Frozen.load(dataset, masks), seed)
        views = [view for view in families.views(frozen) if view.draw == 0 and not view.features]
        return Fold(Dataset.load(dataset), sorted(views, key=lambda view: view.condition != COMPLETE), names)

    def sums(
        self, networks: Sequence[Path], params: Params, views: Sequence[View], device: torch.device
    ) -> dict[str, np.ndarray]:
        """By metric the sums (seeds, views, dialogues, F) of networks that have not seen a part."""
        found: dict[str, list[np.ndarray]] = {}
        for place, seed in enumerate(params.seeds):
            own = networks[place * params.folds : (place + 1) * params.folds]
            answers = np.zeros((len(views), len(self.data.available), self.data.outputs))
            for part, rows, logits in self._answers(own, seed, views, device):
                log.info("seed %d, part %d: %d utterances", seed, part, len(rows))
                answers[:, rows] = logits
            for name, values in self._statistics(answers, params).items():
                found.setdefault(name, []).append(values)
        return {name: np.stack(values) for name, values in found.items()}

    def _answers(
        self, networks: Sequence[Path], seed: int, views: Sequence[View], device: torch.device
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Part, rows, and logits (views, rows, outputs) of each part of the training dialogues."""
        everything = torch.ones(3, dtype=torch.bool, device=device)
        for part, (path, names) in enumerate(
            zip(networks, fold_dialogues(self.data, len(networks)), strict=True)
        ):
            notes = checkpoint.load_notes(path)
            if (notes.get("seed"), notes.get("held_out")) != (seed, part):
                raise PipelineError(
                    f"{path}: seed {notes.get('seed')}, held out {notes.get('held_out')}, where seed {seed} "
                    f"and part {part} were expected. Pass the networks part by part, seed by seed."
                )
            network, _ = checkpoint.load_network(path)
            as_read_by(name_of(network), self.data, ())  # one that reads more is no student of this table
            network = network.to(device).eval()
            unseen = self.data.holding_out(names)
            batch = Batch.cat(unseen.batches((HELD_OUT,), DIALOGUES)).to(device)
            told = [clean_logits(network, viewed(batch, view, everything), BUDGET) for view in views]
            yield part, batch.row[batch.valid].cpu().numpy(), torch.stack(told).cpu().numpy()

    def _statistics(self, answers: np.ndarray, params: Params) -> dict[str, np.ndarray]:
        data, metric = self.data, params.report.main(self.data.facts["task"])
        target = (data.score if data.regression else data.label).numpy().astype(float)
        rows = data.rows(["train"]).numpy()
        rows = rows[np.isfinite(target[rows]) & (data.regression | (target[rows] >= 0))]
        place = {name: number for number, name in enumerate(self.names)}
        dialogue = np.array([place[data.names[number]] for number in data.dialogue.numpy()[rows]])
        truth, count = target[rows], len(self.names)
        if data.regression:
            sums = [score_statistics(truth, told[rows, 0], dialogue, count) for told in answers]
            return {metric: np.stack(sums)}
        label, classes = truth.astype(int), data.outputs
        hits = [class_statistics(label, told[rows].argmax(1), dialogue, count, classes) for told in answers]
        likely = []
        for told in answers:
            log_p = torch.from_numpy(told[rows]).log_softmax(-1).numpy()[np.arange(len(rows)), label]
            totals = [np.bincount(dialogue, values, count) for values in (log_p, np.ones_like(log_p))]
            likely.append(np.stack(totals, axis=1))
        return {metric: np.stack(hits), LIKELIHOOD: np.stack(likely)}


def hidden_in_training(frozen: Frozen, seed: int) -> Frozen:
    """The same with random masks of the training rows, too, at each condition's rate; draw 0 alone."""
    train = frozen.utterances.filter(pl.col("split") == "train")["row"].to_numpy()
    drawn = {}
    for condition, mask in frozen.masks.items():
        if condition.rate is None or condition.draw:
            continue
        state = np.random.SeedSequence([seed, TRAINING, round(condition.rate * 1_000_000)])
        generator = torch.Generator().manual_seed(int(state.generate_state(1, np.uint64)[0] >> 1))
        shown = mask.copy()
        there = torch.from_numpy(frozen.available[train])
        shown[train] = random_masks(there, condition.rate, generator).numpy()
        drawn[condition] = shown
    return replace(frozen, masks=drawn)


def mean_of_sums(sums: np.ndarray) -> np.ndarray:
    """A mean from its sum and count (..., 2)."""
    values: np.ndarray = sums[..., 0] / sums[..., 1]
    return values


def payoff_table(
    params: Params,
    task: str,
    conditions: Sequence[Condition],
    teacher: dict[str, np.ndarray],
    student: dict[str, np.ndarray],
) -> Table:
    """One row a condition: both scores, and their difference with its paired interval."""
    report, metric = params.report, params.report.main(task)
    shape = next(iter(student.values())).shape
    draws = bootstrap.Resamples.draw(report.resamples, shape[2], shape[0], report.seed)
    cells: dict[str, list[list[Cell]]] = {}
    for name, sums in student.items():
        of_sums = mean_of_sums if name == LIKELIHOOD else METRICS[name].of_sums
        ours = bootstrap.resampled(teacher[name], of_sums, draws)
        theirs = bootstrap.resampled(sums, of_sums, draws)
        cells[name] = [
            [Cell(ours[0, 0]), Cell(values[0]), _cell(ours[:, 0] - values, report.level)]
            for values in theirs.T
        ]
    rows: list[list[Cell | str | None]] = []
    for place, condition in enumerate(conditions):
        row: list[Cell | str | None] = [families.heading(condition)]
        row += cells[metric][place]
        if LIKELIHOOD in cells:
            row.append(_nats(cells[LIKELIHOOD][place][2]))
        rows.append(row)
    header = ["shown", "teacher, complete view", "student", "teacher minus student"]
    units = ["", metric, metric, metric]
    if LIKELIHOOD in cells:
        header.append("log-likelihood, nats")
        units.append("")
    notes = [
        f"Training dialogues, each judged by networks that have not seen it ({params.folds} parts, seeds "
        f"{', '.join(map(str, params.seeds))}): the teacher always by the complete view, the student "
        f"({title(params.student)}, which learns without a teacher) by what is shown. {metric}, "
        f"[{report.level:.0%} interval of a paired bootstrap over dialogues and seeds, {report.resamples} "
        "resamples]. Distillation can pass on no more than what the teacher has ahead.",
    ]
    return Table("Where a teacher could pay", header, units, rows, notes)


def _cell(values: np.ndarray, level: float) -> Cell:
    return Cell(float(values[0]), None, *bootstrap.interval(values[1:], level))


def _nats(cell: Cell) -> str:
    return f"{cell.mean:+.3f} [{cell.low:+.3f}, {cell.high:+.3f}]"


if __name__ == "__main__":
    stage.main(
        run,
        Params,
        inputs=("dataset*", "masks*", "teachers*", "students*"),
        outputs=("folder",),
    )
