"""Stage: one table over several runs, in the shape that papers print: methods x corpora x conditions."""

from pathlib import Path

import polars as pl
from pydantic import Field

from pipeline.core import artefacts, stage
from pipeline.core.errors import PipelineError
from pipeline.core.filling import filling
from pipeline.evaluation.families import headlines
from pipeline.evaluation.results import Cell, Results, ordered, title
from pipeline.reporting.markup import Table, write
from pipeline.reporting.summary import OWN
from pipeline.settings.base import Settings
from pipeline.settings.report import ReportSettings


class Params(Settings):
    """Settings of the across stage."""

    report: ReportSettings = Field(ReportSettings(), description="Main metrics and reference variant.")


def run(params: Params, *, scores: list[Path], comparisons: list[Path], folder: Path) -> None:
    """Write `across.md` and `across.csv` from `runs/{run}/results/scores.parquet` of several runs.

    Raises PipelineError if no run is given or the two lists do not belong together.
    """
    if not scores or [path.parent for path in scores] != [path.parent for path in comparisons]:
        raise PipelineError(
            "--scores and --comparisons: give both files of every run, in the same order "
            "(runs/RUN/results/scores.parquet and runs/RUN/results/comparisons.parquet)."
        )
    runs = {
        path.parents[1].name: Results(artefacts.load_table(path), artefacts.load_table(other))
        for path, other in zip(scores, comparisons, strict=True)
    }
    table = across_table(params, runs)
    seeds = "; ".join(f"{name}: seeds {', '.join(map(str, one.seeds))}" for name, one in runs.items())
    marks = sorted({note for one in runs.values() for note in one.notes})
    with filling(folder) as target:
        write(target, "across", table, [*marks, f"Mean ± standard deviation over seeds. {seeds}.", OWN])


def across_table(params: Params, runs: dict[str, Results]) -> Table:
    """Rows: every variant of any run; columns: each run under the headline conditions."""
    names = list(dict.fromkeys(name for one in runs.values() for name in ordered(one)))
    metrics = {name: main_metric(params.report, one) for name, one in runs.items()}
    rows = []
    for variant in names:
        row: list[Cell | str | None] = [
            f"**{title(variant)}**" if variant == params.report.reference else title(variant)
        ]
        for name, one in runs.items():
            for condition in headlines():
                cell = one.cell(variant, condition, metrics[name])
                row.append(Cell(cell.mean, cell.sd) if cell else None)
        rows.append(row)
    header = ["", *(f"{name}: {condition}" for name in runs for condition in headlines().values())]
    units = ["", *(metrics[name] for name in runs for _ in headlines())]
    notes = [
        "Metric: " + ", ".join(f"{name} {metric}" for name, metric in metrics.items()) + ".",
        "The majority row shows what a corpus gives for nothing.",
    ]
    return Table("Methods across corpora", header, units, rows, notes)


def main_metric(report: ReportSettings, results: Results) -> str:
    """The main metric of a run: regression runs have no class metric."""
    tested: pl.Series = results.comparisons["metric"]
    return report.metric if report.metric in tested else report.score_metric


if __name__ == "__main__":
    stage.main(run, Params, inputs=("scores*", "comparisons*"), outputs=("folder",))
