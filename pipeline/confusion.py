"""Stage: confusion matrices of every variant under every condition, as figures and as one CSV."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from models.conditions import Condition
from pipeline.core import artefacts, stage
from pipeline.core.spreadsheets import as_csv
from pipeline.evaluation import agreement
from pipeline.evaluation.answers import Answers, Truth, load_answers, load_truth
from pipeline.evaluation.families import heading, lines
from pipeline.evaluation.protocols.conflict import MAIN
from pipeline.evaluation.results import title
from pipeline.reporting.style import DARK, drawing, save
from pipeline.settings.base import Settings

SEVEN = tuple(f"{value:+d}" if value else "0" for value in range(-3, 4))
Counts = dict[Condition, np.ndarray]  # (C, C), rows true


class Params(Settings):
    """The confusion stage has no settings."""


def run(
    params: Params,
    *,
    dataset: list[Path],
    conflicts: list[Path],
    predictions: list[Path],
    folder: Path,
    shown: Path | None = None,
) -> None:
    """Write `{variant}` as a figure for each variant, and `counts.csv`; scores count in seven classes."""
    truth = load_truth(dataset, conflicts)
    labels = truth.labels if truth.task == "classification" else SEVEN
    by_variant: dict[str, list[Counts]] = defaultdict(list)
    for answers in load_answers(predictions, truth):
        if answers.checkpoint == "selected":
            by_variant[answers.variant].append(counts_of(answers, truth))
    tables = []
    with drawing(folder, shown) as target:
        for variant, seeds in by_variant.items():
            mean = {name: np.mean([one[name] for one in seeds], axis=0) for name in seeds[0]}
            save(matrices(mean, labels, variant, len(seeds)), target, variant)
            tables += [long_table(variant, name, counts, labels) for name, counts in mean.items()]
        artefacts.save_text(target / "counts.csv", as_csv(pl.concat(tables), float_precision=3))


def classes(values: np.ndarray, truth: Truth) -> np.ndarray:
    """Class indices of predictions (..., width); a score is one of seven classes."""
    if truth.task == "classification":
        return values.argmax(axis=-1)
    return agreement.seven_classes(values[..., 0]) + 3


def counts_of(answers: Answers, truth: Truth) -> Counts:
    """Counts (C, C) by condition, mean over draws; of P4 the donors with another label."""
    known = truth.known
    value = np.where(known, truth.value, 0.0)
    label = value.astype(int) if truth.task == "classification" else agreement.seven_classes(value) + 3
    size = truth.width if truth.task == "classification" else len(SEVEN)

    found = {
        name: np.mean(
            [agreement.confusion(label[known], classes(draw[known], truth), size) for draw in values], axis=0
        )
        for name, values in answers.clean.items()
    }
    for name, values in answers.conflict.items():
        if name.kind == MAIN.kind:
            mine = truth.view_kind == name.kind
            draws = max(len(np.unique(truth.view_draw[mine])), 1)
            target = truth.view_target[mine]
            found[name] = agreement.confusion(label[target], classes(values, truth), size) / draws
    return found


def long_table(variant: str, condition: Condition, counts: np.ndarray, labels: Sequence[str]) -> pl.DataFrame:
    """One row a cell: `variant`, `condition`, `true`, `predicted`, `count` (mean over draws and seeds)."""
    places = list(np.ndindex(counts.shape))
    return pl.DataFrame(
        {
            "variant": [variant] * len(places),
            "condition": [str(condition)] * len(places),
            "true": [labels[i] for i, _ in places],
            "predicted": [labels[j] for _, j in places],
            "count": counts.ravel(),
        }
    )


def matrices(counts: Counts, labels: Sequence[str], variant: str, seeds: int) -> Figure:
    """Row-normalised confusion, a panel a condition: P1 and P2, then P3, then P4, and so on."""
    rows = lines(counts)
    wide = max(len(row) for row in rows)
    side = 0.24 * len(labels) + 0.35
    figure, panels = plt.subplots(
        len(rows),
        wide,
        figsize=(wide * side + 1.6, len(rows) * (side + 0.35) + 1.0),
        squeeze=False,
        layout="constrained",
    )
    image = None
    for line, names in zip(panels, rows, strict=True):
        for axes, name in zip(line, [*names, *[None] * (wide - len(names))], strict=True):
            axes.grid(visible=False)
            if name is None:
                axes.set_axis_off()
                continue
            total = counts[name].sum(axis=1, keepdims=True)
            share = 100 * np.divide(counts[name], total, out=np.zeros_like(counts[name]), where=total > 0)
            image = axes.imshow(share, vmin=0, vmax=100, cmap="Blues")
            for i, j in np.argwhere(share >= 0.5):  # what would read 0 stays empty
                value = share[i, j]
                colour = "white" if value > 55 else DARK
                cell = axes.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=5.5, color=colour)
                cell.set_in_layout(False)  # within the panel: the layout need not measure it
            # of a conflict the kind of its donors is the same in all panels
            axes.set_title(heading(name).partition(":")[0], fontsize=8)
            axes.set_xticks(range(len(labels)), labels, rotation=60, ha="right", rotation_mode="anchor")
            axes.set_yticks(range(len(labels)) if axes is line[0] else [])
            axes.tick_params(labelsize=7, length=2)
        line[0].set_yticklabels(labels)
        line[0].set_ylabel("true", fontsize=8)
    for axes in panels[-1, : len(rows[-1])]:
        axes.set_xlabel("predicted", fontsize=8)
    # room between the slanted names of one row and the titles of the next
    if isinstance(engine := figure.get_layout_engine(), ConstrainedLayoutEngine):
        engine.set(h_pad=0.12)
    if image is not None:
        figure.colorbar(image, ax=panels, label="share of the true class (%)", shrink=0.6, pad=0.01)
    figure.suptitle(
        f"{title(variant)}: confusion under every condition, mean over {seeds} seed{'s' * (seeds > 1)}",
        x=0.01,
        ha="left",
    )
    return figure


if __name__ == "__main__":
    stage.main(run, Params, inputs=("dataset*", "conflicts*", "predictions*"), outputs=("folder", "shown?"))
