"""Stage: the best possible answers on the embedded corpus (docs/method.md, "known ceilings").

Exact inference under the process that made the corpus, on two kinds of evidence: every shown cue read
without error (`cue_ceiling`), and calibrated per-modality posteriors of the cues fitted on the training
split's features (`readable_ceiling`). Each also `_no_context`: the utterance's own evidence with the
process's marginal P(label | position, who spoke when) as prior. Conflict conditions have a third version
that is told of the swap and of the donor's kind (`_knowing`). One utterance is in conflict at a time; its
neighbours are clean.

A hidden face emits nothing: the cue ceiling reads no visual cue there, even where the dataset has a
(listener's) face. The readers are fitted with those rows included, for nobody can tell them apart by the
features. Among encoders, the readable ceiling bounds what each modality tells *by itself*; whatever the
sound of a voice betrays of its words is outside it.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from models.conditions import COMPLETE, Condition
from models.modalities import has_letter
from pipeline.core import artefacts, stage
from pipeline.core.errors import PipelineError
from pipeline.evaluation import families
from pipeline.evaluation.protocol import Frozen, Swaps, View
from pipeline.settings.process import ProcessSettings
from pipeline.synth.evidence import conflict_likelihoods, likelihoods, perfect_readings
from pipeline.synth.inference import Layout, combine, context_messages, layout, marginals
from pipeline.synth.process import cue_table, transition_table
from pipeline.synth.reading import Corpus, ReadingSettings, load_corpus, read_features

log = logging.getLogger("pipeline")


class Params(ReadingSettings):
    """Settings of the ceilings stage."""


def run(
    params: Params, *, latent: list[Path], dataset: Path, masks: Path, conflicts: Path, ceilings: Path
) -> None:
    """Write the ceilings' predictions for the test split.

    All conditions are judged but those that put other features in place of the corpus's: what these tell of a
    cue is not known.
    """
    corpus = load_corpus(latent, dataset)
    frozen = Frozen.load(dataset, masks, conflicts)
    views = [view for view in families.views(frozen) if not view.features]
    swaps = list(families.swaps(frozen))
    evidence = {
        "cue_ceiling": perfect_readings(corpus.cues, corpus.emits),
        "readable_ceiling": read_features(corpus, params.strengths, corpus.rows("train")),
    }
    frames = []
    for name, readings in evidence.items():
        answers = Ceiling(params.process, corpus, readings)
        frames += [*answers.views(name, views), *answers.swaps(name, swaps)]
    table = pl.concat(frames)
    truth = corpus.table["label"].to_numpy()
    for (variant,), part in table.filter(pl.col("condition") == str(COMPLETE)).group_by(
        "variant", maintain_order=True
    ):
        hits = np.array(part["probabilities"].to_list()).argmax(1) == truth[part["row"].to_numpy()]
        log.info("%s: accuracy %.3f with the complete view", variant, hits.mean())
    artefacts.save_table(ceilings, table)


class Ceiling:
    """Exact inference over the test split with given readings (U, 3, 7) of all rows."""

    def __init__(self, process: ProcessSettings, corpus: Corpus, readings: np.ndarray) -> None:
        self.corpus = corpus
        self.readings = readings
        self.table = cue_table(process)
        self.transitions = transition_table(process)
        self.test = corpus.rows("test")
        part = corpus.table[self.test]
        self.where: Layout = layout(part["dialogue"].to_numpy(), part["speaker"].to_numpy())
        self.marginal = marginals(self.transitions, self.where)

    def views(self, name: str, views: list[View]) -> Iterator[pl.DataFrame]:
        """Predictions for every view of all utterances, with and without context."""
        for view in views:
            own = self._clean(self.corpus.available & view.shown)
            message = context_messages(self.transitions, own, self.where)
            for variant, prior in ((name, message), (f"{name}_no_context", self.marginal)):
                yield self._frame(variant, self.test, view.condition, view.draw, combine(prior, own))

    def swaps(self, name: str, swaps: list[Swaps]) -> Iterator[pl.DataFrame]:
        """Predictions for every swap: taken for clean, without context, and knowing.

        Raises PipelineError if a target is not in the test split.
        """
        place = np.full(self.corpus.table.height, -1)
        place[self.test] = np.arange(len(self.test))
        clean = self._clean(self.corpus.available)
        message = context_messages(self.transitions, clean, self.where)
        donor_labels = self.marginal.mean(0)
        for own in swaps:
            swapped = np.array(has_letter(own.condition.swapped))
            for (draw,), group in own.pairs.group_by("draw", maintain_order=True):
                rows, donors = group["row"].to_numpy(), group["donor"].to_numpy()
                if (place[rows] < 0).any():
                    raise PipelineError(
                        f"conflicts: row {rows[place[rows] < 0][0]} is not in the test split. Delete the "
                        "conflicts and rerun the stage that draws them."
                    )
                taken, known = (
                    conflict_likelihoods(
                        self.table,
                        self.readings[rows],
                        self.readings[donors],
                        swapped,
                        kind=told,
                        prior=donor_labels,
                    )
                    for told in (None, own.condition.kind)
                )
                context, alone = message[place[rows]], self.marginal[place[rows]]
                for variant, prior, likelihood in (
                    (name, context, taken),
                    (f"{name}_no_context", alone, taken),
                    (f"{name}_knowing", context, known),
                ):
                    yield self._frame(variant, rows, own.condition, int(draw), combine(prior, likelihood))

    def _clean(self, shown: np.ndarray) -> np.ndarray:
        readings = np.where(shown[self.test, :, None], self.readings[self.test], 1.0)
        return likelihoods(self.table, readings)

    def _frame(
        self, variant: str, rows: np.ndarray, condition: Condition, draw: int, probabilities: np.ndarray
    ) -> pl.DataFrame:
        values = probabilities[:, self.corpus.order].astype(np.float32)
        return pl.DataFrame(
            {
                "variant": pl.Series([variant] * len(rows), dtype=pl.String),
                "row": pl.Series(rows, dtype=pl.Int32),
                "condition": pl.Series([str(condition)] * len(rows), dtype=pl.String),
                "draw": pl.Series([draw] * len(rows), dtype=pl.Int16),
                "checkpoint": pl.Series(["selected"] * len(rows), dtype=pl.String),
                "probabilities": pl.Series(values).arr.to_list(),
            }
        )


if __name__ == "__main__":
    stage.main(
        run,
        Params,
        inputs=("latent*", "dataset", "masks", "conflicts"),
        outputs=("ceilings",),
    )
