"""P4 against P1 as a figure: what the weight of NCE trades between donor-label bias and complete view."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from models.conditions import COMPLETE
from pipeline.evaluation.metrics import METRICS
from pipeline.evaluation.protocols.conflict import MEAN
from pipeline.evaluation.results import Cell, Results, title
from pipeline.reporting.style import CEILING_STYLES, DARK, GREY, beside, looks
from pipeline.reporting.units import scale
from pipeline.settings.learnt import Learnt

CEILING = "readable_ceiling"


def trade(results: Results, metric: str, learnt: Mapping[str, Learnt]) -> Figure:
    """A point a variant; a line by weight through those that differ from CoRe-KD in that of NCE alone."""
    factor, label = scale(metric)
    figure, axes = plt.subplots(figsize=(8.6, 4.6), layout="constrained")
    styles = {name: {"markersize": 5.5, **own} for name, own in looks(results.trained).items()}
    if CEILING in results.ceilings:
        styles[CEILING] = {"color": CEILING_STYLES[CEILING][0], "marker": "*", "markersize": 11}
    places = {}
    for name, style in styles.items():
        bias = results.cell(name, MEAN, "donor_bias")
        score = results.cell(name, COMPLETE, metric)
        if bias and score:
            places[name] = (100 * bias.mean, factor * score.mean)
            spread = (_whisker(bias, 100), _whisker(score, factor))
            axes.errorbar(*places[name], spread[1], spread[0], linestyle="", elinewidth=0.7, **style)
            axes.plot([], [], linestyle="", label=title(name), **style)
    line = weighed(learnt, places)
    if len(line) > 1:
        axes.plot(*zip(*(places[name] for name in line), strict=True), color=DARK, linewidth=1, zorder=1.5)
        for name in line:
            text = learnt[name].weight
            axes.annotate(text, places[name], (5, 5), textcoords="offset points", fontsize=7.5, color=GREY)
    axes.axvline(0, color=DARK, linewidth=0.8, zorder=0.5)
    sign = "" if METRICS[metric].task == "classification" else " of the sign"
    axes.set_xlabel(f"donor-label bias{sign}, donors with another label, mean over the swaps (points)")
    axes.set_ylabel(f"{label}, complete view{'' if METRICS[metric].rising else ' (less is better)'}")
    joined = ". Line: CoRe-KD by the weight of NCE" if len(line) > 1 else ""
    axes.set_title(f"What exposure to conflict trades{joined}. Whiskers: intervals by dialogue and seed")
    beside(axes)
    return figure


def weighed(learnt: Mapping[str, Learnt], shown: Mapping[str, object]) -> list[str]:
    """The variants shown that differ from CoRe-KD in the weight of NCE alone, in order of it."""
    names = [name for name, own in learnt.items() if own.only_nce and name in shown]
    return sorted(names, key=lambda name: learnt[name].mean)


def _whisker(cell: Cell, factor: float) -> np.ndarray | None:
    """Distances (2, 1) of the interval's bounds; None where there is none."""
    if cell.low is None or cell.high is None:
        return None
    return factor * np.clip([[cell.mean - cell.low], [cell.high - cell.mean]], 0, None)
