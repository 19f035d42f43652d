"""Stage: the states of teacher and students as scatter plots, and how near students keep to the teacher."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from models.conditions import Condition
from pipeline.core import artefacts, stage
from pipeline.core.errors import PipelineError
from pipeline.evaluation.families import heading, lines
from pipeline.evaluation.results import title
from pipeline.reporting.style import COLOURS, DARK, beside, drawing, looks, save
from pipeline.settings.base import Settings

BASE = "teacher"
# a neutral or unlabelled utterance steps back; the rest are COLOURS
BEHIND = "#BBBBBB"


class Params(Settings):
    """The projection stage has no settings."""


def run(
    params: Params, *, dataset: Path, states: Path, facts: Path, folder: Path, shown: Path | None = None
) -> None:
    """Write a figure for each student beside the teacher, and `anchoring`.

    Raises PipelineError if the states are those of another dataset.
    """
    found = artefacts.load_table(states)
    told = artefacts.load_json(dataset / "facts.json", ["task", "labels"])
    made = artefacts.load_json(facts)
    column = "label" if told["task"] == "classification" else "score"
    truth = artefacts.load_table(dataset / "utterances.parquet", ["row", column])
    joined = found.join(truth, on="row", how="left", maintain_order="left")
    if not found["row"].is_in(truth["row"].implode()).all():
        raise PipelineError(f"{states}: holds rows that the dataset lacks. Rerun the states stage.")
    share = 100 * sum(made["explained"])
    note = (
        f"fold {dataset.parent.name}, seed {made['seed']}; the plane explains {share:.0f} % of the variance"
    )
    names = found["variant"].unique(maintain_order=True).to_list()
    with drawing(folder, shown) as target:
        for variant in names:
            if variant != BASE or len(names) == 1:
                save(scatter(joined, variant, told["labels"], note), target, variant)
        save(anchoring(found, names), target, "anchoring")


def scatter(table: pl.DataFrame, variant: str, labels: Sequence[str], note: str) -> Figure:
    """Rows: teacher and student under P1 and P2, then both under P3, and so on; columns: conditions."""
    who = list(dict.fromkeys((BASE, variant)))
    rows = [(name, family) for family in lines(conditions_of(table)) for name in who]
    wide = max(len(family) for _, family in rows)
    figure, panels = plt.subplots(
        len(rows),
        wide,
        figsize=(1.55 * wide + 1.2, 1.65 * len(rows) + 0.9),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    part = table.filter(pl.col("variant").is_in(who))
    parts = part.partition_by("variant", "condition", as_dict=True)
    limits = [np.quantile(part[name], (0.002, 0.998)) for name in ("x", "y")]
    image = None
    for line, (name, family) in zip(panels, rows, strict=True):
        for axes, condition in zip(line, [*family, *[None] * (wide - len(family))], strict=True):
            if condition is None:
                axes.set_axis_off()
                continue
            image = _points(axes, parts[name, str(condition)], labels)
            axes.set_title(heading(condition), fontsize=7.5)
            axes.tick_params(labelbottom=False, labelleft=False, length=0)
        line[0].set_ylabel(title(name), fontsize=8.5)
    panels[0, 0].set_xlim(_wider(limits[0]))
    panels[0, 0].set_ylim(_wider(limits[1]))
    if labels:
        handles = [
            plt.Line2D([], [], linestyle="", marker="o", color=colour, label=label)
            for label, colour in zip(labels, class_colours(labels), strict=True)
        ]
        figure.legend(handles=handles, loc="outside right upper", title="true label", title_fontsize=8)
    elif image is not None:
        figure.colorbar(image, ax=panels, label="true score", shrink=0.5)
    figure.suptitle(
        f"States z of the test utterances, on the teacher's own plane (PCA of its complete views); {note}",
        x=0.01,
        ha="left",
        fontsize=9,
    )
    return figure


def class_colours(labels: Sequence[str]) -> list[str]:
    """A colour a class; `neutral` is grey."""
    colours = iter(COLOURS * (len(labels) // len(COLOURS) + 1))
    return [BEHIND if label == "neutral" else next(colours) for label in labels]


def _points(axes: Axes, table: pl.DataFrame, labels: Sequence[str]) -> PathCollection | None:
    x, y = table["x"].to_numpy(), table["y"].to_numpy()
    style: dict[str, Any] = {"s": 5, "linewidths": 0, "alpha": 0.6, "rasterized": True}
    axes.axhline(0, color=DARK, linewidth=0.3)
    axes.axvline(0, color=DARK, linewidth=0.3)
    axes.grid(visible=False)
    if not labels:
        return axes.scatter(x, y, c=table["score"].to_numpy(), cmap="coolwarm", vmin=-3, vmax=3, **style)
    label = table["label"].fill_null(-1).to_numpy()
    palette = np.array([*class_colours(labels), BEHIND])
    axes.scatter(x, y, c=palette[label], **style)
    for place, colour in enumerate(class_colours(labels)):
        if (label == place).any():
            centre = x[label == place].mean(), y[label == place].mean()
            axes.plot(*centre, "o", color=colour, markersize=5, markeredgecolor=DARK, markeredgewidth=0.6)
    return None


def _wider(limits: np.ndarray) -> tuple[float, float]:
    edge = 0.08 * (limits[1] - limits[0])
    return limits[0] - edge, limits[1] + edge


def conditions_of(table: pl.DataFrame) -> list[Condition]:
    """The conditions of the states, in their order."""
    return [Condition.parse(name) for name in table["condition"].unique(maintain_order=True)]


def anchoring(table: pl.DataFrame, names: Sequence[str]) -> Figure:
    """Mean cosine of each network's states to the teacher's complete-view states, by condition."""
    conditions = conditions_of(table)
    figure, axes = plt.subplots(figsize=(0.6 * len(conditions) + 3.2, 3.6), layout="constrained")
    mean = table.group_by("variant", "condition").agg(pl.col("cosine").mean())
    values = {(row[0], row[1]): row[2] for row in mean.iter_rows()}
    for name, style in looks(names).items():
        heights = [values[name, str(condition)] for condition in conditions]
        axes.plot(heights, linewidth=1.2, markersize=4.5, label=title(name), **style)
    ticks = [heading(name) for name in conditions]
    axes.set_xticks(range(len(conditions)), ticks, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_ylabel("mean cosine")
    axes.set_title("How near states keep to the teacher's under the complete view (what CSA asks for)")
    beside(axes)
    return figure


if __name__ == "__main__":
    stage.main(run, Params, inputs=("dataset", "states", "facts"), outputs=("folder", "shown?"))
