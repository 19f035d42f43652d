"""P4 as a figure: the donor-label bias with its controls."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from models.conditions import COMPLETE, Condition
from pipeline.evaluation.protocols.conflict import SWAPPED
from pipeline.evaluation.results import Results, title
from pipeline.reporting.style import CEILING_STYLES, DARK, looks

# marker, whether it is filled, and what it is called where there are labels and where there are scores
KINDS = {
    "different": ("o", True, "donors with another label", "donors with a distant score"),
    "same": ("s", False, "donors with the same label (control)", "donors with a near score (control)"),
    "shuffled": (
        *("^", False),
        *("any donor, unrelated label (control)", "any donor, unrelated score (control)"),
    ),
}


def donor_bias(results: Results) -> Figure:
    """Donor-label bias (of scores: of their sign) around its target 0, a panel a swap, with both controls."""
    rows = [*results.trained, *(name for name in CEILING_STYLES if name in results.ceilings)]
    regression = any(results.cell(name, COMPLETE, "mae") for name in rows)
    height = 1.4 + 0.36 * len(rows)
    figure, panels = plt.subplots(1, 3, figsize=(9.6, height), sharey=True, sharex=True, layout="constrained")
    styles = looks(results.trained)
    for axes, (letters, heading) in zip(panels, SWAPPED.items(), strict=True):
        for offset, (kind, (marker, filled, *_)) in zip((-0.22, 0.0, 0.22), KINDS.items(), strict=True):
            for row, variant in enumerate(rows):
                cell = results.cell(variant, Condition.conflict(letters, kind), "donor_bias")
                if cell is None:
                    continue
                colour = styles[variant]["color"] if variant in styles else CEILING_STYLES[variant][0]
                if cell.low is not None and cell.high is not None:
                    axes.hlines(row + offset, 100 * cell.low, 100 * cell.high, color=colour, linewidth=1)
                face = colour if filled else "white"
                axes.plot(
                    100 * cell.mean, row + offset, marker, color=colour, markerfacecolor=face, markersize=4.2
                )
        axes.axvline(0, color=DARK, linewidth=0.8, zorder=0.5)
        axes.set_title(heading)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(f"donor-label bias{' of the sign' if regression else ''} (points)")
    panels[0].set_yticks(range(len(rows)), [title(name) for name in rows])
    panels[0].invert_yaxis()
    handles = [
        plt.Line2D(
            [], [], linestyle="", marker=m, color="#333333", markerfacecolor="#333333" if f else "white"
        )
        for m, f, *_ in KINDS.values()
    ]
    figure.legend(
        handles,
        [names[regression] for _, _, *names in KINDS.values()],
        loc="outside upper center",
        ncols=3,
        title="P4: pull of a conflicting sound or picture. Target: 0, from either side. "
        "Whiskers: intervals by dialogue and seed",
        title_fontsize=8.5,
    )
    return figure
