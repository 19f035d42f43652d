"""Intervals and comparisons by a paired bootstrap over dialogues and seeds (docs/method.md, "Protocols").

Every variant is held as per-dialogue sums, and all of them meet the same resamples.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from models.conditions import COMPLETE, Condition
from pipeline.core.errors import PipelineError
from pipeline.core.registries.degradations import FAMILY, OTHER_WORDS
from pipeline.evaluation import bootstrap, families
from pipeline.evaluation.answers import Truth
from pipeline.evaluation.degraded import missing
from pipeline.evaluation.metrics import CONFLICT_METRICS, METRICS, UNRELIABLE_METRICS
from pipeline.evaluation.results import GIVEN, LESS_HARM, MILDEST, MISSING, SIMPLE, UNTAUGHT, WHOLE
from pipeline.evaluation.summed import Sums
from pipeline.evaluation.sums import FollowSums
from pipeline.settings.report import ReportSettings, diagnostic

CEILING = "readable_ceiling"


def compare(
    sums: Mapping[str, Sums], trained: Sequence[str], truth: Truth, settings: ReportSettings
) -> pl.DataFrame:
    """Table of intervals and differences.

    Rows without `other` are a variant's own seed-mean with its interval; rows with one are paired
    differences variant - other: the reference variant against each compared one (with p, and p_holm over
    the family compared x headline conditions of a metric: complete, fixed mean, random mean), and every
    trained variant against the readable ceiling, against each row without a network and against the students
    without a teacher, outside the family and under every condition. Of unreliable media `other` may also be
    another view of the same variant: `complete`, `missing` (without the degraded modality) and, of the worst
    level of a kind, `mildest` (its mildest level); and `reference_harm`: its difference from `missing` minus
    that of the reference variant, at the worst level of a kind and in the mean over all. Of other sources of
    words it may be `given`: the same variant with the given words.

    Raises PipelineError if seeds or conditions differ, if the reference has no predictions, or if the
    resamples are too few for any test to be decided.
    """
    family = _family(trained, settings)
    _check_conditions(sums, trained)
    _check_resamples(len(family) * len(_headlines(sums[settings.reference])), settings)
    seeds = _seeds(sums, trained)
    draws = bootstrap.Resamples.draw(settings.resamples, truth.dialogues, len(seeds), settings.seed)
    rows: list[dict] = []
    classes = truth.task == "classification"
    for metric in dict.fromkeys((settings.main(truth.task), "accuracy" if classes else "mae")):
        values = {
            name: _by_condition(one, _ordered(one.clean, seeds), METRICS[metric].of_sums, draws)
            for name, one in sums.items()
        }
        rows += [
            _row((name, None, condition, metric), found, settings.level)
            for name, conditions in values.items()
            for condition, found in conditions.items()
        ]
        rows += _differences(values, family, trained, metric, settings)
        for name, conditions in values.items():
            rows += _harm(name, conditions, metric, settings.level)
            rows += _sources(name, conditions, metric, settings.level)
        rows += _less_harm(values, trained, metric, settings)
    for metric, row in CONFLICT_METRICS.items():
        for name, one in sums.items():
            if row.resampled and one.conflict:
                found = bootstrap.resampled(_ordered(one.conflict, seeds), row.of_sums, draws)
                by_swap = dict(zip(one.conflicts, found.T, strict=True))
                for kind in dict.fromkeys(condition.kind for condition in one.conflicts):
                    own = [values for condition, values in by_swap.items() if condition.kind == kind]
                    by_swap[Condition.over_swaps(kind)] = np.mean(own, axis=0)
                rows += [
                    _row((name, None, condition, metric), values, settings.level)
                    for condition, values in by_swap.items()
                ]
    rows += _following(sums, trained, seeds, draws, settings.level)
    return pl.DataFrame(rows, schema=SCHEMA)


SCHEMA = {
    "variant": pl.String,
    "other": pl.String,
    "condition": pl.String,
    "metric": pl.String,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "p_holm": pl.Float64,
}


def _family(trained: Sequence[str], settings: ReportSettings) -> list[str]:
    methods = [name for name in trained if name != settings.reference and not diagnostic(name)]
    family = list(settings.compared) or methods
    for name in (settings.reference, *family):
        if name not in trained:
            raise PipelineError(
                f"config, report: variant {name!r} has no predictions; there are {sorted(trained)}. "
                "Train it (config key compare), or name another in report.reference or report.compared."
            )
    return [name for name in family if name != settings.reference]


def _check_conditions(sums: Mapping[str, Sums], trained: Sequence[str]) -> None:
    """Every row under the same conditions, for a mean over other ones compares nothing.

    One that is not trained may lack whole families.
    """
    first = sums[trained[0]]
    wanted = {*first.conditions, *first.conflicts}
    for name, one in sums.items():
        own = {*one.conditions, *one.conflicts}
        known = {condition.family for condition in (wanted if name in trained else own)}
        differing = {condition for condition in wanted if condition.family in known} ^ own
        if differing or (name in trained and Counter(one.conditions) != Counter(first.conditions)):
            what = (
                f"only one of them has {min(map(str, differing))}"
                if differing
                else "their numbers of draws differ"
            )
            raise PipelineError(
                f"predictions of {name!r}: its conditions are not those of {trained[0]!r}, {what}. "
                "Means over different conditions cannot be compared; evaluate all under one protocol."
            )


def _headlines(one: Sums) -> list[Condition]:
    """The headline conditions of this corpus; one that has a single modality has no incomplete views."""
    means = {condition.mean for condition in one.conditions}
    return [condition for condition in families.headlines() if condition in means]


def _check_resamples(tests: int, settings: ReportSettings) -> None:
    least = tests * bootstrap.least_p(settings.resamples)
    if least >= 1 - settings.level:
        needed = math.ceil(2 * tests / (1 - settings.level))
        raise PipelineError(
            f"config, key report.resamples: with {settings.resamples} resamples the least p of {tests} "
            f"comparisons is {least:.3f} after Holm's correction, so none could ever differ at the level "
            f"{settings.level:g}. Set it to {needed} or more, or name fewer variants in report.compared."
        )


def _seeds(sums: Mapping[str, Sums], trained: Sequence[str]) -> list[int]:
    seeds = sums[trained[0]].seeds
    for name in trained:
        if sums[name].seeds != seeds:
            raise PipelineError(
                f"predictions: variant {name!r} has seeds {sums[name].seeds}, but {trained[0]!r} has "
                f"{seeds}. A paired comparison needs the same seeds; train and evaluate the missing ones."
            )
    return seeds


def _ordered(by_seed: Mapping[int | None, np.ndarray], seeds: Sequence[int]) -> np.ndarray:
    """(S, K, D, F) in the order of the seeds; one entry where the variant has no seed."""
    return np.stack([by_seed[seed] for seed in ([None] if None in by_seed else seeds)])


def _by_condition(
    one: Sums, stacked: np.ndarray, metric: bootstrap.OfSums, draws: bootstrap.Resamples
) -> dict[Condition, np.ndarray]:
    """Resampled values (R + 1,) by condition, draws averaged, with the mean over each family."""
    found = bootstrap.resampled(stacked, metric, draws)
    known = dict.fromkeys(one.conditions)
    draws_of = {name: np.array([other == name for other in one.conditions]) for name in known}
    values = {name: found[:, own].mean(axis=1) for name, own in draws_of.items()}
    for mean in dict.fromkeys(name.mean for name in known):
        if mean != COMPLETE and families.of(mean).averaged:
            values[mean] = np.mean([values[name] for name in known if name.mean == mean], axis=0)
    return values


def _differences(
    values: Mapping[str, Mapping[Condition, np.ndarray]],
    family: Sequence[str],
    trained: Sequence[str],
    metric: str,
    settings: ReportSettings,
) -> list[dict]:
    reference = values[settings.reference]
    rows = []
    for other in family:
        for condition in (name for name in families.headlines() if name in reference):
            gap = reference[condition] - values[other][condition]
            row = _row((settings.reference, other, condition, metric), gap, settings.level)
            rows.append({**row, "p": bootstrap.two_sided(gap[1:])})
    corrected = bootstrap.holm(np.array([row["p"] for row in rows]))
    rows = [{**row, "p_holm": float(p)} for row, p in zip(rows, corrected, strict=True)]
    tested = {(row["variant"], row["other"], row["condition"]) for row in rows}
    for other in (name for name in (CEILING, *SIMPLE, UNTAUGHT) if name in values):
        for name in (name for name in trained if name != other):
            for condition in values[name]:
                if condition in values[other] and (name, other, str(condition)) not in tested:
                    gap = values[name][condition] - values[other][condition]
                    rows.append(_row((name, other, condition, metric), gap, settings.level))
    return rows


def _harm(variant: str, values: Mapping[Condition, np.ndarray], metric: str, level: float) -> Iterator[dict]:
    """What a variant scores under each degradation minus what the same variant scores under other views."""
    by_kind: dict[str, list[Condition]] = {}
    for condition in values:
        if condition.family == FAMILY and not condition.is_mean:
            by_kind.setdefault(condition.kind, []).append(condition)
    for own in by_kind.values():
        for condition in own:
            others = {WHOLE: COMPLETE, MISSING: missing(condition)}
            if condition == own[-1] and len(own) > 1:
                others[MILDEST] = own[0]
            for name, other in others.items():
                # a corpus that lacks a channel has no view without it
                if other in values:
                    gap = values[condition] - values[other]
                    yield _row((variant, name, condition, metric), gap, level)


def _sources(
    variant: str, values: Mapping[Condition, np.ndarray], metric: str, level: float
) -> Iterator[dict]:
    """What a variant scores with the words of another source minus what it scores with the given ones."""
    given = Condition(OTHER_WORDS, kind=GIVEN)
    for condition in values:
        if condition.family == OTHER_WORDS and condition != given:
            yield _row((variant, GIVEN, condition, metric), values[condition] - values[given], level)


def _following(
    sums: Mapping[str, Sums],
    trained: Sequence[str],
    seeds: Sequence[int],
    draws: bootstrap.Resamples,
    level: float,
) -> Iterator[dict]:
    """How far the trained variants follow a degraded channel, and the mean over all that is degraded."""
    for name in (name for name in trained if sums[name].follow):
        own = sums[name]
        stacked = _ordered(own.follow, seeds)
        apart = FollowSums.of(stacked.sum(axis=(0, 2))).apart > 0
        for metric, row in UNRELIABLE_METRICS.items():
            found = bootstrap.resampled(stacked, row.of_sums, draws)
            values = {
                condition: found[:, place]
                for place, condition in enumerate(own.unreliable)
                # where no channel says another thing there is nothing to follow
                if apart[place] or metric != "followed"
            }
            if values:
                values[own.unreliable[0].mean] = np.mean(list(values.values()), axis=0)
            for condition, resampled in values.items():
                yield _row((name, None, condition, metric), resampled, level)


def _less_harm(
    values: Mapping[str, Mapping[Condition, np.ndarray]],
    trained: Sequence[str],
    metric: str,
    settings: ReportSettings,
) -> Iterator[dict]:
    """The harm of trusting a degraded channel: its mean over all, and others' minus the reference's."""
    harms = {name: _harms(values[name]) for name in trained}
    reference = harms[settings.reference]
    for name, own in harms.items():
        for condition, harm in own.items():
            if condition.is_mean:
                yield _row((name, MISSING, condition, metric), harm, settings.level)
            if name != settings.reference:
                yield _row((name, LESS_HARM, condition, metric), harm - reference[condition], settings.level)


def _harms(values: Mapping[Condition, np.ndarray]) -> dict[Condition, np.ndarray]:
    """Resampled scores minus those without the degraded channel: at the worst levels, and their mean over all
    levels."""
    found = {
        condition: values[condition] - values[missing(condition)]
        for condition in values
        if condition.family == FAMILY and not condition.is_mean and missing(condition) in values
    }
    worst = {condition.kind: condition for condition in found}
    mean = {next(iter(found)).mean: np.mean(list(found.values()), axis=0)} if found else {}
    return {condition: found[condition] for condition in worst.values()} | mean


def _row(key: tuple[str, str | None, Condition, str], values: np.ndarray, level: float) -> dict:
    """One row of the table; `key` is variant, other, condition and metric."""
    low, high = bootstrap.interval(values[1:], level)
    variant, other, condition, metric = key
    return {
        "variant": variant,
        "other": other,
        "condition": str(condition),
        "metric": metric,
        "difference": float(values[0]),
        "low": low,
        "high": high,
        "p": None,
        "p_holm": None,
    }
