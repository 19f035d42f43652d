"""Predictions of all folds in one order: the test utterances of the first fold, then of the next."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from models.conditions import Condition
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.evaluation.protocol import read_condition

KNOWING = "_knowing"


@dataclass(frozen=True)
class Truth:
    """U test utterances and V conflict views of all folds.

    `value` is the label index or the score, NaN where there is none; `train` are the values of each fold's
    training utterances. `target` indexes the U utterances; `reference` is the label (regression: sign) whose
    rate is measured, -1 for none. Arrays named `view_` have one entry a conflict view.
    """

    task: str
    labels: tuple[str, ...]
    folds: tuple[str, ...]
    fold: np.ndarray
    row: np.ndarray
    dialogue: np.ndarray
    value: np.ndarray
    train: tuple[np.ndarray, ...]
    view_kind: np.ndarray
    view_draw: np.ndarray
    view_target: np.ndarray
    view_reference: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Utterances that count."""
        return np.isfinite(self.value)

    @property
    def dialogues(self) -> int:
        """Test dialogues of all folds."""
        return int(self.dialogue.max()) + 1

    @property
    def width(self) -> int:
        """Numbers in one prediction: a probability for each class, or one score."""
        return len(self.labels) if self.task == "classification" else 1


@dataclass(frozen=True)
class Answers:
    """What one variant and seed says, in the order of a Truth; `seed` is None where nothing is random."""

    variant: str
    seed: int | None
    checkpoint: str
    clean: Mapping[Condition, np.ndarray]  # (draws, U, width)
    conflict: Mapping[Condition, np.ndarray]  # where channels are swapped: (views of its kind, width)
    # label indices (draws, U) that the degraded channel alone is answered with, -1 where it is lost
    alone: Mapping[Condition, np.ndarray] = field(default_factory=dict)


def load_truth(datasets: Sequence[Path], conflicts: Sequence[Path]) -> Truth:
    """Read labels and conflict views; a dataset lies in `{fold}/dataset`, conflicts in `{fold}/protocol`.

    Raises PipelineError if the paths do not go together, or if two folds test the same utterance.
    """
    if len(datasets) != len(conflicts) or not datasets:
        raise PipelineError(
            f"--dataset and --conflicts: got {len(datasets)} and {len(conflicts)} paths; "
            "give both for each fold."
        )
    parts, views, trains, rows, dialogues = [], [], [], 0, 0
    tested: dict[str, str] = {}
    for number, (dataset, path) in enumerate(zip(datasets, conflicts, strict=True)):
        facts = artefacts.load_json(dataset / "facts.json", ["task", "labels"])
        column = "label" if facts["task"] == "classification" else "score"
        table = artefacts.load_table(
            dataset / "utterances.parquet", ["row", "utterance", "dialogue", "split", column]
        ).with_columns(value=pl.col(column).cast(pl.Float64))
        if column == "label":
            table = table.with_columns(pl.when(pl.col("value") >= 0).then("value").alias("value"))
        labelled = table.filter(pl.col("split") == "train", pl.col("value").is_not_null())
        trains.append(labelled["value"].to_numpy())
        test = table.filter(pl.col("split") == "test").sort("row")
        if not test["value"].is_not_null().any():
            raise PipelineError(
                f"{dataset}: not one of the {test.height} utterances of the test split has a {column}, so "
                "nothing can be scored. Give them targets, or choose other splits (corpus in the config)."
            )
        _tested_once(tested, dataset.parent.name, test["utterance"])
        _, dialogue = np.unique(test["dialogue"].to_numpy(), return_inverse=True)
        parts.append((np.full(test.height, number), test["row"], dialogue + dialogues, test["value"]))
        view = artefacts.load_table(path, ["kind", "draw", "row", "reference"])
        target = np.searchsorted(test["row"].to_numpy(), view["row"].to_numpy())
        views.append((view["kind"], view["draw"], target + rows, view["reference"].fill_null(-1)))
        rows, dialogues = rows + test.height, dialogues + int(dialogue.max()) + 1
    # a null of the table arrives as NaN
    fold, row, dialogue, value = _joined(parts)
    kind, draw, target, reference = _joined(views)
    return Truth(
        task=facts["task"],
        labels=tuple(facts["labels"]),
        folds=tuple(path.parent.name for path in datasets),
        fold=fold,
        row=row,
        dialogue=dialogue,
        value=value,
        train=tuple(trains),
        view_kind=kind,
        view_draw=draw,
        view_target=target,
        view_reference=reference,
    )


def _joined(folds: Sequence[Sequence[np.ndarray | pl.Series]]) -> list[np.ndarray]:
    """Each column of all folds, one fold after the other."""
    return [np.concatenate([np.asarray(part) for part in column]) for column in zip(*folds, strict=True)]


def _tested_once(tested: dict[str, str], fold: str, utterances: pl.Series) -> None:
    """Note the fold that tests each utterance; raises PipelineError for one that another fold tests too."""
    twice = [name for name in utterances if name in tested]
    if twice:
        raise PipelineError(
            f"folds {tested[twice[0]]!r} and {fold!r}: both test the utterance {twice[0]!r} ({len(twice)} "
            "such), so the pooled scores would count it twice. Take one of the two out of corpus.folds, or "
            "judge them in two runs."
        )
    tested |= dict.fromkeys(utterances, fold)


def load_answers(paths: Sequence[Path], truth: Truth) -> Iterator[Answers]:
    """Trained variants: files `{fold}/predictions/{variant}/{seed}.parquet` of every fold.

    Raises PipelineError if a fold, a row or a condition is missing.
    """
    groups: dict[tuple[str, int], dict[str, Path]] = {}
    for path in paths:
        groups.setdefault((path.parent.name, int(path.stem)), {})[path.parents[2].name] = path
    for (variant, seed), files in groups.items():
        if missing := set(truth.folds) - set(files):
            raise PipelineError(
                f"predictions of {variant!r}, seed {seed}: fold {sorted(missing)[0]!r} is missing. "
                "Evaluate it, or score the folds apart."
            )
        tables = [artefacts.load_table(files[fold]) for fold in truth.folds]
        yield from _answers(variant, seed, tables, truth)


def load_rows(paths: Sequence[Path], truth: Truth) -> Iterator[Answers]:
    """Ceilings and rows without a network: files `{fold}/{stage}.parquet`, several variants in each."""
    if not paths:
        return
    found = {path.parent.name: artefacts.load_table(path) for path in paths}
    if missing := set(truth.folds) - set(found):
        made_by = paths[0].stem
        raise PipelineError(
            f"--{made_by}: fold {sorted(missing)[0]!r} is missing. Run the stage {made_by} for it."
        )
    clean: dict[str, Mapping[Condition, np.ndarray]] = {}
    for variant in found[truth.folds[0]]["variant"].unique(maintain_order=True):
        tables = [found[fold].filter(pl.col("variant") == variant) for fold in truth.folds]
        for answers in _answers(variant, None, tables, truth):
            clean[variant] = answers.clean
            if answers.clean:
                yield answers
            else:
                # knowing of a conflict changes nothing where there is none
                yield replace(answers, clean=clean[variant.removesuffix(KNOWING)])


def _answers(variant: str, seed: int | None, tables: list[pl.DataFrame], truth: Truth) -> Iterator[Answers]:
    if truth.task == "classification":
        as_array = pl.col("probabilities").list.to_array(truth.width)
        tables = [table.with_columns(as_array) for table in tables]
    by_fold = [table.partition_by("checkpoint", "condition", as_dict=True) for table in tables]
    for checkpoint in dict.fromkeys(key[0] for key in by_fold[0]):
        clean, conflict, alone = {}, {}, {}
        for written in [key[1] for key in by_fold[0] if key[0] == checkpoint]:
            name = f"predictions of {variant!r}, seed {seed}, {written}"
            condition = read_condition(written, f"predictions of {variant!r}, seed {seed}")
            cells = [parts[checkpoint, written] for parts in by_fold if (checkpoint, written) in parts]
            if len(cells) < len(by_fold):
                raise PipelineError(f"{name}: missing in a fold. Evaluate every fold under one protocol.")
            if condition.swapped:
                conflict[condition] = _align_views(name, condition.kind, cells, truth)
            else:
                clean[condition] = _align(name, cells, truth)
                if all("alone" in cell.columns and cell["alone"].count() for cell in cells):
                    alone[condition] = _align_alone(cells, truth, len(clean[condition]))
        yield Answers(variant, seed, checkpoint, clean, conflict, alone)


def _values(cell: pl.DataFrame, truth: Truth) -> np.ndarray:
    """Predictions (rows, width)."""
    if truth.task == "classification":
        return cell["probabilities"].to_numpy()
    return cell["score"].to_numpy()[:, None]


def _align(name: str, cells: list[pl.DataFrame], truth: Truth) -> np.ndarray:
    draws = int(max(cell["draw"].to_numpy().max() for cell in cells)) + 1
    aligned = np.full((draws, len(truth.row), truth.width), np.nan, np.float32)
    for number, cell in enumerate(cells):
        place = _place(number, cell, truth)
        right = truth.row[place] == cell["row"].to_numpy()
        if not right.all():
            raise PipelineError(f"{name}: row {cell['row'].to_numpy()[~right][0]} is not in the test split.")
        aligned[cell["draw"].to_numpy(), place] = _values(cell, truth)
    if not np.isfinite(aligned[:, truth.known]).all():
        raise PipelineError(f"{name}: a labelled test utterance has no finite prediction. Evaluate it again.")
    return aligned


def _align_alone(cells: list[pl.DataFrame], truth: Truth, draws: int) -> np.ndarray:
    """Label indices (draws, U) of the degraded channel alone; the rows are those that `_align` has seen."""
    aligned = np.full((draws, len(truth.row)), -1)
    for number, cell in enumerate(cells):
        aligned[cell["draw"].to_numpy(), _place(number, cell, truth)] = cell["alone"].fill_null(-1)
    return aligned


def _place(number: int, cell: pl.DataFrame, truth: Truth) -> np.ndarray:
    """Where the rows of a fold's cell stand among all, as far as they are there."""
    inside = np.flatnonzero(truth.fold == number)
    return inside[np.searchsorted(truth.row[inside], cell["row"].to_numpy()).clip(max=len(inside) - 1)]


def _align_views(name: str, kind: str, cells: list[pl.DataFrame], truth: Truth) -> np.ndarray:
    mine = truth.view_kind == kind
    target, draw = truth.view_target[mine], truth.view_draw[mine]
    wanted = pl.DataFrame(
        {
            "fold": truth.fold[target],
            "draw": draw.astype(np.int16),
            "row": truth.row[target].astype(np.int32),
        }
    )
    given = pl.concat(
        cell.with_columns(pl.lit(number, pl.Int64).alias("fold")) for number, cell in enumerate(cells)
    ).with_columns(pl.col("draw").cast(pl.Int16), pl.col("row").cast(pl.Int32))
    column = "probabilities" if truth.task == "classification" else "score"
    joined = wanted.join(given, on=["fold", "draw", "row"], how="left", maintain_order="left")
    if joined.height != wanted.height or joined[column].null_count():
        raise PipelineError(f"{name}: does not fit the conflict views of the protocol. Evaluate it again.")
    return _values(joined, truth)


def trivial_answers(
    truth: Truth,
    clean: Sequence[Condition],
    conflict: Sequence[Condition],
    seeds: Sequence[int],
    seed: int,
) -> Iterator[Answers]:
    """The rows that ignore every input: `majority` and `prior_sampling`, under the conditions given.

    Classification: the training prior as probabilities, and labels drawn from it. Regression: the mean
    training score, and training scores drawn. Each fold has its own, fitted on its own training labels only:
    what one fold tests, another one trains on.
    """
    likely = np.stack([_prior(train, truth) for train in truth.train])
    yield _constant("majority", None, likely[truth.fold], truth, (clean, conflict))
    for number in seeds:
        rng = np.random.default_rng([seed, 5, number])
        drawn = np.empty(len(truth.row))
        for fold, train in enumerate(truth.train):
            inside = truth.fold == fold
            drawn[inside] = rng.choice(train, size=inside.sum())
        values = np.eye(truth.width)[drawn.astype(int)] if truth.task == "classification" else drawn[:, None]
        yield _constant("prior_sampling", number, values, truth, (clean, conflict))


def _prior(train: np.ndarray, truth: Truth) -> np.ndarray:
    """Shares of the training labels, or the mean training score: (width,)."""
    if truth.task == "regression":
        return train.mean(keepdims=True)
    return np.bincount(train.astype(int), minlength=truth.width) / len(train)


def _constant(
    variant: str,
    seed: int | None,
    values: np.ndarray,
    truth: Truth,
    conditions: tuple[Sequence[Condition], Sequence[Condition]],
) -> Answers:
    clean = {condition: values[None].astype(np.float32) for condition in conditions[0]}
    conflict = {
        condition: values[truth.view_target[truth.view_kind == condition.kind]].astype(np.float32)
        for condition in conditions[1]
    }
    return Answers(variant, seed, "selected", clean, conflict)
