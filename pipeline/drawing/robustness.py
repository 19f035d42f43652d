"""P3 as a figure: the score over the missing rate."""

from typing import get_args

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.drawing.style import CEILING_STYLES, DARK, looks, scale
from pipeline.results import COMPLETE, Results, title
from pipeline.settings.report import ClassMetric

BASE = "teacher"


def robustness(results: Results, metric: str) -> Figure:
    """Score over the realised missing rate, and the gain over the zero-filled teacher.

    Bands and whiskers: one standard deviation over seeds; of the gain, over the differences seed by seed.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.2, 4.0), layout="constrained")
    factor, label = scale(metric)
    names = [COMPLETE, *results.family("random/")]
    names.sort(key=results.missing_rate)
    rates = np.array([results.missing_rate(name) for name in names])
    for variant, style in looks(results.trained).items():
        cells = [results.cell(variant, name, metric) for name in names]
        _band(left, rates, cells, factor, label=title(variant), **style)
        gains = [results.gain(variant, BASE, name, metric) for name in names]
        if variant != BASE and all(gain is not None for gain in gains):
            _whiskers(right, rates, gains, factor, len(right.containers), **style)
    for variant, (colour, dashes) in CEILING_STYLES.items():
        if variant in results.ceilings:
            mean = [results.cell(variant, name, metric).mean * factor for name in names]
            left.plot(rates, mean, dashes, color=colour, label=title(variant), linewidth=1.4)
    note = ""
    if "majority" in results.trivial:
        floor = results.cell("majority", COMPLETE, metric).mean * factor
        # of a regression it is the mean training score
        trivial = "majority class" if metric in get_args(ClassMetric) else "mean training score"
        note = f" ({trivial}: {floor:.{1 if factor == 100 else 3}f})"
    left.set_ylabel(label)
    left.set_title(f"P3: score with slots missing at random{note}")
    right.axhline(0, color=DARK, linewidth=0.8)
    if metric == "mae":
        right.set_ylabel("change of mae")
        right.set_title("Change against the zero-filled teacher (below 0 is better)")
    else:
        right.set_ylabel("gain (points)" if factor == 100 else f"gain in {label}")
        right.set_title("Gain over the zero-filled teacher")
    for axes in (left, right):
        axes.set_xlabel("realised missing rate (masked slots / slots that are there)")
    handles, labels = left.get_legend_handles_labels()
    right.legend(handles, labels, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    figure.suptitle(f"{bands(results)}", x=0.01, ha="left", fontsize=8)
    return figure


def bands(results: Results) -> str:
    """What the bands mean in this run."""
    count = len(results.seeds)
    if count < 2:
        return "One training seed: no bands."
    return f"Lines: mean over {count} training seeds. Bands and whiskers: ± 1 standard deviation over seeds."


def _whiskers(axes: Axes, rates: np.ndarray, cells: list, factor: float, place: int, **style) -> None:
    """Points a little beside their rate, so that the whiskers of several variants can be told apart."""
    mean = np.array([cell.mean for cell in cells]) * factor
    spread = None if cells[0].sd is None else np.array([cell.sd for cell in cells]) * factor
    axes.errorbar(rates + 0.006 * (place - 1), mean, spread, markersize=4, linewidth=1.2, **style)


def _band(axes: Axes, rates: np.ndarray, cells: list, factor: float, *, label: str, **style) -> None:
    mean = np.array([cell.mean for cell in cells]) * factor
    spread = np.array([cell.sd or 0.0 for cell in cells]) * factor
    axes.plot(rates, mean, label=label, markersize=4, linewidth=1.4, **style)
    axes.fill_between(rates, mean - spread, mean + spread, color=style["color"], alpha=0.15, linewidth=0)
