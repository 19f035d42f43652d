"""Stage: training curves: every loss term, what a network set by epoch, and every validation score."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from models.terms import TERMS
from pipeline.core import artefacts, stage
from pipeline.core.errors import PipelineError
from pipeline.evaluation.results import title
from pipeline.reporting.style import beside, drawing, looks, save
from pipeline.settings.base import Settings

NOT_TERMS = ("epoch", "selected", "validation")
# of the validation panel; the mean is what chooses the epoch
SCORES = {"val_complete": "#0072B2", "val_fixed": "#E69F00", "val_random": "#009E73", "validation": "#222222"}
COLUMNS = 4
# of what a network sets by epoch (models.network.Network.course)
COURSE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")


class Params(Settings):
    """The curves stage has no settings."""


def run(params: Params, *, histories: list[Path], folder: Path, shown: Path | None = None) -> None:
    """Write a figure for the teacher and each variant, and `validation`, which compares them.

    `histories` are `{fold}/teacher/{seed}/history.parquet` and `{fold}/student/{variant}/{seed}/…`; all
    folds and seeds are drawn as their mean and one standard deviation, of those that still ran in an epoch
    (`training.patience` stops early). Raises PipelineError if there is none, or if those of one variant hold
    other terms.
    """
    if not histories:
        raise PipelineError("--histories: no file was given. Train at least one network.")
    found: dict[str, list[pl.DataFrame]] = defaultdict(list)
    for path in histories:
        found[path.parents[1].name].append(artefacts.load_table(path))
    with drawing(folder, shown) as target:
        for name, tables in found.items():
            if len({tuple(table.columns) for table in tables}) > 1:
                raise PipelineError(
                    f"histories of {name!r}: their terms differ. Train all its seeds and folds "
                    "under the same settings."
                )
            save(terms(name, tables), target, name)
        save(validation(found), target, "validation")


def terms(name: str, tables: Sequence[pl.DataFrame]) -> Figure:
    """A panel for each loss term, one for what the network set by epoch if it did, one for the scores."""
    followed = [
        column for column in tables[0].columns if column not in NOT_TERMS and not column.startswith("val_")
    ]
    losses = [column for column in followed if column in TERMS]
    course = [column for column in followed if column not in TERMS]
    count = len(losses) + bool(course) + 1
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(2.7 * columns, 2.1 * rows + 0.7), squeeze=False, layout="constrained"
    )
    for axes in panels.flat[count:]:
        axes.set_axis_off()
    for axes, term in zip(panels.flat, losses, strict=False):
        _curve(axes, tables, term, color="#0072B2")
        axes.set_title(TERMS[term].title, fontsize=8)
        axes.set_ylim(bottom=0)
    if course:
        _course(panels.flat[len(losses)], tables, course)
    axes = panels.flat[count - 1]
    families = [column for column in tables[0].columns if column.startswith("val_")]
    for score, colour in SCORES.items():
        # the teacher is judged on complete views alone, so there the mean is the same curve
        if score in tables[0].columns and (score != "validation" or len(families) > 1):
            label = score.removeprefix("val_") if score != "validation" else "weighted mean"
            _curve(axes, tables, score, color=colour, label=label)
    selected = [table.filter(pl.col("selected"))["epoch"][0] for table in tables]
    marks = [table.filter(pl.col("selected"))["validation"][0] for table in tables]
    axes.plot(selected, marks, "*", color="#D55E00", markersize=7, label="epoch chosen", zorder=3)
    axes.set_title("validation score", fontsize=8)
    axes.legend(fontsize=6.5)
    for axes in panels[-1]:
        axes.set_xlabel("epoch")
    count = len(tables)
    band = f"; bands: ± 1 sd over {count} trainings" if count > 1 else ""
    figure.suptitle(f"{title(name)}: training, unweighted loss terms{band}", x=0.01, ha="left", fontsize=9)
    return figure


def _course(axes: Axes, tables: Sequence[pl.DataFrame], columns: Sequence[str]) -> None:
    for column, colour in zip(columns, itertools.cycle(COURSE)):
        _curve(axes, tables, column, color=colour, label=column.replace("_", " "))
    axes.set_ylim(bottom=0)
    axes.set_title("set by epoch", fontsize=8)
    axes.legend(fontsize=6.5)


def validation(found: dict[str, list[pl.DataFrame]]) -> Figure:
    """The score that chooses the epoch, of all networks."""
    figure, axes = plt.subplots(figsize=(7.4, 3.8), layout="constrained")
    for name, style in looks(list(found)).items():
        _curve(axes, found[name], "validation", color=style["color"], label=title(name))
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation score")
    axes.set_title("Score that chooses the epoch (the teacher's: complete views only)")
    beside(axes)
    return figure


def summary(tables: Sequence[pl.DataFrame], column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Epochs, and mean and standard deviation (0 of one) of the trainings that still ran in each."""
    values = pl.col(column).cast(pl.Float64)
    found = (
        pl.concat([table.select("epoch", values) for table in tables])
        .group_by("epoch")
        .agg(mean=pl.col(column).mean(), spread=pl.col(column).std().fill_null(0.0))
        .sort("epoch")
    )
    return found["epoch"].to_numpy(), found["mean"].to_numpy(), found["spread"].to_numpy()


def _curve(axes: Axes, tables: Sequence[pl.DataFrame], column: str, color: str, label: str = "") -> None:
    epochs, mean, spread = summary(tables, column)
    axes.plot(epochs, mean, color=color, linewidth=1.3, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if len(tables) > 1:
        axes.fill_between(epochs, mean - spread, mean + spread, color=color, alpha=0.15, linewidth=0)


if __name__ == "__main__":
    stage.main(run, Params, inputs=("histories*",), outputs=("folder", "shown?"))
