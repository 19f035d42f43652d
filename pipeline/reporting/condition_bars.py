"""P1, P2 and the mean of P3 as bars."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from models.conditions import FIXED_MEAN, RANDOM_MEAN
from pipeline.evaluation.results import COMPLETE, Results, title
from pipeline.reporting.style import CEILING_STYLES, beside, hatch, heading, looks
from pipeline.reporting.units import scale


def conditions(results: Results, metric: str) -> Figure:
    """Bars for every condition of P1 and P2 and for both means, with their intervals."""
    factor, label = scale(metric)
    names = [COMPLETE, *results.family("fixed/"), FIXED_MEAN, RANDOM_MEAN]
    names = [name for name in names if name in results.conditions]
    style = looks(results.trained)
    width = max(8.6, len(names) * (0.5 + 0.13 * len(style)))
    figure, axes = plt.subplots(figsize=(width, 4.0), layout="constrained")
    bar = 0.84 / max(len(style), 1)
    for number, (variant, own) in enumerate(style.items()):
        cells = [results.cell(variant, name, metric) for name in names]
        place = np.arange(len(names)) + (number - (len(style) - 1) / 2) * bar
        mean = np.array([cell.mean for cell in cells]) * factor
        bounds = np.array([(cell.low, cell.high) for cell in cells], dtype=float).T * factor
        errors = np.clip(np.stack([mean - bounds[0], bounds[1] - mean]), 0, None)
        axes.bar(place, mean, bar * 0.92, color=own["color"], label=title(variant), hatch=hatch(number))
        axes.errorbar(place, mean, errors, fmt="none", ecolor="#333333", elinewidth=0.7)
    for variant, (colour, dashes) in CEILING_STYLES.items():
        if variant in results.ceilings:
            level = [results.cell(variant, name, metric).mean * factor for name in names]
            left = np.arange(len(names)) - 0.45
            axes.hlines(level, left, left + 0.9, color=colour, linestyle=dashes, label=title(variant))
    axes.set_xticks(range(len(names)), [heading(name, "\n+ ").replace(" mean", "\nmean") for name in names])
    axes.set_ylabel(label)
    axes.grid(axis="x", visible=False)
    axes.set_title("P1, P2 and the means: what is shown. Whiskers: intervals by dialogue and seed")
    beside(axes)
    return figure
