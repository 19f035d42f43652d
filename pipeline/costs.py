"""Stage: what every stage of a run cost, from the benchmark files that Snakemake wrote."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.figure import Figure
from pydantic import Field

from pipeline.core import stage
from pipeline.core.errors import PipelineError
from pipeline.reporting.markup import Table, number, write
from pipeline.reporting.style import COLOURS, drawing, save
from pipeline.settings.base import Settings

# Snakemake's columns -> ours; memory is in MB (2^20 bytes) there, and "-" where a job was too short to sample
COLUMNS = {"s": "seconds", "cpu_time": "cpu_seconds", "max_rss": "peak_mb"}
# not of the run's results: this stage itself, and what people ask for beside them
BESIDE = ("costs", "annotate", "search", "tuned", "payoff")


class Params(Settings):
    """Settings of the costs stage."""

    run: str = Field("run", description="Name of the run, for the headings.")


def run(params: Params, *, benchmarks: Path, folder: Path, shown: Path | None = None) -> None:
    """Write the table `costs`, the figure `time_and_memory` and one row a job in `jobs.csv`.

    `benchmarks` is the run's folder of benchmark files, `{stage}.tsv` or `{stage}/{job}.tsv`.
    """
    jobs = read_jobs(benchmarks)
    stages = by_stage(jobs)
    with drawing(folder, shown) as target:
        jobs.write_csv(target / "jobs.csv", float_precision=2)
        write(target, "costs", costs_table(stages, params.run), [])
        save(bars(stages, params.run), target, "time_and_memory")


def read_jobs(folder: Path) -> pl.DataFrame:
    """One row a job: `stage`, `job`, `seconds`, `cpu_seconds`, `peak_mb` (null where not sampled).

    Annotating and searching are left out. Raises PipelineError if there is no benchmark file or one cannot be
    read.
    """
    rows = []
    for path in sorted(folder.rglob("*.tsv")):
        parts = path.relative_to(folder).with_suffix("").parts
        if parts[0] in BESIDE:
            continue
        try:
            table = pl.read_csv(path, separator="\t", infer_schema=False)
            # the last row: a job that was repeated has one for each time
            row = table.select(
                pl.col(old).cast(pl.Float64, strict=False).alias(new) for old, new in COLUMNS.items()
            ).row(-1, named=True)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise PipelineError(
                f"{path}: is no benchmark file of Snakemake ({error}). Delete it and rerun its stage."
            ) from error
        rows.append({"stage": parts[0], "job": "/".join(parts[1:]), **row})
    if not rows:
        raise PipelineError(f"{folder}: holds no benchmark file. Run the pipeline with Snakemake.")
    schema = {"stage": pl.String, "job": pl.String, **dict.fromkeys(COLUMNS.values(), pl.Float64)}
    return pl.DataFrame(rows, schema=schema)


def by_stage(jobs: pl.DataFrame) -> pl.DataFrame:
    """One row a stage, dearest first: `jobs`, sums of `seconds` and `cpu_seconds`, `longest`, `peak_mb`."""
    return (
        jobs.group_by("stage")
        .agg(
            jobs=pl.len(),
            longest=pl.col("seconds").max(),
            seconds=pl.col("seconds").sum(),
            cpu_seconds=pl.col("cpu_seconds").sum(),
            peak_mb=pl.col("peak_mb").max(),
        )
        .sort(["seconds", "stage"], descending=[True, False])
    )


def costs_table(stages: pl.DataFrame, name: str) -> Table:
    """The stages and their sum."""

    def cells(row: dict) -> list[str]:
        peak = "–" if row["peak_mb"] is None else number(row["peak_mb"], 0)
        times = (number(row[key], 1) for key in ("seconds", "longest", "cpu_seconds"))
        return [row["stage"], str(row["jobs"]), *times, peak]

    total = {
        "stage": "**all**",
        **{key: stages[key].sum() for key in ("jobs", "seconds", "cpu_seconds")},
        **{key: stages[key].max() for key in ("longest", "peak_mb")},
    }
    header = ["stage", "jobs", "time (s)", "longest job (s)", "CPU time (s)", "peak memory (MB)"]
    notes = [
        "Time: seconds that the jobs took, added up; jobs run side by side, so a run takes less. Peak "
        "memory: resident set of the largest job, with its children. From the files in benchmarks/.",
    ]
    rows = [cells(row) for row in [*stages.iter_rows(named=True), total]]
    return Table(f"Cost of every stage of the run {name}", header, [""] * len(header), rows, notes)


def bars(stages: pl.DataFrame, name: str) -> Figure:
    """Time and peak memory of every stage."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9.2, 0.24 * stages.height + 1.2), sharey=True, layout="constrained"
    )
    rows = np.arange(stages.height)
    left.barh(rows - 0.2, stages["seconds"], 0.38, color=COLOURS[0], label="all jobs")
    left.barh(rows + 0.2, stages["longest"], 0.38, color=COLOURS[4], label="longest job")
    left.set_xscale("log")
    left.set_xlabel("time (s, logarithmic)")
    left.set_yticks(rows, [f"{stage} ({jobs})" for stage, jobs in stages.select("stage", "jobs").iter_rows()])
    left.invert_yaxis()
    left.set_title(f"Run {name}: time of every stage (jobs)")
    left.legend(loc="lower right")
    right.barh(rows, stages["peak_mb"].fill_null(0), 0.6, color=COLOURS[2])
    right.set_xlabel("peak memory of a job (MB)")
    right.set_title("Peak memory")
    for axes in (left, right):
        axes.grid(axis="y", visible=False)
        axes.margins(y=0.02)
    return figure


if __name__ == "__main__":
    stage.main(run, Params, inputs=("benchmarks",), outputs=("folder", "shown?"))
