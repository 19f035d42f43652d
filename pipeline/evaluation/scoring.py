"""Scores of one variant and seed: metrics by condition, averaged over draws, and means over conditions."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from models.conditions import COMPLETE, Condition
from pipeline.core.registries.degradations import FAMILY
from pipeline.evaluation import agreement, families, metrics
from pipeline.evaluation.answers import Answers, Truth
from pipeline.evaluation.results import POOLED

Row = tuple[str, Condition, str, float]


def labels_of(values: np.ndarray, truth: Truth) -> np.ndarray:
    """Label indices (...,) of predictions (..., width); regression: 1 where the score is positive."""
    return values.argmax(axis=-1) if truth.task == "classification" else (values[..., 0] > 0).astype(int)


def view_truth(truth: Truth, target: np.ndarray) -> np.ndarray:
    """The true label index of each target; regression: 1 where the score is positive, 0 where negative.

    A true score of 0 takes no side: -1, which the conflict accuracy leaves out (P4).
    """
    value = truth.value[target]
    if truth.task == "classification":
        return value.astype(int)
    return np.where(value == 0, -1, value > 0).astype(int)


def score_rows(answers: Answers, truth: Truth) -> Iterator[Row]:
    """Yield fold, condition, metric and value; several folds also give the fold `pooled`."""
    parts = [(name, truth.fold == number) for number, name in enumerate(truth.folds)]
    if len(parts) > 1:
        parts.append((POOLED, np.ones(len(truth.fold), bool)))
    for fold, inside in parts:
        by_condition = {
            condition: _clean_metrics(values, truth, inside & truth.known)
            for condition, values in answers.clean.items()
        }
        for condition in (name for name in by_condition if name.family == FAMILY):
            by_condition[condition] |= _change(condition, answers, truth, inside & truth.known)
        for mean in dict.fromkeys(condition.mean for condition in by_condition):
            if mean != COMPLETE and families.of(mean).averaged:
                members = [found for condition, found in by_condition.items() if condition.mean == mean]
                by_condition[mean] = _mean(members)
        for condition, values in answers.conflict.items():
            by_condition[condition] = _conflict_metrics(condition, values, answers, truth, inside)
        for kind in dict.fromkeys(condition.kind for condition in answers.conflict):
            swaps = [by_condition[own] for own in answers.conflict if own.kind == kind and by_condition[own]]
            by_condition[Condition.over_swaps(kind)] = _mean(swaps) if swaps else {}
        for condition, found in by_condition.items():
            keep = condition == condition.mean
            for metric, value in found.items():
                if keep or not metric.startswith("confusion/"):
                    yield fold, condition, metric, value


def _clean_metrics(values: np.ndarray, truth: Truth, inside: np.ndarray) -> dict[str, float]:
    """Metrics of one condition, averaged over its draws."""
    return _mean([_one_draw(draw[inside], truth.value[inside], truth) for draw in values])


def _change(condition: Condition, answers: Answers, truth: Truth, inside: np.ndarray) -> dict[str, float]:
    """How far answers follow the degraded channel (regression: by their signs), averaged over draws."""
    clean = labels_of(answers.clean[COMPLETE][0][inside], truth)
    known = view_truth(truth, np.flatnonzero(inside))
    said = [labels_of(draw[inside], truth) for draw in answers.clean[condition]]
    alone = answers.alone.get(condition)
    told = [None if alone is None else draw[inside] for draw in (said if alone is None else alone)]
    return _mean([metrics.unreliable(known, one, clean, own) for one, own in zip(said, told, strict=True)])


def _one_draw(values: np.ndarray, value: np.ndarray, truth: Truth) -> dict[str, float]:
    if truth.task == "regression":
        return metrics.regression(value, values[:, 0].astype(float))
    label = value.astype(int)
    found = metrics.classification(label, values, truth.labels)
    counts = agreement.confusion(label, values.argmax(axis=1), truth.width)
    cells = {f"confusion/{i}/{j}": float(count) for (i, j), count in np.ndenumerate(counts)}
    return {**found, **cells}


def _conflict_metrics(
    condition: Condition, values: np.ndarray, answers: Answers, truth: Truth, inside: np.ndarray
) -> dict[str, float]:
    """Conflict metrics over all draws together; empty where a fold has no view of this kind."""
    mine = truth.view_kind == condition.kind
    target, reference = truth.view_target[mine], truth.view_reference[mine]
    here = inside[target]
    if not (reference[here] >= 0).any():
        return {}
    return metrics.conflict(
        view_truth(truth, target[here]),
        labels_of(values[here], truth),
        labels_of(answers.clean[COMPLETE][0][target[here]], truth),
        reference[here],
    )


def _mean(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each metric's mean over those that have it."""
    names = dict.fromkeys(name for one in found for name in one)
    return {name: float(np.mean([one[name] for one in found if name in one])) for name in names}
