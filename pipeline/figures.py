"""Stage: the figures, as SVG and PNG, the same bytes for the same scores."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field

from pipeline import artefacts, stage
from pipeline.results import COMPLETE, MEANS, PLAIN, Results, title
from pipeline.scoring import RANDOM_MEAN
from pipeline.settings.base import Settings
from pipeline.settings.report import ReportSettings

# colours that colour-blind readers can tell apart (after Okabe and Ito); markers tell variants apart as well
COLOURS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"),
    *("#8C6D31", "#7F7F7F", "#5E3C99", "#9ACD32", "#00868B", "#B22222"),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h")
CEILING_STYLES = {"readable_ceiling": ("#222222", "--"), "cue_ceiling": ("#777777", ":")}
STYLE = {
    "svg.hashsalt": "figures",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
}
WHISKERS = "Target: 0, from either side. Whiskers: intervals by dialogue and seed"
CAPTION = "This project's own implementation; not the paper's numbers."


class Params(Settings):
    """Settings of the figures stage."""

    report: ReportSettings = Field(ReportSettings(), description="Main metric and reference variant.")


def run(params: Params, *, scores: Path, comparisons: Path, facts: Path, folder: Path) -> None:
    """Write every figure as `{name}.svg` and `{name}.png`."""
    results = Results(artefacts.load_table(scores), artefacts.load_table(comparisons))
    corpus = artefacts.load_json(facts)
    classes = corpus["task"] == "classification"
    metric = params.report.metric if classes else params.report.score_metric
    with matplotlib.rc_context(STYLE), artefacts.replacing_folder(folder) as target:
        figures = {
            "robustness": robustness(results, metric),
            "conditions": conditions(results, metric),
            "donor_bias": donor_bias(results),
        }
        if classes:
            figures["confusion"] = confusion(results, params.report.reference, corpus["labels"])
        for name, figure in figures.items():
            save(figure, target, name)


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write one figure twice, without date or version of the writer."""
    figure.savefig(folder / f"{name}.svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    figure.savefig(folder / f"{name}.png", bbox_inches="tight", dpi=150, metadata={"Software": None})
    plt.close(figure)


def look(results: Results) -> dict[str, dict]:
    """Colour and marker of each trained variant, the same in every figure."""
    return {
        name: {
            "color": COLOURS[place % len(COLOURS)],
            "marker": MARKERS[(place + place // len(COLOURS)) % len(MARKERS)],
        }
        for place, name in enumerate(results.trained)
    }


def scale(metric: str) -> tuple[float, str]:
    """Factor and axis label of a metric: shares in percent."""
    name = metric.replace("_", " ")
    return (1.0, name) if metric in PLAIN else (100.0, f"{name} (%)")


def robustness(results: Results, metric: str) -> Figure:
    """Score over the realised missing rate, with bands of one standard deviation over seeds."""
    figure, axes = plt.subplots(figsize=(7.6, 4.2), layout="constrained")
    factor, label = scale(metric)
    names = [COMPLETE, *results.family("random/")]
    rates = [results.missing_rate(name) for name in names]
    order = np.argsort(rates, kind="stable")
    rates = np.array(rates)[order]
    for variant, style in look(results).items():
        cells = [results.cell(variant, names[place], metric) for place in order]
        mean = np.array([cell.mean for cell in cells]) * factor
        spread = np.array([cell.sd or 0.0 for cell in cells]) * factor
        axes.plot(rates, mean, label=title(variant), markersize=4, linewidth=1.4, **style)
        axes.fill_between(rates, mean - spread, mean + spread, color=style["color"], alpha=0.12, linewidth=0)
    for variant, (colour, dashes) in CEILING_STYLES.items():
        if variant in results.ceilings:
            mean = [results.cell(variant, names[place], metric).mean * factor for place in order]
            axes.plot(rates, mean, dashes, color=colour, label=title(variant), linewidth=1.4)
    if "majority" in results.trivial:
        floor = results.cell("majority", COMPLETE, metric).mean * factor
        axes.axhline(floor, color="#999999", linewidth=1, linestyle="-.", label="majority")
    axes.set_xlabel("realised missing rate (masked slots / slots that are there)")
    axes.set_ylabel(label)
    axes.set_title("P3: random missing. Bands: ± 1 sd over seeds", fontsize=9, loc="left")
    beside(axes)
    figure.supxlabel(CAPTION, fontsize=6.5, color="#666666", x=0.01, ha="left")
    return figure


def conditions(results: Results, metric: str) -> Figure:
    """Bars for every condition of P1 and P2 and for the random mean, with their intervals."""
    factor, label = scale(metric)
    names = [COMPLETE, *results.family("fixed/"), RANDOM_MEAN]
    style = look(results)
    figure, axes = plt.subplots(figsize=(max(7.6, 1.2 * len(names)), 4.0), layout="constrained")
    width = 0.84 / max(len(style), 1)
    for number, (variant, own) in enumerate(style.items()):
        cells = [results.cell(variant, name, metric) for name in names]
        place = np.arange(len(names)) + (number - (len(style) - 1) / 2) * width
        mean = np.array([cell.mean for cell in cells]) * factor
        bounds = np.array([(cell.low, cell.high) for cell in cells], dtype=float).T * factor
        errors = np.clip(np.stack([mean - bounds[0], bounds[1] - mean]), 0, None)
        axes.bar(place, mean, width * 0.92, color=own["color"], label=title(variant), hatch=_hatch(number))
        axes.errorbar(place, mean, errors, fmt="none", ecolor="#333333", elinewidth=0.7)
    for variant, (colour, dashes) in CEILING_STYLES.items():
        if variant in results.ceilings:
            level = [results.cell(variant, name, metric).mean * factor for name in names]
            left = np.arange(len(names)) - 0.45
            axes.hlines(level, left, left + 0.9, color=colour, linestyle=dashes, label=title(variant))
    axes.set_xticks(range(len(names)), [MEANS.get(name) or _subset(name) for name in names])
    axes.set_ylabel(label)
    axes.grid(axis="x", visible=False)
    axes.set_title(
        "P1, P2 and the mean of P3. Whiskers: intervals by dialogue and seed", fontsize=9, loc="left"
    )
    beside(axes)
    figure.supxlabel(CAPTION, fontsize=6.5, color="#666666", x=0.01, ha="left")
    return figure


def donor_bias(results: Results) -> Figure:
    """Donor-label bias around its target 0, one panel a swap, with both controls."""
    kinds = {"different": ("o", True), "same": ("s", False), "shuffled": ("^", False)}
    rows = [*results.trained, *(name for name in CEILING_STYLES if name in results.ceilings)]
    swaps = {"a": "sound swapped", "v": "picture swapped", "av": "both swapped"}
    height = 1.3 + 0.34 * len(rows)
    figure, panels = plt.subplots(1, 3, figsize=(9.6, height), sharey=True, sharex=True, layout="constrained")
    styles = look(results)
    for axes, (letters, heading) in zip(panels, swaps.items(), strict=True):
        for offset, (kind, (marker, filled)) in zip((-0.2, 0.0, 0.2), kinds.items(), strict=True):
            for row, variant in enumerate(rows):
                cell = results.cell(variant, f"conflict/{letters}/{kind}", "donor_bias")
                if cell is None:
                    continue
                colour = styles[variant]["color"] if variant in styles else CEILING_STYLES[variant][0]
                mean, low, high = (100 * value for value in (cell.mean, cell.low, cell.high))
                axes.hlines(row + offset, low, high, color=colour, linewidth=1)
                face = colour if filled else "white"
                axes.plot(mean, row + offset, marker, color=colour, markerfacecolor=face, markersize=4.5)
        axes.axvline(0, color="#222222", linewidth=0.8)
        axes.set_title(heading, fontsize=9, loc="left")
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("donor-label bias (points)")
    panels[0].set_yticks(range(len(rows)), [title(name) for name in rows])
    panels[0].invert_yaxis()
    handles = [
        plt.Line2D(
            [], [], linestyle="", marker=m, color="#333333", markerfacecolor="#333333" if f else "white"
        )
        for m, f in kinds.values()
    ]
    names = ["different-label donors", "same-label donors (control)", "shuffled (control)"]
    figure.legend(handles, names, loc="outside upper center", ncols=3, title=WHISKERS, title_fontsize=8)
    figure.supxlabel(CAPTION, fontsize=6.5, color="#666666", x=0.01, ha="left")
    return figure


def confusion(results: Results, variant: str, labels: list[str]) -> Figure:
    """Row-normalised confusion of the reference variant: complete, fixed mean, random mean."""
    size = 0.42 * len(labels) + 1.4
    figure, panels = plt.subplots(1, 3, figsize=(3 * size, size + 0.4), sharey=True, layout="constrained")
    image = None
    for axes, (condition, heading) in zip(panels, MEANS.items(), strict=True):
        counts = results.confusion(variant, condition, len(labels))
        total = counts.sum(axis=1, keepdims=True)
        share = 100 * np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
        image = axes.imshow(share, vmin=0, vmax=100, cmap="Blues")
        for (i, j), value in np.ndenumerate(share):
            colour = "white" if value > 55 else "#222222"
            axes.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=7, color=colour)
        axes.set_title(heading, fontsize=9)
        axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor")
        axes.grid(visible=False)
        axes.set_xlabel("predicted")
    panels[0].set_yticks(range(len(labels)), labels)
    panels[0].set_ylabel("true")
    figure.colorbar(image, ax=panels, label="share of the true class (%)", shrink=0.8)
    figure.suptitle(f"{title(variant)}, mean over seeds", fontsize=9)
    figure.supxlabel(CAPTION, fontsize=6.5, color="#666666", x=0.01, ha="left")
    return figure


def beside(axes: Axes) -> None:
    """The legend to the right of the plot, where it covers nothing."""
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)


def _subset(condition: str) -> str:
    """A fixed subset as a tick label: "only t", "a + v"."""
    letters = condition.removeprefix("fixed/")
    return f"only {letters}" if len(letters) == 1 else " + ".join(letters)


def _hatch(number: int) -> str | None:
    """Colours repeat after a round; hatching tells the second from the first."""
    return "///" if number >= len(COLOURS) else None


if __name__ == "__main__":
    stage.main(run, Params, inputs=("scores", "comparisons", "facts"), outputs=("folder",))
