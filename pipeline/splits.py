"""Stage splits: which dialogues train, which select, which are judged."""

import logging
from pathlib import Path

import polars as pl
from pydantic import Field

from pipeline.core import artefacts, stage
from pipeline.core.errors import PipelineError
from pipeline.core.registries import corpora
from pipeline.core.splits import SPLITS
from pipeline.settings.base import Settings
from pipeline.settings.corpus import CorpusSettings

log = logging.getLogger("pipeline")


class Params(Settings):
    """Settings of the stage."""

    corpus: CorpusSettings = CorpusSettings()
    fold: str = Field("main", description="fold of the corpus")


def check(table: pl.DataFrame, dialogues: set[str]) -> None:
    """Raise PipelineError unless every dialogue has one split and none of the three is empty."""
    names = table["dialogue"].to_list()
    if set(names) != dialogues or len(names) != len(dialogues):
        raise PipelineError(
            f"splits: {len(names)} dialogues were split, the manifest has {len(dialogues)}. "
            "The adapter must give each dialogue exactly one split."
        )
    for split in SPLITS:
        if split not in table["split"]:
            raise PipelineError(
                f"splits: no dialogue is left for {split}. Give the corpus more dialogues, or change "
                "corpus.validation."
            )


def run(params: Params, *, manifest: Path, splits: Path) -> None:
    """Write the split of every dialogue."""
    folds = params.corpus.row.folds
    if folds and params.fold not in folds:
        raise PipelineError(
            f"config, key corpus.folds: the corpus {params.corpus.name} has no fold {params.fold!r}; it has "
            f"{', '.join(folds)}. Name one of them."
        )
    rows = artefacts.load_table(manifest)
    adapter = corpora.adapter(params.corpus.name)
    table = adapter.splits(rows, params.corpus, params.fold)
    table = table.select("dialogue", "split").sort("dialogue")
    check(table, set(rows["dialogue"]))
    artefacts.save_table(splits, table)
    log.info("dialogues: %s", dict(table["split"].value_counts(sort=True).iter_rows()))


if __name__ == "__main__":
    stage.main(run, Params, inputs=("manifest",), outputs=("splits",))
