"""The table of the corpus: how much of it there is in every split."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import polars as pl

from pipeline.core import artefacts
from pipeline.core.splits import SPLITS
from pipeline.reporting.markup import Table, number


def census_table(manifest: Path, datasets: Sequence[Path]) -> Table:
    """One row a fold and split: dialogues, utterances, labelled ones, speakers, hours and lengths."""
    spans = artefacts.load_table(manifest, ["utterance", "start", "end", "text"])
    rows = []
    for folder in datasets:
        columns = ["utterance", "dialogue", "split", "speaker", "label", "score"]
        joined = artefacts.load_table(folder / "utterances.parquet", columns).join(
            spans, on="utterance", how="left"
        )
        timed = artefacts.load_json(folder / "facts.json", ["timed"])["timed"]
        for split in SPLITS:
            part = joined.filter(pl.col("split") == split)
            if part.is_empty():
                continue
            # polars types a sum or mean for all kinds of columns at once
            seconds = part["end"] - part["start"]
            hours, length = cast(float, seconds.sum()) / 3600, cast(float | None, seconds.mean())
            words = part["text"].drop_nulls().str.count_matches(r"\S+")
            dialogues = part["dialogue"].n_unique()
            rows.append(
                [
                    folder.parent.name,
                    split,
                    str(dialogues),
                    str(part.height),
                    str(part.filter(pl.col("label").is_not_null() | pl.col("score").is_not_null()).height),
                    str(part["speaker"].n_unique()),
                    number(part.height / dialogues, 1),
                    _mean(hours if timed else None, 2),
                    _mean(length if timed else None, 2),
                    _mean(cast(float | None, words.mean()), 1),
                ]
            )
    header = ["fold", "split", "dialogues", "utterances", "labelled", "speakers"]
    header += ["utterances a dialogue", "hours", "mean length (s)", "words an utterance"]
    notes = ["Hours and lengths: of the utterances, from the start and end that the corpus names."]
    return Table("The corpus", header, [""] * len(header), rows, notes)


def _mean(value: float | None, digits: int) -> str:
    """A number, or a dash where the corpus does not tell."""
    return "–" if value is None else number(value, digits)
