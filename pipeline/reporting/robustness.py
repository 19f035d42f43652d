"""P3 as a figure: the score over the missing rate."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.conditions import COMPLETE
from pipeline.evaluation.metrics import METRICS
from pipeline.evaluation.results import Cell, Results, title
from pipeline.reporting.style import CEILING_STYLES, DARK, looks
from pipeline.reporting.units import scale

BASE = "teacher"


def robustness(results: Results, metric: str) -> Figure:
    """Score over the realised missing rate, and the gain over the zero-filled teacher.

    Bands and whiskers: one standard deviation over seeds; of the gain, over the differences seed by seed.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.2, 4.0), layout="constrained")
    factor, label = scale(metric)
    names = [COMPLETE, *results.family("random")]
    names.sort(key=results.missing_rate)
    rates = np.array([results.missing_rate(name) for name in names])
    gains: dict[str, np.ndarray] = {}
    styles = looks(results.trained)
    for variant, style in styles.items():
        cells = [results.score(variant, name, metric) for name in names]
        _band(left, rates, cells, factor, label=title(variant), **style)
        found = [gain for name in names if (gain := results.gain(variant, BASE, name, metric))]
        if variant != BASE and len(found) == len(names):
            spread = [np.nan if gain.sd is None else gain.sd for gain in found]
            gains[variant] = factor * np.array([[gain.mean for gain in found], spread])
    beyond = far_off({variant: mean for variant, (mean, _) in gains.items()})
    drawn = [name for name in gains if name not in beyond]
    for place, variant in enumerate(drawn):
        beside = 0.006 * (place - (len(drawn) - 1) / 2)
        _whiskers(right, rates + beside, *gains[variant], **styles[variant])
    if beyond:
        told = (f"{title(name)}: {min(gains[name][0]):+.3g} to {max(gains[name][0]):+.3g}" for name in beyond)
        right.text(0.02, 0.02, "off the scale: " + ", ".join(told), transform=right.transAxes, fontsize=7)
    for variant, (colour, dashes) in CEILING_STYLES.items():
        if variant in results.ceilings:
            mean = [results.score(variant, name, metric).mean * factor for name in names]
            left.plot(rates, mean, dashes, color=colour, label=title(variant), linewidth=1.4)
    note = ""
    if "majority" in results.trivial:
        floor = results.score("majority", COMPLETE, metric).mean * factor
        # of a regression it is the mean training score
        trivial = "majority class" if METRICS[metric].task == "classification" else "mean training score"
        note = f" ({trivial}: {floor:.{1 if factor == 100 else 3}f})"
    left.set_ylabel(label)
    left.set_title(f"P3: score with slots missing at random{note}")
    right.axhline(0, color=DARK, linewidth=0.8)
    if not METRICS[metric].rising:
        right.set_ylabel(f"change of {label}")
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


def far_off(gains: dict[str, np.ndarray]) -> list[str]:
    """Variants that lie beyond all others by more than the range of those: they would flatten the picture."""
    beyond = []
    for variant, mean in gains.items():
        others = [value for name, value in gains.items() if name != variant]
        if len(others) > 1:
            low, high = np.min(others), np.max(others)
            if max(low - mean.max(), mean.min() - high) > high - low:
                beyond.append(variant)
    return beyond


def _whiskers(axes: Axes, rates: np.ndarray, mean: np.ndarray, spread: np.ndarray, **style: Any) -> None:
    """Points with whiskers, unless the spread is NaN (one seed); `rates` a little apart for each variant."""
    whiskers = None if np.isnan(spread).any() else spread
    axes.errorbar(rates, mean, whiskers, markersize=4, linewidth=1.2, **style)


def _band(
    axes: Axes, rates: np.ndarray, cells: list[Cell], factor: float, *, label: str, **style: Any
) -> None:
    mean = np.array([cell.mean for cell in cells]) * factor
    spread = np.array([cell.sd or 0.0 for cell in cells]) * factor
    axes.plot(rates, mean, label=label, markersize=4, linewidth=1.4, **style)
    axes.fill_between(rates, mean - spread, mean + spread, color=style["color"], alpha=0.15, linewidth=0)
