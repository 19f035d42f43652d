"""What exposure to conflict buys and costs: the donor-label bias beside the complete view."""

from models.conditions import COMPLETE, Condition
from models.modalities import CHANNELS
from pipeline.evaluation.protocols.conflict import MAIN, MEAN
from pipeline.evaluation.results import Cell
from pipeline.reporting.markup import Table
from pipeline.reporting.summary import Context

CEILING = "readable_ceiling"


def trade_table(context: Context) -> Table:
    """Every trained variant and the readable ceiling; no rows where no channel can be swapped."""
    results, metric = context.results, context.metric
    swaps = [Condition.conflict(letters, MAIN.kind) for letters in CHANNELS]
    swaps = [condition for condition in swaps if condition in results.conditions]
    views = [(COMPLETE, metric), *((condition, "donor_bias") for condition in (*swaps, MEAN))]

    def cells(variant: str) -> list[Cell | str | None]:
        own = context.learnt.get(variant)
        weight = own.weight if own else None
        return [weight, *(results.cell(variant, *view) for view in views)]

    ceiling = [name for name in results.ceilings if name == CEILING]
    notes = ["Donor-label bias, donors with another label, by the channels that are swapped, and their mean."]
    if context.regression:
        notes.append("Of scores the sign stands for the label, and the donors have a distant score.")
    if ceiling:
        notes.append(
            "A perfect reader that is not told of the swap has a bias, too: the readable ceiling's own. "
            "Below it the complete view pays."
        )
    heads = [f"bias: {condition.swapped or 'mean'}" for condition in (*swaps, MEAN)]
    header = ["", "weight of NCE", "complete", *heads]
    units = ["", "", *(unit for _, unit in views)]
    rows = context.rows(cells, [*results.trained, *ceiling]) if swaps else []
    return Table("Donor-label bias against the complete view", header, units, rows, notes)
