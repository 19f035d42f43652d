"""Stage: the tables that people read, as Markdown, HTML, LaTeX and CSV, and a summary for the terminal."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field

from models.conditions import FIXED_MEAN, RANDOM_MEAN
from pipeline.core import artefacts, stage
from pipeline.evaluation.results import MEANS, Cell, Results, ordered, shown, title
from pipeline.reporting.absence_table import absences_table
from pipeline.reporting.corpus_table import census_table
from pipeline.reporting.markup import Table, number, write
from pipeline.reporting.summary import OWN, Context, few_seeds, summary
from pipeline.settings.base import Settings
from pipeline.settings.report import ReportSettings

LETTERS = ("a", "v", "av")


class Params(Settings):
    """Settings of the tables stage."""

    report: ReportSettings = Field(ReportSettings(), description="Main metric and reference variant.")
    run: str = Field("run", description="Name of the run, for the headings.")
    generator: str = Field("", description="Digest of the corpus generator's settings; empty if it has none.")


def run(
    params: Params,
    *,
    scores: Path,
    comparisons: Path,
    facts: Path,
    dataset: list[Path],
    masks: list[Path],
    manifest: Path,
    folder: Path,
) -> None:
    """Write `{name}.md`, `.html`, `.tex` and `.csv` for every table, and `summary.txt`."""
    results = Results(artefacts.load_table(scores), artefacts.load_table(comparisons))
    corpus = artefacts.load_json(facts)
    classes = corpus["task"] == "classification"
    context = Context(
        results,
        params.report.metric if classes else params.report.score_metric,
        tuple(corpus["labels"]) if classes else (),
        params.report.reference,
        params.report.level,
    )
    digests = [artefacts.load_metadata(path)["digest"][:12] for path in masks]
    footer = footers(context, params, corpus["corpus"], digests)
    with artefacts.replacing_folder(folder) as target:
        tables = [
            *every_table(context),
            ("corpus", census_table(manifest, dataset)),
            ("absences", absences_table(dataset)),
        ]
        made = [(name, table) for name, table in tables if table.rows]
        for name, table in made:
            write(target, name, table, footer)
        artefacts.save_text(target / "summary.txt", summary(context, params.run, [name for name, _ in made]))


def footers(context: Context, params: Params, corpus: str, digests: Sequence[str]) -> list[str]:
    """The lines under every table."""
    results = context.results
    realised = ", ".join(
        f"{name.removeprefix('random/')}: {results.missing_rate(name):.3f}"
        for name in results.family("random/")
    )
    few = few_seeds(results)
    generator = f" Generator settings {params.generator[:12]}." if params.generator else ""
    return [
        f"Run {params.run}, corpus {corpus}, folds {', '.join(results.folds)}, "
        f"seeds {', '.join(map(str, results.seeds))}.{generator} Masks {', '.join(digests)}.",
        f"Metric where none is named: {context.metric}. Shares are in percent: mean ± standard deviation "
        f"over seeds, [{params.report.level:.0%} interval of a paired bootstrap over dialogues and seeds, "
        f"{params.report.resamples} resamples].",
        f"Natural absence on the test split: {results.absence:.3f} of the slots. Realised missing rate by "
        f"nominal rate, over the slots that are really there: {realised}.",
        *([few] if few else []),
        OWN,
    ]


def every_table(context: Context) -> Iterator[tuple[str, Table]]:
    """All tables by file name; one without rows is not written."""
    yield "main", main_table(context)
    yield "fixed", condition_table(context, "P2: fixed missing (the letters that are shown)", "fixed/")
    yield "random", condition_table(context, "P3: random missing (realised missing rate)", "random/")
    yield "conflict", conflict_table(context)
    yield "conflict_controls", controls_table(context)
    yield "oracle", oracle_table(context)
    yield "regret", regret_table(context)
    yield "comparisons", comparisons_table(context)
    yield "metrics", metrics_table(context)
    for condition, name in MEANS.items():
        yield f"classes_{name.replace(' ', '_')}", classes_table(context, condition)


def main_table(context: Context) -> Table:
    """P1, P2 mean, P3 mean and P4 with both channels swapped, beside the oracle and the regret."""
    results, metric = context.results, context.metric
    extra = list(MEANS) if results.oracle else []

    def cells(variant: str) -> list[Cell | None]:
        conflict = [results.cell(variant, "conflict/av/different", m) for m in ("accuracy", "donor_bias")]
        oracle = [results.cell(variant, condition, metric, "oracle") for condition in extra]
        return [*(results.cell(variant, condition, metric) for condition in MEANS), *conflict, *oracle]

    notes = [
        "Conflict: sound and picture come from a donor utterance with another label; the donor-label bias is "
        "P(prediction = donor's label) under conflict minus the same on the clean view, and its target is 0.",
        "Ceilings: exact inference with every shown cue (cue) or with calibrated posteriors of these "
        "features (readable). ORACLE: the epoch is chosen on the test split; it shows what that choice buys "
        "and is no result.",
    ]
    header = ["", *MEANS.values(), "conflict accuracy", "donor-label bias"]
    header += [f"ORACLE: {MEANS[condition]}" for condition in extra]
    units = ["", *[metric] * len(MEANS), "accuracy", "donor_bias", *[metric] * len(extra)]
    return Table("Missing protocol", header, units, context.rows(cells, ordered(results)), notes)


def condition_table(context: Context, heading: str, prefix: str) -> Table:
    """Every condition of one family, and their mean."""
    results, metric = context.results, context.metric
    mean = FIXED_MEAN if prefix == "fixed/" else RANDOM_MEAN
    conditions = [*results.family(prefix), mean]

    def heads() -> Iterator[str]:
        for name in conditions[:-1]:
            rate = results.missing_rate(name)
            label = name.removeprefix(prefix)
            yield label if prefix == "fixed/" else number(rate, 2)
        yield "mean"

    def cells(variant: str) -> list[Cell | None]:
        return [results.cell(variant, condition, metric) for condition in conditions]

    units = ["", *[metric] * len(conditions)]
    return Table(heading, ["", *heads()], units, context.rows(cells, ordered(results)), [])


def conflict_table(context: Context) -> Table:
    """P4 with donors of another label."""
    results = context.results
    names = ordered(results, results.ceilings)
    metrics = ("accuracy", "donor_rate", "clean_donor_rate", "donor_bias")
    pairs = [(letters, metric) for letters in LETTERS for metric in metrics]

    def cells(variant: str) -> list[Cell | None]:
        return [results.cell(variant, f"conflict/{letters}/different", m) for letters, m in pairs]

    notes = ["Letters: the channels that are swapped. Donors are test utterances of another dialogue."]
    if len(context.labels) == 2 or context.regression:
        notes.append("With two classes the donor-label bias is only the accuracy drop under conflict.")
    if context.regression:
        notes.append("Accuracy is by sign: negative against positive, true scores of 0 left out.")
    header = ["", *(f"{letters}: {metric.replace('_', ' ')}" for letters, metric in pairs)]
    units = ["", *(metric for _, metric in pairs)]
    heading = "P4: conflict, donors with another label"
    return Table(heading, header, units, context.rows(cells, names), notes)


def controls_table(context: Context) -> Table:
    """Donor-label bias with its controls."""
    results = context.results
    kinds = ("different", "same", "shuffled")
    pairs = [(letters, kind) for letters in LETTERS for kind in kinds]

    def cells(variant: str) -> list[Cell | None]:
        return [results.cell(variant, f"conflict/{letters}/{kind}", "donor_bias") for letters, kind in pairs]

    notes = [
        "same: donors with the target's own label, so the bias is the change of accuracy. shuffled: any "
        "donor, and the rate of an unrelated utterance's label: what changed predictions bring by chance."
    ]
    header = ["", *(f"{letters}: {kind}" for letters, kind in pairs)]
    names = ordered(results, results.ceilings)
    units = ["", *["donor_bias"] * len(pairs)]
    return Table("P4: donor-label bias and its controls", header, units, context.rows(cells, names), notes)


def oracle_table(context: Context) -> Table:
    """The honest epoch beside the best test epoch."""
    results, metric = context.results, context.metric

    def cells(variant: str) -> list[Cell | None]:
        found = []
        for condition in MEANS:
            honest = results.cell(variant, condition, metric)
            oracle = results.cell(variant, condition, metric, "oracle")
            gain = Cell(oracle.mean - honest.mean) if honest and oracle else None
            found += [honest, oracle, gain]
        return found

    header = ["", *(f"{name}: {what}" for name in MEANS.values() for what in ("honest", "oracle", "gain"))]
    notes = [
        "ORACLE: the epoch is chosen on the test split. It shows what such a choice buys and is no result."
    ]
    rows = context.rows(cells, results.trained) if results.oracle else []
    units = ["", *[metric] * (len(header) - 1)]
    return Table("Oracle epochs, for comparison only", header, units, rows, notes)


def regret_table(context: Context) -> Table:
    """Distance of each trained variant to the readable ceiling, condition by condition."""
    results, metric = context.results, context.metric
    conditions = [*MEANS, *results.family("fixed/"), *results.family("random/")]

    def cells(variant: str) -> list[Cell | None]:
        return [results.regret(variant, condition, metric) for condition in conditions]

    notes = [
        "Score minus the readable ceiling's, with its paired interval. The ceiling is best in expectation."
    ]
    header = ["", *(MEANS.get(name, name) for name in conditions)]
    units = ["", *[metric] * len(conditions)]
    heading = "Regret to the readable ceiling"
    return Table(heading, header, units, context.rows(cells, results.trained), notes)


def comparisons_table(context: Context) -> Table:
    """The reference variant against each other one."""
    rows = []
    for row in context.results.tests().iter_rows(named=True):
        gap = Cell(row["difference"], None, row["low"], row["high"])
        verdict = "yes" if row["p_holm"] < 1 - context.level else "no"
        rows.append(
            [
                title(row["other"]),
                MEANS[row["condition"]],
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
    metrics = ("accuracy", "balanced_accuracy", "weighted_f1", "macro_f1", "ece")
    if context.regression:
        metrics = ("acc2_nonneg", "f1_nonneg", "acc2_pos", "f1_pos", "acc7", "mae", "pearson")
    pairs = [(condition, metric) for condition in MEANS for metric in metrics]

    def cells(variant: str) -> list[Cell | None]:
        return [results.cell(variant, condition, metric) for condition, metric in pairs]

    notes = ["accuracy is also called WA, balanced accuracy UA; ece: expected calibration error, 15 bins."]
    if context.regression:
        notes = [
            "nonneg: negative against non-negative, all utterances; pos: negative against positive, true "
            "zeros left out. acc7 rounds half away from zero. The majority row is the mean training score."
        ]
    header = ["", *(f"{MEANS[condition]}: {metric}" for condition, metric in pairs)]
    units = ["", *(metric for _, metric in pairs)]
    return Table("All metrics", header, units, context.rows(cells, ordered(results)), notes)


def classes_table(context: Context, condition: str) -> Table:
    """F1 of each class."""
    results = context.results

    def cells(variant: str) -> list[Cell | None]:
        return [results.cell(variant, condition, f"f1/{label}") for label in context.labels]

    heading, header = f"F1 of each class, {MEANS[condition]}", ["", *context.labels]
    units = ["", *["f1"] * len(context.labels)]
    return Table(heading, header, units, context.rows(cells, ordered(results)), [])


if __name__ == "__main__":
    stage.main(
        run,
        Params,
        inputs=("scores", "comparisons", "facts", "dataset*", "masks*", "manifest"),
        outputs=("folder",),
    )
