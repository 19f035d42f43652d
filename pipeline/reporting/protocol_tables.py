"""The tables of the protocols P1 to P4: one row a variant, one column a condition."""

from collections.abc import Iterator

from models.conditions import FIXED_MEAN, RANDOM_MEAN
from pipeline.evaluation.results import MEANS, Cell, ordered
from pipeline.reporting.markup import Table, number
from pipeline.reporting.summary import Context

LETTERS = ("a", "v", "av")


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
