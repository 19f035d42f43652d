"""Stage: reliability diagrams, how often an answer is right against the probability it was given."""

from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.core import stage
from pipeline.core.errors import PipelineError
from pipeline.evaluation import calibration, families
from pipeline.evaluation.answers import Answers, Truth, load_answers, load_truth
from pipeline.evaluation.results import title
from pipeline.reporting.style import DARK, drawing, looks, save
from pipeline.settings.base import Settings

COLUMNS = 6  # most panels in a row
FEWEST = 5  # predictions in a bin that is drawn


class Params(Settings):
    """The reliability stage has no settings."""


def run(
    params: Params,
    *,
    dataset: list[Path],
    conflicts: list[Path],
    predictions: list[Path],
    folder: Path,
    shown: Path | None = None,
) -> None:
    """Write a figure for each family of views, `complete` and so on, a panel a variant; and `bins.csv`."""
    truth = load_truth(dataset, conflicts)
    bins: dict[str, dict[str, list]] = {}
    for answers in load_answers(predictions, truth):
        if answers.checkpoint == "selected":
            bins = bins or {condition.family: defaultdict(list) for condition in answers.clean}
            for family, by_variant in bins.items():
                by_variant[answers.variant].append(binned(answers, truth, family))
    classification = truth.task == "classification"
    tables = []
    with drawing(folder, shown) as target:
        for family, by_variant in bins.items():
            save(diagrams(by_variant, families.together(family), classification), target, family)
            for variant, seeds in by_variant.items():
                tables.append(bin_table(family, variant, np.mean(seeds, axis=0)))
        pl.concat(tables).write_csv(target / "bins.csv", float_precision=5)


def binned(answers: Answers, truth: Truth, family: str) -> np.ndarray:
    """Count, sum of confidence and right answers (3, bins) over the conditions and draws of a family.

    Regression: count, sum of the predicted and of the true scores.
    """
    known = truth.known
    found = []
    for name, values in answers.clean.items():
        if name.family != family:
            continue
        for draw in values:
            if truth.task == "classification":
                found.append(calibration.reliability(truth.value[known].astype(int), draw[known]))
            else:
                found.append(calibration.score_reliability(truth.value[known], draw[known, 0]))
    if not found:
        raise PipelineError(
            f"predictions of {answers.variant!r}: no condition of the family {family!r}. Evaluate it again."
        )
    return np.sum(found, axis=0).astype(float)


def bin_table(family: str, variant: str, bins: np.ndarray) -> pl.DataFrame:
    """One row a bin: `family`, `variant`, `bin`, `count`, `confidence`, `accuracy` (means over seeds)."""
    count, confidence, right = bins
    some = np.where(count > 0, count, np.nan)
    return pl.DataFrame(
        {
            "family": [family] * len(count),
            "variant": [variant] * len(count),
            "bin": np.arange(len(count)),
            "count": count,
            "confidence": confidence / some,
            "accuracy": right / some,
        }
    ).fill_nan(None)


def diagrams(by_variant: dict[str, list[np.ndarray]], views: str, classification: bool) -> Figure:
    """One panel a variant: the curve with its band over seeds, the diagonal, and where predictions lie."""
    rows = -(-len(by_variant) // COLUMNS)
    columns = -(-len(by_variant) // rows)
    figure, panels = plt.subplots(
        rows,
        columns,
        figsize=(2.3 * columns + 0.5, 2.5 * rows + 0.8),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    styles = looks(list(by_variant))
    for axes in panels.flat[len(by_variant) :]:
        axes.set_axis_off()
    for axes, (variant, seeds) in zip(panels.flat, by_variant.items(), strict=False):
        _panel(axes, np.stack(seeds), classification, styles[variant])
        axes.set_title(f"{title(variant)}: {_error(np.stack(seeds), classification)}", fontsize=8)
    x, y = ("confidence", "accuracy") if classification else ("predicted score", "mean true score")
    figure.supylabel(f"{y} (%)" if classification else y, fontsize=9)
    # the bottom line of the page is taken by the note that every figure has
    for axes in panels[-1]:
        axes.set_xlabel(f"{x} (%)" if classification else x)
    for axes in panels.flat:
        axes.tick_params(labelbottom=True)
    count = len(next(iter(by_variant.values())))
    what = "Reliability" if classification else "Predicted against true scores"
    bars = "grey bars: share of the predictions (%)" if classification else "no bars"
    band = f"bands: ± 1 sd over {count} seeds; " if count > 1 else ""
    figure.suptitle(f"{what}, {views}; {band}{bars}", x=0.01, ha="left", fontsize=9)
    return figure


def _panel(axes: Axes, bins: np.ndarray, classification: bool, style: dict) -> None:
    """`bins` (seeds, 3, bins)."""
    count, confidence, right = bins.transpose(1, 0, 2)
    factor = 100 if classification else 1
    shown = (count >= FEWEST).all(axis=0)
    x = factor * (confidence[:, shown] / count[:, shown]).mean(axis=0)
    values = factor * right[:, shown] / count[:, shown]
    spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(len(x))
    if classification:
        share = 100 * (count / count.sum(axis=1, keepdims=True)).mean(axis=0)
        edges = np.linspace(0, 100, len(share) + 1)
        axes.bar(edges[:-1], share, np.diff(edges), align="edge", color="#DDDDDD", edgecolor="white")
    low, high = (0, 100) if classification else (-3, 3)
    axes.plot([low, high], [low, high], color=DARK, linewidth=0.8, linestyle="--")
    axes.plot(x, values.mean(axis=0), linewidth=1.4, markersize=4, **style)
    axes.fill_between(
        x,
        values.mean(axis=0) - spread,
        values.mean(axis=0) + spread,
        color=style["color"],
        alpha=0.2,
        linewidth=0,
    )
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")


def _error(bins: np.ndarray, classification: bool) -> str:
    count, confidence, right = bins.transpose(1, 0, 2)
    error = (np.abs(right - confidence).sum(axis=1) / count.sum(axis=1)).mean()
    return f"ECE {100 * error:.1f} %" if classification else f"mean gap {error:.2f}"


if __name__ == "__main__":
    stage.main(run, Params, inputs=("dataset*", "conflicts*", "predictions*"), outputs=("folder", "shown?"))
