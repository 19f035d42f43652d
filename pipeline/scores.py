"""Stage: every score of every variant, seed and condition, and the comparisons between variants."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from pydantic import Field

from models.conditions import COMPLETE, Condition
from pipeline.core import artefacts, stage
from pipeline.core.errors import PipelineError
from pipeline.core.registries.degradations import OTHER_WORDS
from pipeline.evaluation import families
from pipeline.evaluation.answers import Answers, load_answers, load_rows, load_truth, trivial_answers
from pipeline.evaluation.comparing import compare
from pipeline.evaluation.protocol import Frozen
from pipeline.evaluation.results import PROTOCOL
from pipeline.evaluation.scoring import score_rows
from pipeline.evaluation.summed import Sums
from pipeline.settings.base import Settings
from pipeline.settings.report import ReportSettings

log = logging.getLogger("pipeline")


class Params(Settings):
    """Settings of the scores stage."""

    report: ReportSettings = Field(ReportSettings(), description="Metrics, bootstrap and comparisons.")


def run(
    params: Params,
    *,
    dataset: list[Path],
    masks: list[Path],
    conflicts: list[Path],
    unreliable: Sequence[Path] = (),
    predictions: list[Path],
    simple: list[Path],
    ceilings: list[Path],
    scores: Path,
    comparisons: Path,
) -> None:
    """Write the scores of networks, rows without one, ceilings and trivial rows, and the comparisons."""
    if not predictions:
        raise PipelineError("--predictions: no file was given. Evaluate at least one variant.")
    truth = load_truth(dataset, conflicts)
    rows, trained = [], []
    sums: dict[str, Sums] = {}

    def count(answers: Answers) -> None:
        for fold, condition, metric, value in score_rows(answers, truth):
            own = (answers.variant, answers.seed, answers.checkpoint, str(condition))
            rows.append((fold, *own, metric, value))
        if answers.checkpoint == "selected":
            sums.setdefault(answers.variant, Sums.of(answers)).add(answers, truth)

    clean, conflict, seeds = [], [], []
    for answers in load_answers(predictions, truth):
        count(answers)
        if answers.checkpoint == "selected":
            clean, conflict = list(answers.clean), list(answers.conflict)
        if answers.seed is not None:
            seeds.append(answers.seed)
        if answers.variant not in trained:
            trained.append(answers.variant)
    for answers in (*load_rows(simple, truth), *load_rows(ceilings, truth)):
        count(answers)
    for answers in trivial_answers(truth, clean, conflict, sorted(set(seeds)), params.report.seed):
        count(answers)
    rows += protocol_rows(truth.folds, dataset, masks, unreliable)
    artefacts.save_table(scores, pl.DataFrame(rows, schema=SCHEMA, orient="row"))
    artefacts.save_table(comparisons, compare(sums, trained, truth, params.report))
    log.info("%d variants, %d seeds, %d scores", len(trained), len(set(seeds)), len(rows))


SCHEMA = {
    "fold": pl.String,
    "variant": pl.String,
    "seed": pl.Int32,
    "checkpoint": pl.String,
    "condition": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
}


def protocol_rows(
    folds: Sequence[str], datasets: Sequence[Path], masks: Sequence[Path], unreliable: Sequence[Path] = ()
) -> Iterator[tuple]:
    """Facts about the test split as rows of variant `protocol`: absence and realised missing rates.

    `absence_rate` (condition complete) is the share of slots that the corpus lacks; `missing_rate` is masked
    over really available slots, of each other condition that shows all utterances, mean over its draws.
    Of conditions of unreliable media and of other words there is `realised` as well, the mean of their
    measured level; of the latter `words_read`, the share of the utterances whose words are there.
    Digests are not numbers: the tables stage reads them from the masks.
    """
    if len(masks) != len(folds):
        raise PipelineError(f"--masks: got {len(masks)} paths for {len(folds)} folds; give one for each.")
    if unreliable and len(unreliable) != len(folds):
        raise PipelineError(
            f"--unreliable: got {len(unreliable)} paths for {len(folds)} folds; give one for each, or none."
        )
    degraded: list[Path | None] = [*unreliable] or [None] * len(folds)
    for fold, dataset, path, own in zip(folds, datasets, masks, degraded, strict=True):
        frozen = Frozen.load(dataset, path, unreliable=own)
        available = frozen.available[frozen.test]
        rates: dict[Condition, list[float]] = {}
        facts = {(COMPLETE, "absence_rate"): float(1 - available.mean())}
        for view in families.views(frozen):
            if view.condition.family == OTHER_WORDS:
                facts[view.condition, "words_read"] = float(view.shown[frozen.test, 0].mean())
            hidden = available & ~view.shown[frozen.test]
            rates.setdefault(view.condition, []).append(float(hidden.sum() / available.sum()))
        for condition, values in rates.items():
            if condition != COMPLETE:
                facts[condition, "missing_rate"] = float(np.mean(values))
        for condition, level in (frozen.degraded.realised if frozen.degraded else {}).items():
            if level is not None:
                facts[condition, "realised"] = level
        for (condition, metric), value in facts.items():
            yield fold, PROTOCOL, None, "selected", str(condition), metric, value


if __name__ == "__main__":
    stage.main(
        run,
        Params,
        inputs=(
            *("dataset*", "masks*", "conflicts*", "unreliable*"),
            *("predictions*", "simple*", "ceilings*"),
        ),
        outputs=("scores", "comparisons"),
    )
