"""P1, P2 and the mean of P3 as bars."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from models.conditions import Condition
from pipeline.evaluation.families import heading, registered
from pipeline.evaluation.results import Results, title
from pipeline.reporting.style import CEILING_STYLES, beside, hatch, looks
from pipeline.reporting.units import scale


def barred(results: Results) -> list[Condition]:
    """The conditions with a bar: of each family its members, unless a curve has them, and its mean."""
    names = []
    for protocol in registered():
        names += results.family(protocol.family) if protocol.bars else []
        names.append(Condition(protocol.family).mean)
    return [name for name in dict.fromkeys(names) if name in results.conditions and not name.swapped]


def conditions(results: Results, metric: str) -> Figure:
    """Bars for every condition of P1 and P2 and for both means, with their intervals."""
    factor, label = scale(metric)
    names = barred(results)
    style = looks(results.trained)
    width = max(8.6, len(names) * (0.5 + 0.13 * len(style)))
    figure, axes = plt.subplots(figsize=(width, 4.0), layout="constrained")
    bar = 0.84 / max(len(style), 1)
    for number, (variant, own) in enumerate(style.items()):
        cells = [results.score(variant, name, metric) for name in names]
        place = np.arange(len(names)) + (number - (len(style) - 1) / 2) * bar
        mean = np.array([cell.mean for cell in cells]) * factor
        bounds = np.array([(cell.low, cell.high) for cell in cells], np.float64).T * factor
        errors = np.clip(np.stack([mean - bounds[0], bounds[1] - mean]), 0, None)
        axes.bar(place, mean, bar * 0.92, color=own["color"], label=title(variant), hatch=hatch(number))
        axes.errorbar(place, mean, errors, fmt="none", ecolor="#333333", elinewidth=0.7)
    for variant, (colour, dashes) in CEILING_STYLES.items():
        if variant in results.ceilings:
            # a ceiling may know nothing of a further family
            found = [(place, results.cell(variant, name, metric)) for place, name in enumerate(names)]
            level = [cell.mean * factor for _, cell in found if cell]
            left = np.array([place for place, cell in found if cell]) - 0.45
            axes.hlines(level, left, left + 0.9, color=colour, linestyle=dashes, label=title(variant))
    axes.set_xticks(range(len(names)), [heading(name, "\n+ ").replace(" mean", "\nmean") for name in names])
    axes.set_ylabel(label)
    axes.grid(axis="x", visible=False)
    axes.set_title("P1, P2 and the means: what is shown. Whiskers: intervals by dialogue and seed")
    beside(axes)
    return figure
