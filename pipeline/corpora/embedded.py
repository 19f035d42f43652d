"""Adapter of the embedded corpus: the parts that the corpus stage rendered."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.corpora.rows import ROWS, Corpus, label_index, own_splits
from pipeline.settings.corpus import CorpusSettings
from pipeline.synth.emotions import EMOTIONS

COLUMNS = ("dialogue", "position", "utterance", "speaker", "text", "label", "split", "media", "start", "end")


def read(settings: CorpusSettings, parts: Sequence[Path]) -> Corpus:
    """The rows of all parts; media paths are relative to the working folder, as the parts' paths are.

    Raises PipelineError if there is no part, or a label is not one of the seven emotions.
    """
    if not parts:
        raise PipelineError(
            "--parts: none was given; the embedded corpus is read from the folders that stage corpus writes."
        )
    tables = []
    for folder in parts:
        path = folder / "utterances.parquet"
        part = artefacts.load_table(path, COLUMNS)
        odd = part.filter(pl.col("label").is_not_null() & ~pl.col("label").is_in(EMOTIONS))
        if odd.height:
            raise PipelineError(
                f"{path}, utterance {odd['utterance'][0]}: unknown label {odd['label'][0]!r}; known are "
                f"{', '.join(EMOTIONS)}. Render the corpus anew."
            )
        tables.append(part.with_columns(media=pl.lit(folder.as_posix() + "/") + pl.col("media")))
    rows = pl.concat(tables).with_columns(
        corpus=pl.lit("embedded"),
        label=label_index(pl.col("label"), EMOTIONS),
        score=pl.lit(None, pl.Float32),
        crop=pl.lit(None, pl.List(pl.Float32)),
        group=pl.lit("main"),
        withheld=pl.lit(None, pl.String),
        text=pl.col("text").cast(pl.String),
    )
    return Corpus(
        rows.select(pl.col(name).cast(kind) for name, kind in ROWS.items()), EMOTIONS, "classification"
    )


def splits(rows: pl.DataFrame, settings: CorpusSettings, fold: str) -> pl.DataFrame:
    """The splits of the generator (no speaker is in two of them); there is one fold, `main`."""
    return own_splits(rows, settings.validation, settings.seed)
