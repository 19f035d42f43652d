"""Stage: what the corpus holds and what it lacks, as figures."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from models.modalities import MODALITIES
from pipeline.core import artefacts, stage
from pipeline.core.splits import SPLITS
from pipeline.reporting.style import COLOURS, drawing, hatch, save
from pipeline.settings.base import Settings

SPLIT_COLOURS = {"train": "#0072B2", "val": "#E69F00", "test": "#009E73"}


class Params(Settings):
    """The inventory stage has no settings."""


def run(
    params: Params, *, manifest: Path, dataset: list[Path], folder: Path, shown: Path | None = None
) -> None:
    """Write `targets`, `lengths` and `absences`; of several folds the splits of the first are shown."""
    spans = artefacts.load_table(manifest, ["utterance", "start", "end"])
    table = artefacts.load_table(dataset[0] / "utterances.parquet").join(spans, on="utterance", how="left")
    facts = artefacts.load_json(dataset[0] / "facts.json", ["corpus", "labels", "timed"])
    note = f"{facts['corpus']}, {table.height} utterances"
    if len(dataset) > 1:
        note += f", splits of fold {dataset[0].parent.name}"
    with drawing(folder, shown) as target:
        save(targets(table, facts["labels"], note), target, "targets")
        save(lengths(table, note, timed=facts["timed"]), target, "lengths")
        save(absences(table, note), target, "absences")


def targets(table: pl.DataFrame, labels: Sequence[str], note: str) -> Figure:
    """Share of every label, or the distribution of the score, in every split."""
    figure, axes = plt.subplots(figsize=(7.6, 3.6), layout="constrained")
    splits = [split for split in SPLITS if (table["split"] == split).any()]
    width = 0.84 / len(splits)
    for number, split in enumerate(splits):
        part = table.filter(pl.col("split") == split)
        name = f"{split} ({part.height} utterances)"
        if labels:
            counts = np.bincount(part["label"].drop_nulls().to_numpy(), minlength=len(labels))
            share = 100 * counts / max(counts.sum(), 1)
            place = np.arange(len(labels)) + (number - (len(splits) - 1) / 2) * width
            axes.bar(place, share, width * 0.92, color=SPLIT_COLOURS[split], label=name)
        else:
            score = part["score"].drop_nulls().to_numpy()
            weights = np.full(len(score), 100 / max(len(score), 1))
            axes.hist(
                score,
                np.linspace(-3, 3, 14).tolist(),
                weights=weights,
                histtype="step",
                color=SPLIT_COLOURS[split],
                label=name,
            )
    if labels:
        axes.set_xticks(range(len(labels)), labels)
        axes.grid(axis="x", visible=False)
    axes.set_xlabel("label" if labels else "score")
    axes.set_ylabel("share of the labelled utterances (%)")
    axes.set_title(f"What is to be learnt: {note}")
    axes.legend()
    return figure


def lengths(table: pl.DataFrame, note: str, *, timed: bool) -> Figure:
    """Utterances a dialogue, and seconds an utterance where the corpus names times."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.3), layout="constrained")
    counts = table.group_by("dialogue", maintain_order=True).len()["len"].to_numpy()
    left.hist(counts, bins=np.arange(counts.min(), counts.max() + 2) - 0.5, color=COLOURS[0])
    left.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    left.set_xlim(max(counts.min() - 2.5, 0), counts.max() + 2.5)
    left.set_xlabel("utterances in a dialogue")
    left.set_ylabel("dialogues")
    left.set_title(f"Dialogues: {note}")
    right.set_xlabel("length of an utterance (s)")
    right.set_ylabel("utterances")
    right.set_title("Utterances")
    if timed:
        seconds = (table["end"] - table["start"]).to_numpy()
        # a few very long ones would leave the rest in one bar
        right.hist(seconds.clip(max=np.quantile(seconds, 0.995)), bins=30, color=COLOURS[0])
    else:
        right.text(0.5, 0.5, "the corpus names no times", transform=right.transAxes, ha="center")
    return figure


def absences(table: pl.DataFrame, note: str) -> Figure:
    """Share of the utterances without a modality, by split and reason."""
    splits = [split for split in SPLITS if (table["split"] == split).any()]
    reasons = sorted(
        {reason for name in MODALITIES for reason in table[f"reason_{name}"].drop_nulls().unique()}
    )
    figure, axes = plt.subplots(
        figsize=(7.6, 0.32 * len(splits) * len(MODALITIES) + 1.3), layout="constrained"
    )
    rows = [(name, split) for name in MODALITIES for split in splits]
    start = np.zeros(len(rows))
    for number, reason in enumerate(reasons):
        share = np.array([100 * _share(table, name, split, reason) for name, split in rows])
        axes.barh(
            range(len(rows)),
            share,
            left=start,
            color=COLOURS[number % len(COLOURS)],
            hatch=hatch(number),
            label=reason.replace("_", " "),
        )
        start += share
    for row, total in enumerate(start):
        axes.annotate(
            f"{total:.1f}", (total, row), (3, 0), textcoords="offset points", va="center", fontsize=7
        )
    axes.set_yticks(range(len(rows)), [f"{name}, {split}" for name, split in rows])
    axes.invert_yaxis()
    axes.margins(x=0.1)
    if not reasons:
        axes.set_xlim(0, 1)
    axes.set_xlabel("utterances without this modality (%)")
    axes.set_title(f"What the corpus lacks, before any mask: {note}")
    axes.grid(axis="y", visible=False)
    if reasons:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0, title="reason")
    return figure


def _share(table: pl.DataFrame, modality: str, split: str, reason: str) -> float:
    part = table.filter(pl.col("split") == split)[f"reason_{modality}"]
    return float((part == reason).fill_null(False).to_numpy().mean())


if __name__ == "__main__":
    stage.main(run, Params, inputs=("manifest", "dataset*"), outputs=("folder", "shown?"))
