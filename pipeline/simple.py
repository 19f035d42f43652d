"""Stage simple: rows without a network, which every network has to beat (docs/method.md, Variants).

`product` multiplies the posteriors of one linear model a modality, `product_chain` smooths it along the
dialogue, `early_chain` does so with one linear model of all features. They are fitted on the training split,
and the weights of their chains chosen on the validation split, by the mix of views that chooses a student's
epoch.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from pydantic import Field
from torch import Tensor

from models.batch import Batch
from models.conditions import Condition
from models.modalities import has_letter
from pipeline.core import artefacts, stage
from pipeline.core.errors import PipelineError
from pipeline.evaluation import alone, families
from pipeline.evaluation.protocol import Frozen, Swaps, View
from pipeline.settings.base import Settings
from pipeline.settings.training import ValidationMix
from pipeline.training.dialogues import Dataset
from pipeline.training.evidence import Early, Product, Reader, Target
from pipeline.training.label_chain import Alone, Chain, LabelChain, ScoreChain
from pipeline.training.selection import RegressionScore, Selection

log = logging.getLogger("pipeline")
DIALOGUES = 256  # read at once


class Params(Settings):
    """Settings of the stage."""

    validation: ValidationMix = Field(
        default_factory=ValidationMix, description="The mix of views that chooses the chain's weights."
    )
    regression_score: RegressionScore = Field("pearson", description="What a view of a regression scores.")
    seed: int = Field(0, ge=0, description="Seed of the incomplete views that `early` is fitted on.")


@dataclass(frozen=True)
class Row:
    """One row of the tables: its evidence and its chain."""

    name: str
    reader: Reader
    chain: Chain


def run(
    params: Params,
    *,
    dataset: Path,
    masks: Path,
    conflicts: Path,
    unreliable: Sequence[Path] = (),
    simple: Path,
) -> None:
    """Write the predictions of all three rows for the test split, every condition."""
    data, frozen = Dataset.load(dataset), Frozen.load(dataset, masks, conflicts, *unreliable)
    data.require_targets()
    target = Target.of(data)
    views, swaps = list(families.views(frozen)), list(families.swaps(frozen))
    test = Split.of(data, "test", target)
    frames = []
    for row in rows(params, data, target, views):
        own = pl.concat([*test.answers(row, views), *test.swapped(row, swaps)])
        frames.append(alone.beside(own, list(test.alone(row, views))))
    artefacts.save_table(simple, pl.concat(frames))


def rows(params: Params, data: Dataset, target: Target, views: Sequence[View]) -> Iterator[Row]:
    """The rows, fitted."""
    selection = Selection(params.validation, data.regression, params.regression_score)
    # one draw of a rate, as training has it
    counted = [view for view in views if view.draw == 0 and selection.weighs(view.condition.family)]
    val = Split.of(data, "val", target)
    counts: Chain
    if target.regression:
        single = Alone(torch.tensor([1 / target.spread**2, 0.0], dtype=torch.float64))
        counts = ScoreChain.count(data, target.centre, target.spread)
    else:
        single = Alone(torch.zeros(target.classes, dtype=torch.float64))
        counts = LabelChain.count(data)
    readers: dict[str, Reader] = {"product": Product.fit(data), "early": Early.fit(data, params.seed)}
    yield Row("product", readers["product"], single)
    for name, reader in readers.items():
        heard = val.all_evidence(reader, counted)
        # a tie goes to those that come first
        choices: list[Chain] = list(counts.choices())
        scores = [val.score(chain, heard, counted, selection) for chain in choices]
        chain = choices[int(np.argmax(scores))]
        log.info("%s_chain: %s", name, chain)
        yield Row(f"{name}_chain", reader, chain)


@dataclass(frozen=True)
class Split:
    """The dialogues of one split as a batch, and what is read of them."""

    batch: Batch
    target: Target

    @staticmethod
    def of(data: Dataset, split: str, target: Target) -> "Split":
        return Split(Batch.cat(data.batches((split,), DIALOGUES)), target)

    @property
    def rows(self) -> np.ndarray:
        return self.batch.row[self.batch.valid].numpy()

    def evidence(self, reader: Reader, shown: np.ndarray) -> Tensor:
        """Natural parameters (b, n, p); shown: bool (U, 3), within what the corpus has."""
        valid, own = self.batch.valid, self.rows
        read = reader(np.repeat(own[:, None], 3, axis=1), shown[own] & self.batch.available[valid].numpy())
        found = torch.zeros(*valid.shape, self.target.parameters, dtype=torch.float64)
        found[valid] = torch.from_numpy(read)
        return found

    def posterior(self, row: Row, view: View) -> Tensor:
        """Natural parameters (b, n, p) under a view of all utterances."""
        return row.chain(self.evidence(_reading(row.reader, view), view.shown), self.batch)

    def all_evidence(self, reader: Reader, views: Sequence[View]) -> list[Tensor]:
        """Natural parameters (b, n, p) under each view."""
        return [self.evidence(_reading(reader, view), view.shown) for view in views]

    def score(
        self, chain: Chain, heard: Sequence[Tensor], views: Sequence[View], selection: Selection
    ) -> float:
        """The score that chooses, over the views that it weighs; heard: as from `all_evidence`."""
        batch = self.batch
        target, known = (batch.score, batch.scored) if selection.regression else (batch.label, batch.labelled)
        truth = target[known].numpy()
        # all views as one batch: a chain takes as many steps as its longest dialogue, however many there are
        found = chain(torch.cat(list(heard)), Batch.cat([batch] * len(heard))).split(len(batch.valid))
        answers = [told(one[known], self.target) for one in found]
        pairs = zip(views, answers, strict=True)
        return selection.mixed((view.condition.family, selection.view(truth, own)) for view, own in pairs)[1]

    def answers(self, row: Row, views: Sequence[View]) -> Iterator[pl.DataFrame]:
        """Predictions of all utterances under each view."""
        for view in views:
            values = told(self.posterior(row, view)[self.batch.valid], self.target)
            yield _table(row.name, self.rows, view.condition, np.full(len(values), view.draw), values)

    def alone(self, row: Row, views: Sequence[View]) -> Iterator[pl.DataFrame]:
        """What each degraded channel is answered with by itself."""
        available = self.batch.available[self.batch.valid].numpy()
        for view in (own for one in views if (own := one.alone())):
            values = told(self.posterior(row, view)[self.batch.valid], self.target)
            yield alone.table(view, self.rows, values, alone.there(view, self.rows, available))

    def swapped(self, row: Row, swaps: Sequence[Swaps]) -> Iterator[pl.DataFrame]:
        """Predictions of the targets of each swap, their neighbours clean.

        An utterance's own evidence is a factor of its posterior, so one pass serves all swaps.
        """
        place = np.full(int(self.batch.row.max()) + 1, -1)
        place[self.rows] = np.arange(len(self.rows))
        everything = np.ones((len(place), 3), bool)
        clean = row.chain(self.evidence(row.reader, everything), self.batch)[self.batch.valid]
        available = self.batch.available[self.batch.valid].numpy()
        for own in swaps:
            rows, donor = (own.pairs[name].to_numpy() for name in ("row", "donor"))
            at = place[rows]
            if (at < 0).any():
                raise PipelineError(
                    f"conflicts: row {rows[at < 0][0]} is not in the test split. Delete the conflicts and "
                    "rerun the stage that draws them."
                )
            there = available[at]
            taken = np.where(np.array(has_letter(own.condition.swapped)), donor[:, None], rows[:, None])
            old, new = (
                torch.from_numpy(row.reader(read, there)) for read in (np.repeat(rows[:, None], 3, 1), taken)
            )
            found = row.chain.swapped(clean[torch.from_numpy(at)], old, new)
            draw = own.pairs["draw"].to_numpy()
            yield _table(row.name, rows, own.condition, draw, told(found, self.target))


def _reading(reader: Reader, view: View) -> Reader:
    return reader.reading(view.features) if view.features else reader


def told(natural: Tensor, target: Target) -> np.ndarray:
    """Probabilities (U, C), or scores (U, 1), of posteriors in natural parameters."""
    if not target.regression:
        return natural.softmax(dim=-1).float().numpy()
    return (natural[:, 1:] / natural[:, :1] + target.centre).float().numpy()


def _table(
    name: str, rows: np.ndarray, condition: Condition, draw: np.ndarray, values: np.ndarray
) -> pl.DataFrame:
    """Rows of the predictions artefact, sorted by draw and row, with the row's name as `variant`."""
    if values.shape[1] > 1:
        column = pl.Series("probabilities", values, dtype=pl.Array(pl.Float32, values.shape[1]))
        column = column.cast(pl.List(pl.Float32))
    else:
        column = pl.Series("score", values[:, 0], dtype=pl.Float32)
    table = pl.DataFrame(
        {
            "variant": pl.repeat(name, len(rows), eager=True),
            "row": pl.Series(rows, dtype=pl.Int32),
            "condition": pl.repeat(str(condition), len(rows), eager=True),
            "draw": pl.Series(draw, dtype=pl.Int16),
            "checkpoint": pl.repeat("selected", len(rows), eager=True),
            column.name: column,
        }
    )
    return table.sort("draw", "row")


if __name__ == "__main__":
    stage.main(run, Params, inputs=("dataset", "masks", "conflicts", "unreliable*"), outputs=("simple",))
