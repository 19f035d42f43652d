"""Stage: the figures of the protocols, as SVG, PDF and PNG, the same bytes for the same scores."""

from pathlib import Path

from pydantic import Field

from pipeline.core import artefacts, stage
from pipeline.core.registries.degradations import FAMILY
from pipeline.evaluation.results import Results
from pipeline.reporting.condition_bars import conditions
from pipeline.reporting.donor_bias import donor_bias
from pipeline.reporting.robustness import robustness
from pipeline.reporting.style import drawing, save
from pipeline.reporting.trade_curve import trade
from pipeline.reporting.unreliable_curves import curves
from pipeline.settings.base import Settings
from pipeline.settings.learnt import Learnt
from pipeline.settings.report import ReportSettings


class Params(Settings):
    """Settings of the figures stage."""

    report: ReportSettings = Field(ReportSettings(), description="Main metric and reference variant.")
    learnt: dict[str, Learnt] = Field({}, description="What each student has learnt from.")


def run(
    params: Params, *, scores: Path, comparisons: Path, facts: Path, folder: Path, shown: Path | None = None
) -> None:
    """Write `robustness`, `conditions`, where a channel can be swapped `donor_bias` and `trade`, and
    `unreliable` where degraded media were tested."""
    results = Results(artefacts.load_table(scores), artefacts.load_table(comparisons))
    metric = params.report.main(artefacts.load_json(facts, ["task"])["task"])
    with drawing(folder, shown) as target:
        save(robustness(results, metric), target, "robustness")
        save(conditions(results, metric), target, "conditions")
        if any(condition.swapped for condition in results.conditions):
            save(donor_bias(results), target, "donor_bias")
            save(trade(results, metric, params.learnt), target, "trade")
        if results.family(FAMILY):
            save(curves(results, metric, params.report.reference), target, "unreliable")


if __name__ == "__main__":
    stage.main(run, Params, inputs=("scores", "comparisons", "facts"), outputs=("folder", "shown?"))
