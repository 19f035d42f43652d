"""Stage: predictions of one trained network under every condition (docs/method.md, "Protocols").

This is the only stage that lets a network read the test split. `selected` is the epoch that training chose
on the validation split; `oracle` is the epoch that is best on the test split by the very score that training
asks of the validation split, kept beside it (P1 to P3) to show how much such a choice would buy.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from models.batch import MODALITIES, Batch
from models.conditions import conflict_name
from models.network import Network
from pipeline.core import artefacts, stage
from pipeline.core.device import prepare
from pipeline.core.errors import PipelineError
from pipeline.core.progress import progress
from pipeline.evaluation.passes import Swaps, clean_logits, conflict_logits, whole
from pipeline.evaluation.views import DIALOGUES, View, clean_views
from pipeline.settings.compute import ComputeSettings
from pipeline.settings.training import ValidationMix
from pipeline.training import checkpoint
from pipeline.training.dialogues import Dataset
from pipeline.training.validation import RegressionScore, Selection

log = logging.getLogger("pipeline")
SWAPPED = ("a", "v", "av")


class Params(ComputeSettings):
    """Settings of the evaluate stage."""

    oracle: bool = Field(True, description="Also predict with the epoch that is best on the test split.")
    validation: ValidationMix = Field(
        default_factory=ValidationMix,
        description="The mix that chose this network's epoch in training: complete alone for the teacher.",
    )
    regression_score: RegressionScore = Field(
        "pearson", description="What chooses an epoch of a regression corpus."
    )
    batch: int = Field(4096, ge=1, description="Utterances, with padding, in one forward pass.")


def run(
    params: Params,
    *,
    dataset: Path,
    masks: Path,
    conflicts: Path,
    weights: Path,
    epochs: Path,
    predictions: Path,
) -> None:
    """Write the predictions of one variant and seed: `row`, `condition`, `draw`, `checkpoint` and values."""
    device = prepare(params.device, params.threads)
    data = Dataset.load(dataset)
    task = data.facts["task"]
    test = whole(data.batches(("test",), DIALOGUES)).to(device)
    swaps = artefacts.load_table(conflicts, ["kind", "draw", "row", "donor"])
    network, seen = checkpoint.load_network(weights)
    may_see = torch.tensor([name in seen for name in MODALITIES], device=device)
    views = list(clean_views(test, artefacts.load_tensors(masks), may_see))

    network = network.to(device).eval()
    selected = [clean_predictions(network, test, views, task, params.batch)]
    # a corpus that lacks a modality altogether has no conflict views
    if swaps.height:
        swapped = conflict_predictions(network, test, swaps, may_see=may_see, task=task, budget=params.batch)
        selected.append(swapped)
    frames = [pl.concat(selected).with_columns(pl.lit("selected").alias("checkpoint"))]
    if params.oracle:
        selection = Selection(params.validation, task == "regression", params.regression_score)
        best = best_on_test(selection, checkpoint.load_epochs(epochs), test, views, params.batch)
        oracle = clean_predictions(best, test, views, task, params.batch)
        frames.append(oracle.with_columns(pl.lit("oracle").alias("checkpoint")))
    artefacts.save_table(predictions, pl.concat(frames))


def clean_predictions(
    network: Network, batch: Batch, views: list[View], task: str, budget: int
) -> pl.DataFrame:
    """Predictions of all test utterances under the clean views."""
    rows = batch.row[batch.valid].cpu().numpy()
    frames = []
    for condition, draw, shown in views:
        logits = clean_logits(network, batch, shown, budget)
        frames.append(_table(rows, condition, np.full(len(rows), draw), logits, task))
    return pl.concat(frames)


def conflict_predictions(
    network: Network,
    batch: Batch,
    table: pl.DataFrame,
    *,
    may_see: Bool[Tensor, "3"],
    task: str,
    budget: int,
) -> pl.DataFrame:
    """Predictions of the targets of P4, for each kind of donor and each set of swapped channels."""
    frames = []
    for kind in table["kind"].unique(maintain_order=True):
        part = table.filter(pl.col("kind") == kind)
        target, donor = (torch.tensor(part[name].to_list()) for name in ("row", "donor"))
        try:
            swaps = Swaps.find(batch, target, donor)
        except KeyError as error:
            raise PipelineError(
                f"conflict views: row {error} is no utterance of the test split. They were drawn for "
                "another dataset; delete protocol/conflicts.parquet and rerun."
            ) from error
        for letters in SWAPPED:
            logits = conflict_logits(network, batch, swaps, letters, shown=may_see, budget=budget)
            name, draw = conflict_name(letters, kind), part["draw"].to_numpy()
            frames.append(_table(part["row"].to_numpy(), name, draw, logits, task))
    return pl.concat(frames)


def best_on_test(
    selection: Selection,
    epochs: Iterable[tuple[int, Network]],
    batch: Batch,
    views: list[View],
    budget: int,
) -> Network:
    """The epoch with the best test score, by the selection that its training used on the validation split.

    A tie goes to the earlier epoch. Raises PipelineError if there is no epoch.
    """
    target, known = (batch.score, batch.scored) if selection.regression else (batch.label, batch.labelled)
    truth, known = target[known].cpu().numpy(), known[batch.valid].cpu().numpy()
    # one draw of a rate, as training has it, and no view that the mix does not weigh
    counted = [
        (family, shown)
        for condition, draw, shown in views
        if draw == 0 and selection.weighs(family := condition.split("/")[0])
    ]
    best: tuple[float, Network] | None = None
    for epoch, network in progress(epochs, "epochs"):
        network.to(batch.row.device).eval()
        outputs = (
            (family, clean_logits(network, batch, shown, budget).cpu().numpy()[known])
            for family, shown in counted
        )
        _, score = selection.mixed((family, selection.view(truth, logits)) for family, logits in outputs)
        if best is None or score > best[0]:
            best = (score, network)
            log.info("epoch %d: test score %.4f", epoch, score)
    if best is None:
        raise PipelineError("--epochs: holds no epoch. Delete it and rerun the training stage.")
    return best[1]


def _table(
    rows: np.ndarray, condition: str, draw: np.ndarray, logits: Float[Tensor, "u c"], task: str
) -> pl.DataFrame:
    """Rows of the predictions artefact, sorted by draw and row."""
    if task == "classification":
        values = torch.softmax(logits.double(), dim=-1).float().cpu().numpy()
        column = pl.Series("probabilities", values, dtype=pl.Array(pl.Float32, values.shape[1]))
        column = column.cast(pl.List(pl.Float32))
    else:
        column = pl.Series("score", logits[:, 0].float().cpu().numpy())
    table = pl.DataFrame(
        {
            "row": pl.Series(rows, dtype=pl.Int32),
            "condition": pl.repeat(condition, len(rows), eager=True),
            "draw": pl.Series(draw, dtype=pl.Int16),
            column.name: column,
        }
    )
    return table.sort("draw", "row")


if __name__ == "__main__":
    stage.main(
        run,
        Params,
        inputs=("dataset", "masks", "conflicts", "weights", "epochs"),
        outputs=("predictions",),
    )
