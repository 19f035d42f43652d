"""The tables of the protocols P1 to P4: one row a variant, one column a condition."""

from models.conditions import DONOR_KINDS, Condition
from models.modalities import CHANNELS
from pipeline.evaluation.families import headlines
from pipeline.evaluation.protocol import Protocol
from pipeline.evaluation.protocols.conflict import MAIN
from pipeline.evaluation.results import Cell, ordered
from pipeline.reporting.markup import Table
from pipeline.reporting.summary import Context


def main_table(context: Context) -> Table:
    """P1, P2 mean, P3 mean and P4 with both channels swapped, beside the oracle and the regret."""
    results, metric = context.results, context.metric
    means = headlines()
    extra = list(means) if results.oracle else []

    def cells(variant: str) -> list[Cell | None]:
        conflict = [results.cell(variant, MAIN, m) for m in ("accuracy", "donor_bias")]
        oracle = [results.cell(variant, condition, metric, "oracle") for condition in extra]
        return [*(results.cell(variant, condition, metric) for condition in means), *conflict, *oracle]

    notes = [
        "Conflict: sound and picture come from a donor utterance with another label; the donor-label bias is "
        "P(prediction = donor's label) under conflict minus the same on the clean view, and its target is 0.",
        "Ceilings: exact inference with every shown cue (cue) or with calibrated posteriors of these "
        "features (readable).",
    ]
    if extra:
        notes.append(
            "ORACLE: the epoch is chosen on the test split; it shows what that choice buys and is no result."
        )
    header = ["", *means.values(), "conflict accuracy", "donor-label bias"]
    header += [f"ORACLE: {means[condition]}" for condition in extra]
    units = ["", *[metric] * len(means), "accuracy", "donor_bias", *[metric] * len(extra)]
    return Table("Missing protocol", header, units, context.rows(cells, ordered(results)), notes)


def condition_table(context: Context, protocol: Protocol, heading: str) -> Table:
    """Every condition of one family, and their mean."""
    results, metric = context.results, context.metric
    members = results.family(protocol.family)
    conditions = [*members, Condition(protocol.family).mean]
    heads = [*(protocol.column(condition, results.missing_rate(condition)) for condition in members), "mean"]

    def cells(variant: str) -> list[Cell | None]:
        return [results.cell(variant, condition, metric) for condition in conditions]

    units = ["", *[metric] * len(conditions)]
    return Table(heading, ["", *heads], units, context.rows(cells, ordered(results)), [])


def conflict_table(context: Context) -> Table:
    """P4 with donors of another label."""
    results = context.results
    names = ordered(results, results.ceilings)
    metrics = ("accuracy", "donor_rate", "clean_donor_rate", "donor_bias")
    pairs = [(letters, metric) for letters in CHANNELS for metric in metrics]

    def cells(variant: str) -> list[Cell | None]:
        return [results.cell(variant, Condition.conflict(letters, MAIN.kind), m) for letters, m in pairs]

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
    pairs = [(letters, kind) for letters in CHANNELS for kind in DONOR_KINDS]

    def cells(variant: str) -> list[Cell | None]:
        found = (Condition.conflict(letters, kind) for letters, kind in pairs)
        return [results.cell(variant, condition, "donor_bias") for condition in found]

    notes = [
        "same: donors with the target's own label, so the bias is the change of accuracy. shuffled: any "
        "donor, and the rate of an unrelated utterance's label: what changed predictions bring by chance."
    ]
    header = ["", *(f"{letters}: {kind}" for letters, kind in pairs)]
    names = ordered(results, results.ceilings)
    units = ["", *["donor_bias"] * len(pairs)]
    return Table("P4: donor-label bias and its controls", header, units, context.rows(cells, names), notes)
