"""What every adapter returns, and the splitting rules that adapters share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from polars.datatypes import DataType, DataTypeClass

from pipeline.core.errors import PipelineError
from pipeline.core.splits import SPLITS

# the manifest without `shard` (docs/artefacts.md)
ROWS: dict[str, DataType | DataTypeClass] = {
    "corpus": pl.String,
    "dialogue": pl.String,
    "position": pl.Int32,
    "utterance": pl.String,
    "speaker": pl.String,
    "text": pl.String,
    "label": pl.Int32,
    "score": pl.Float32,
    "media": pl.String,
    "start": pl.Float64,
    "end": pl.Float64,
    "crop": pl.List(pl.Float32),
    "group": pl.String,
    "split": pl.String,
    "withheld": pl.String,
}
# beside them where words may be recognised: whose they are (given, recognised), and how sure they are
WORDS: dict[str, DataType | DataTypeClass] = {"words": pl.String, "words_confidence": pl.Float32}


@dataclass(frozen=True)
class Corpus:
    """All utterances of a corpus: `rows` has the columns of ROWS; `labels` are names in index order.

    Where words may be recognised, `rows` has the columns of WORDS, too.
    timed: whether start and end are seconds of a medium; otherwise they only order the utterances.
    """

    rows: pl.DataFrame
    labels: tuple[str, ...]
    task: Literal["classification", "regression"]
    folds: tuple[str, ...] = ("main",)
    timed: bool = True


def label_index(names: pl.Expr, labels: Sequence[str]) -> pl.Expr:
    """Label names as indices into `labels`; null stays null. Unknown names raise in polars."""
    return names.replace_strict(list(labels), range(len(labels)), return_dtype=pl.Int32)


def draw_validation(dialogues: Sequence[str], share: float, seed: int) -> set[str]:
    """A seeded share of whole dialogues (at least one), independent of their order.

    Raises PipelineError if fewer than two dialogues are there to share.
    """
    names = sorted(set(dialogues))
    if len(names) < 2:
        raise PipelineError(
            f"corpus.validation: {len(names)} training dialogue(s) cannot be shared between training and "
            "validation. The corpus needs at least two."
        )
    count = min(max(1, round(share * len(names))), len(names) - 1)
    # 2: the stream of this draw, apart from all others of the same seed
    drawn = np.random.default_rng([seed, 2]).choice(len(names), count, replace=False)
    return {names[place] for place in drawn}


def own_splits(rows: pl.DataFrame, share: float, seed: int) -> pl.DataFrame:
    """`dialogue`, `split` from the corpus's own `split` column; validation is drawn if it names none.

    Raises PipelineError for a dialogue without a split.
    """
    table = rows.group_by("dialogue", maintain_order=True).agg(pl.col("split").first())
    unknown = table.filter(~pl.col("split").is_in(SPLITS).fill_null(False))
    if unknown.height:
        raise PipelineError(
            f"manifest, dialogue {unknown['dialogue'][0]}: its split is {unknown['split'][0]!r}, expected "
            "train, val or test. The adapter of this corpus must say where each dialogue belongs."
        )
    if "val" in table["split"]:
        return table
    train = table.filter(split="train")["dialogue"].to_list()
    drawn = draw_validation(train, share, seed)
    return table.with_columns(
        split=pl.when(pl.col("dialogue").is_in(drawn)).then(pl.lit("val")).otherwise("split")
    )
