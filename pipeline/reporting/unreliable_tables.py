"""The tables of P5: by kind and level for the reference variant, and the harm of every variant by kind."""

from collections.abc import Iterator
from dataclasses import replace

from models.conditions import COMPLETE, Condition
from pipeline.core.registries.degradations import DEGRADATIONS, FAMILY
from pipeline.evaluation.degraded import missing
from pipeline.evaluation.metrics import METRICS, UNRELIABLE_METRICS
from pipeline.evaluation.protocols.unreliable import words
from pipeline.evaluation.results import LESS_HARM, MILDEST, MISSING, WHOLE, Cell, Results, title
from pipeline.reporting.markup import Table, number
from pipeline.reporting.summary import Context

FOLLOWING = tuple(UNRELIABLE_METRICS)  # how far answers follow the degraded channel


def kinds(results: Results) -> dict[str, list[Condition]]:
    """The conditions of each kind that was tested, the mildest level first."""
    found: dict[str, list[Condition]] = {}
    for condition in results.family(FAMILY):
        found.setdefault(condition.kind, []).append(condition)
    return found


def levels_table(context: Context) -> Table:
    """The reference variant under every kind and level, beside the complete view and the missing channel."""
    results, metric, name = context.results, context.metric, context.reference
    calibrated = results.cell(name, COMPLETE, "ece") is not None
    rows: list[list[Cell | str | None]] = []
    for condition in results.family(FAMILY):
        level = results.realised(condition)
        realised = "–" if level is None else number(round(level, 3) + 0.0, 3)
        own: list[Cell | str | None] = [words(condition), realised]
        own.append(results.cell(name, condition, metric))
        own += [results.cell(name, condition, "ece")] if calibrated else []
        own += [results.cell(name, condition, other) for other in FOLLOWING]
        own.append(results.difference(name, WHOLE, condition, metric))
        own.append(results.cell(name, missing(condition), metric))
        own.append(gap := results.difference(name, MISSING, condition, metric))
        rows.append([*own, _verdict(gap, metric)])
    units = [
        "",
        "",
        metric,
        *(["ece"] if calibrated else []),
        *FOLLOWING,
        metric,
        metric,
        metric,
        "",
    ]
    heads = ["", "realised", metric, *(["ece"] if calibrated else []), *FOLLOWING, "minus complete"]
    heads += ["channel missing", "minus missing", "against missing"]
    measured = dict.fromkeys(DEGRADATIONS[kind].measured for kind in kinds(results))
    notes = [
        f"{title(name)}. Realised: what was measured, mean over the test utterances; by kind it is "
        f"{', '.join(measured)} (docs/unreliable.md).",
        "changed: answers that differ from those of the complete view; spoilt: of the answers that are right "
        "there, those that are wrong here; followed: where the degraded channel alone is answered otherwise "
        "than the complete view, the answers that are the channel's. Minus missing: the score minus that of "
        "the same networks without the degraded channel, with its paired interval; worse is the harm of "
        "trusting it.",
    ]
    if context.regression:
        notes.append("changed, spoilt and followed count signs of scores.")
    return Table(f"P5: unreliable media, {title(name)}", heads, units, rows, notes)


def _verdict(gap: Cell | None, metric: str) -> str:
    if gap is None or gap.low is None or gap.high is None:
        return "–"
    return _side(gap, metric, "better", "worse", "not told apart")


def _side(gap: Cell, metric: str, above: str, below: str, neither: str) -> str:
    """In a word on which side of 0 an interval lies; of a metric that falls, above is below."""
    if gap.low is None or gap.high is None or gap.low <= 0 <= gap.high:
        return neither
    return above if (gap.low > 0) == METRICS[metric].rising else below


def kinds_table(context: Context) -> Table:
    """Whether each kind hurts more at its worst level than at its mildest, variant by variant."""
    return _by_kind(
        context,
        "P5: the worst level minus the mildest",
        MILDEST,
        "Score at the worst level minus that at the mildest one, with the paired interval.",
        ("rises with its level", "hurts more with its level", "not told to hurt more with its level"),
    )


def harm_table(context: Context) -> Table:
    """The harm of trusting a degraded channel, at the worst level of each kind, variant by variant.

    Below each row stands how much less of it every other variant has than the reference.
    """
    own = title(context.reference)
    table = _by_kind(
        context,
        "P5: the worst level minus the same channel missing",
        MISSING,
        "Score at the worst level of each kind minus that of the same networks without the channel, with its "
        "paired interval: below 0 is the harm of trusting it (of an error, above 0). Minus "
        f"{own}: that difference minus the one of {own}, paired over the same dialogues and seeds; above 0 "
        "(of an error, below) is less harm. The mean is over all kinds and levels. None is corrected for the "
        "number of comparisons.",
        ("better than missing", "worse than missing", "not told apart from missing"),
    )
    results, metric = context.results, context.metric
    worst = [conditions[-1] for conditions in kinds(results).values()]
    worst = [one for one in worst if results.difference(context.reference, MISSING, one, metric)]
    rows = list(table.rows)
    if worst:
        mean = worst[0].mean
        cells = [results.difference(name, MISSING, mean, metric) for name in results.trained]
        rows.append(["mean", "all", *cells, "–"])
        worst.append(mean)
    paired: list[list[Cell | str | None]] = []
    for row, condition in zip(rows, worst, strict=True):
        paired.append(list(row))
        gaps = [results.difference(name, LESS_HARM, condition, metric) for name in results.trained]
        if any(gap is not None for gap in gaps):
            paired.append([f"– minus {own}", "", *gaps, ""])
    return replace(table, rows=paired)


def _by_kind(context: Context, heading: str, other: str, note: str, said: tuple[str, str, str]) -> Table:
    """Rows are kinds, columns the trained variants, then what the interval of the reference says."""
    results, metric = context.results, context.metric
    rows = list(_rows(context, other, said))
    names = [context.name(name) for name in results.trained]
    units = ["", "", *[metric] * len(names), ""]
    header = ["", "level", *names, title(context.reference)]
    return Table(heading, header, units, rows if any(row[2:-1] for row in rows) else [], [note])


def _rows(context: Context, other: str, said: tuple[str, str, str]) -> Iterator[list[Cell | str | None]]:
    results, metric = context.results, context.metric
    for kind, conditions in kinds(results).items():
        worst = conditions[-1]
        cells = [results.difference(name, other, worst, metric) for name in results.trained]
        if all(cell is None for cell in cells):
            continue
        own = results.difference(context.reference, other, worst, metric)
        yield [kind.replace("_", " "), worst.level, *cells, _side(own, metric, *said) if own else "–"]
