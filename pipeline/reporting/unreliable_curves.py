"""P5 as a figure: the score over the levels of each kind of degradation."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from models.conditions import COMPLETE
from pipeline.core.registries.degradations import DEGRADATIONS
from pipeline.evaluation.degraded import missing
from pipeline.evaluation.results import Results, title
from pipeline.reporting.robustness import bands
from pipeline.reporting.style import looks
from pipeline.reporting.units import scale
from pipeline.reporting.unreliable_tables import kinds

COLUMNS = 4
# what the levels of a scale are
LEVELS = {"snr": "dB", "heard": "dB", "strengths": "strength", "errors": "word error rate", "shifts": "s"}


def curves(results: Results, metric: str, reference: str) -> Figure:
    """A panel a kind: the complete view, then the levels from the mildest on, a line a variant.

    Dashed: the reference variant with the degraded channel missing, where a view shows that.
    """
    factor, label = scale(metric)
    by_kind = kinds(results)
    columns = min(COLUMNS, len(by_kind))
    rows = -(-len(by_kind) // columns)
    figure, panels = plt.subplots(
        rows,
        columns,
        figsize=(2.7 * columns + 1.8, 2.3 * rows + 0.7),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    styles = looks(results.trained)
    for axes in panels.flat[len(by_kind) :]:
        axes.set_axis_off()
    for axes, (kind, conditions) in zip(panels.flat, by_kind.items(), strict=False):
        place = np.arange(len(conditions) + 1)
        for variant, style in styles.items():
            cells = [results.score(variant, name, metric) for name in (COMPLETE, *conditions)]
            mean = np.array([cell.mean for cell in cells]) * factor
            spread = np.array([cell.sd or 0.0 for cell in cells]) * factor
            axes.plot(place, mean, label=title(variant), markersize=3.5, linewidth=1.2, **style)
            axes.fill_between(
                place, mean - spread, mean + spread, color=style["color"], alpha=0.15, linewidth=0
            )
        without = results.cell(reference, missing(conditions[0]), metric)
        if without is not None:
            own = styles.get(reference, {}).get("color", "#222222")
            axes.axhline(without.mean * factor, color=own, linestyle="--", linewidth=0.9)
        axes.set_xticks(place, ["none", *(name.level for name in conditions)])
        axes.set_title(f"{kind.replace('_', ' ')} ({LEVELS[DEGRADATIONS[kind].scale]})", fontsize=8)
    for line in panels:
        line[0].set_ylabel(label)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=7)
    figure.suptitle(
        f"P5: score by kind and level. Dashed: {title(reference)} without that channel. {bands(results)}",
        x=0.01,
        ha="left",
        fontsize=8,
    )
    return figure
