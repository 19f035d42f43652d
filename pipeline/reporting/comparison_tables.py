"""Tables beside the protocols': oracle epochs, regret, comparisons, all metrics, the F1 of each class."""

from models.conditions import COMPLETE, Condition
from pipeline.evaluation.families import headlines, of, registered
from pipeline.evaluation.metrics import of_task
from pipeline.evaluation.results import UNTAUGHT, Cell, Results, ordered, title
from pipeline.reporting.markup import Table, number
from pipeline.reporting.summary import Context
from pipeline.reporting.units import shown

BAR = "product_chain"  # what every network has to beat


def oracle_table(context: Context) -> Table:
    """The honest epoch beside the best test epoch."""
    results, metric = context.results, context.metric

    def cells(variant: str) -> list[Cell | None]:
        found = []
        for condition in headlines():
            honest = results.cell(variant, condition, metric)
            oracle = results.cell(variant, condition, metric, "oracle")
            gain = Cell(oracle.mean - honest.mean) if honest and oracle else None
            found += [honest, oracle, gain]
        return found

    header = [
        "",
        *(f"{name}: {what}" for name in headlines().values() for what in ("honest", "oracle", "gain")),
    ]
    notes = [
        "ORACLE: the epoch is chosen on the test split. It shows what such a choice buys and is no result."
    ]
    rows = context.rows(cells, results.trained) if results.oracle else []
    units = ["", *[metric] * (len(header) - 1)]
    return Table("Oracle epochs, for comparison only", header, units, rows, notes)


def regret_table(context: Context) -> Table:
    """Distance of each trained variant to the readable ceiling, condition by condition."""
    results, metric = context.results, context.metric
    conditions = _unswapped(results)

    def cells(variant: str) -> list[Cell | None]:
        return [results.regret(variant, condition, metric) for condition in conditions]

    notes = [
        "Score minus the readable ceiling's, with its paired interval. The ceiling is best in expectation."
    ]
    header = ["", *(headlines().get(condition, str(condition)) for condition in conditions)]
    units = ["", *[metric] * len(conditions)]
    heading = "Regret to the readable ceiling"
    return Table(heading, header, units, context.rows(cells, results.trained), notes)


def bar_table(context: Context) -> Table:
    """Every trained variant against the product of unimodal posteriors under a chain of labels."""
    results, metric = context.results, context.metric
    conditions = _unswapped(results)

    def cells(variant: str) -> list[Cell | None]:
        return [results.difference(variant, BAR, condition, metric) for condition in conditions]

    notes = [
        f"Score minus that of {title(BAR)}, which has no network, with its paired interval, outside the "
        "family of comparisons that Holm's correction counts."
    ]
    header = ["", *(headlines().get(name, str(name)) for name in conditions)]
    units = ["", *[metric] * len(conditions)]
    rows = context.rows(cells, results.trained) if BAR in results.simple else []
    return Table(f"Gain over {title(BAR)}", header, units, rows, notes)


def distillation_table(context: Context) -> Table:
    """Every variant that compares with a teacher against the students that have none, family by family."""
    results, metric = context.results, context.metric
    names = [Condition(protocol.family) for protocol in registered()]
    conditions = [c for name in names for c in (*results.family(name.family), name.mean) if _alone(c)]
    conditions = [c for c in dict.fromkeys(conditions) if c in results.conditions]
    taught = [name for name in results.trained if name in context.learnt and context.learnt[name].taught]

    def cells(variant: str) -> list[Cell | None]:
        return [results.difference(variant, UNTAUGHT, condition, metric) for condition in conditions]

    notes = [
        f"Score minus that of {title(UNTAUGHT)}, whose students have no teacher, with "
        "its paired interval, outside the family of comparisons that Holm's correction counts."
    ]
    header = ["", *(headlines().get(name, str(name)) for name in conditions)]
    units = ["", *[metric] * len(conditions)]
    return Table("What distillation buys", header, units, context.rows(cells, taught), notes)


def _unswapped(results: Results) -> list[Condition]:
    """The headline conditions, then every single one in which nothing is swapped."""
    others = [c for c in results.conditions if c != COMPLETE and not c.is_mean and _alone(c)]
    return [*headlines(), *others]


def _alone(condition: Condition) -> bool:
    """Whether a condition has a column: nothing is swapped, and its family is small, or it is the mean."""
    return not condition.swapped and (condition.is_mean or not of(condition).many)


def comparisons_table(context: Context) -> Table:
    """The reference variant against each other one."""
    rows = []
    for row in context.results.tests().iter_rows(named=True):
        gap = Cell(row["difference"], None, row["low"], row["high"])
        verdict = "yes" if row["p_holm"] < 1 - context.level else "no"
        rows.append(
            [
                title(row["other"]),
                headlines()[Condition.parse(row["condition"])],
                row["metric"],
                shown(gap, row["metric"]),
                number(row["p"], 4),
                number(row["p_holm"], 4),
                verdict,
            ]
        )
    header = ["against", "condition", "metric", "difference", "p", "p (Holm)", "differs"]
    notes = [
        f"Difference: {title(context.reference)} minus the other; Holm over all rows of a metric. "
        f"`differs`: corrected p below {1 - context.level:.2g}."
    ]
    return Table(f"Comparisons of {title(context.reference)}", header, [""] * len(header), rows, notes)


def metrics_table(context: Context) -> Table:
    """Every metric under the three headline conditions."""
    results = context.results
    metrics = of_task("regression" if context.regression else "classification")
    pairs = [(condition, metric) for condition in headlines() for metric in metrics]

    def cells(variant: str) -> list[Cell | None]:
        return [results.cell(variant, condition, metric) for condition, metric in pairs]

    notes = ["; ".join(row.words for row in metrics.values() if row.words) + "."]
    if context.regression:
        notes[0] += " The majority row is the mean training score."
    header = ["", *(f"{headlines()[condition]}: {metric}" for condition, metric in pairs)]
    units = ["", *(metric for _, metric in pairs)]
    return Table("All metrics", header, units, context.rows(cells, ordered(results)), notes)


def classes_table(context: Context, condition: Condition) -> Table:
    """F1 of each class."""
    results = context.results

    def cells(variant: str) -> list[Cell | None]:
        return [results.cell(variant, condition, f"f1/{label}") for label in context.labels]

    heading, header = f"F1 of each class, {headlines()[condition]}", ["", *context.labels]
    units = ["", *["f1"] * len(context.labels)]
    return Table(heading, header, units, context.rows(cells, ordered(results)), [])
