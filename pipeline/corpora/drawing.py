"""Splits of corpora that come without official ones."""

import polars as pl

from pipeline.core.errors import PipelineError
from pipeline.corpora.rows import draw_validation, own_splits
from pipeline.settings.corpus import CorpusSettings


def given_or_drawn(rows: pl.DataFrame, settings: CorpusSettings, test: float) -> pl.DataFrame:
    """`dialogue`, `split`: the corpus's own column, or drawn by dialogue with corpus.seed if it has none.

    Raises PipelineError if only some dialogues have a split, or there are fewer than three to draw from.
    """
    if rows["split"].null_count() < rows.height:
        return own_splits(rows, settings.validation, settings.seed)
    names = sorted(rows["dialogue"].unique())
    if len(names) < 3:
        raise PipelineError(
            f"corpus {settings.name}: {len(names)} dialogue(s) cannot be divided into train, val and test. "
            "Training needs at least three; features can be extracted from any number."
        )
    # 1000 apart, so that test and validation are drawn from different streams
    tested = draw_validation(names, test, settings.seed + 1000)
    drawn = rows.with_columns(
        split=pl.when(pl.col("dialogue").is_in(tested)).then(pl.lit("test")).otherwise(pl.lit("train"))
    )
    return own_splits(drawn, settings.validation, settings.seed)
