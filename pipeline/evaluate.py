"""Stage: predictions of one trained network under every condition (docs/method.md, "Protocols").

This is the only stage that lets a network read the test split. `selected` is the epoch that training chose
on the validation split; `oracle` is the epoch that is best on the test split by the very score that training
asks of the validation split, kept beside it (P1 to P3) to show how much such a choice would buy.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from models.batch import Batch
from models.conditions import Condition
from models.modalities import MODALITIES
from models.network import Network
from pipeline.core import artefacts, stage
from pipeline.core.device import prepare
from pipeline.core.errors import PipelineError
from pipeline.core.progress import progress
from pipeline.evaluation import alone, families
from pipeline.evaluation.passes import DIALOGUES, Places, clean_logits, conflict_logits, viewed
from pipeline.evaluation.protocol import Frozen, Swaps, View
from pipeline.settings.compute import ComputeSettings
from pipeline.settings.training import ValidationMix
from pipeline.training import checkpoint
from pipeline.training.dialogues import Dataset
from pipeline.training.networks import name_of, read_trust
from pipeline.training.selection import RegressionScore, Selection

log = logging.getLogger("pipeline")


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
    unreliable: Sequence[Path] = (),
    trust: Sequence[Path] = (),
    weights: Path,
    epochs: Path,
    predictions: Path,
) -> None:
    """Write the predictions of one variant and seed: `row`, `condition`, `draw`, `checkpoint` and values.

    Where media are degraded `alone` is what each degraded channel is answered with by itself, of the selected
    epoch. trust: reliability inputs, one file for a network that reads them, else none.
    """
    device = prepare(params.device, params.threads)
    network, seen = checkpoint.load_network(weights)
    inputs = read_trust(name_of(network), trust)
    data = Dataset.load(dataset) if inputs is None else Dataset.load(dataset).gauged(inputs)
    task = data.facts["task"]
    test = Batch.cat(data.batches(("test",), DIALOGUES)).to(device)
    frozen = Frozen.load(dataset, masks, conflicts, *unreliable, trust=inputs)
    may_see = torch.tensor([name in seen for name in MODALITIES], device=device)
    asked = Asked(test, list(families.views(frozen)), list(families.swaps(frozen)), may_see, params.batch)

    network = network.to(device).eval()
    selected = [*clean_predictions(network, asked, task), *swapped_predictions(network, asked, task)]
    told = alone.beside(pl.concat(selected), list(alone_answers(network, asked)))
    frames = [told.with_columns(checkpoint=pl.lit("selected"))]
    if params.oracle:
        selection = Selection(params.validation, task == "regression", params.regression_score)
        best = best_on_test(selection, checkpoint.load_epochs(epochs), asked)
        oracle = pl.concat(clean_predictions(best, asked, task))
        frames.append(oracle.with_columns(checkpoint=pl.lit("oracle")))
    artefacts.save_table(predictions, pl.concat(frames, how="diagonal"))


@dataclass(frozen=True)
class Asked:
    """What a network is asked: the test split, the views and swaps of all protocols, and how."""

    test: Batch  # as the corpus has it, on the network's device
    views: list[View]
    swaps: list[Swaps]
    may_see: Bool[Tensor, "3"]  # the modalities that the network may read
    budget: int  # utterances, with padding, in one forward pass

    def logits(self, network: Network, view: View) -> Float[Tensor, "u c"]:
        """Of all test utterances, in the order of the split."""
        return clean_logits(network, viewed(self.test, view, self.may_see), self.budget)


def clean_predictions(network: Network, asked: Asked, task: str) -> Iterator[pl.DataFrame]:
    """Predictions of all test utterances under each view."""
    rows = asked.test.row[asked.test.valid].cpu().numpy()
    for view in asked.views:
        logits = asked.logits(network, view)
        yield _table(rows, view.condition, np.full(len(rows), view.draw), logits, task)


def alone_answers(network: Network, asked: Asked) -> Iterator[pl.DataFrame]:
    """What each degraded channel is answered with by itself, as many views at once as the budget holds."""
    test, valid = asked.test, asked.test.valid
    rows = test.row[valid].cpu().numpy()
    available = (test.available & asked.may_see)[valid].cpu().numpy()
    views = [own for view in asked.views if (own := view.alone())]
    together = max(1, asked.budget // valid.numel())
    for some in (views[low : low + together] for low in range(0, len(views), together)):
        batch = Batch.cat(viewed(test, view, asked.may_see) for view in some)
        logits = clean_logits(network, batch, asked.budget).float().cpu().numpy()
        for view, values in zip(some, np.split(logits, len(some)), strict=True):
            yield alone.table(view, rows, values, alone.there(view, rows, available))


def swapped_predictions(network: Network, asked: Asked, task: str) -> Iterator[pl.DataFrame]:
    """Predictions of the targets of every condition that swaps channels, each in a pass of its own.

    Raises PipelineError if a target or donor is not in the test split.
    """
    for swaps in asked.swaps:
        rows, draw = (swaps.pairs[name].to_numpy() for name in ("row", "draw"))
        target, donor = (torch.tensor(swaps.pairs[name].to_list()) for name in ("row", "donor"))
        try:
            places = Places.find(asked.test, target, donor)
        except KeyError as error:
            raise PipelineError(
                f"conflict views: row {error} is no utterance of the test split. They were drawn for "
                "another dataset; delete protocol/conflicts.parquet and rerun."
            ) from error
        logits = conflict_logits(
            network,
            asked.test,
            places,
            swaps.condition.swapped,
            shown=asked.may_see,
            budget=asked.budget,
        )
        yield _table(rows, swaps.condition, draw, logits, task)


def best_on_test(selection: Selection, epochs: Iterable[tuple[int, Network]], asked: Asked) -> Network:
    """The epoch with the best test score, by the selection that its training used on the validation split.

    A tie goes to the earlier epoch. Raises PipelineError if there is no epoch.
    """
    batch = asked.test
    target, judged = (batch.score, batch.scored) if selection.regression else (batch.label, batch.labelled)
    truth, known = target[judged].cpu().numpy(), judged[batch.valid].cpu().numpy()
    # one draw of a rate, as training has it, and no view that the mix does not weigh
    counted = [view for view in asked.views if view.draw == 0 and selection.weighs(view.condition.family)]
    best: tuple[float, Network] | None = None
    for epoch, network in progress(epochs, "epochs"):
        network.to(batch.row.device).eval()
        outputs = (
            (view.condition.family, asked.logits(network, view).cpu().numpy()[known]) for view in counted
        )
        _, score = selection.mixed((family, selection.view(truth, logits)) for family, logits in outputs)
        if best is None or score > best[0]:
            best = (score, network)
            log.info("epoch %d: test score %.4f", epoch, score)
    if best is None:
        raise PipelineError("--epochs: holds no epoch. Delete it and rerun the training stage.")
    return best[1]


def _table(
    rows: np.ndarray, condition: Condition, draw: np.ndarray, logits: Float[Tensor, "u c"], task: str
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
            "condition": pl.repeat(str(condition), len(rows), eager=True),
            "draw": pl.Series(draw, dtype=pl.Int16),
            column.name: column,
        }
    )
    return table.sort("draw", "row")


if __name__ == "__main__":
    stage.main(
        run,
        Params,
        inputs=("dataset", "masks", "conflicts", "unreliable*", "trust*", "weights", "epochs"),
        outputs=("predictions",),
    )
