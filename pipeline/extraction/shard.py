"""The slice of the manifest that an extraction stage reads, checked, and the words of its utterances."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from pipeline.core import absence, artefacts
from pipeline.core.digests import file_digest
from pipeline.core.errors import PipelineError
from pipeline.core.origins import source_of

TYPES = {
    "utterance": pl.String,
    "text": pl.String,
    "media": pl.String,
    "start": pl.Float64,
    "end": pl.Float64,
    "crop": pl.List(pl.Float32),
    "withheld": pl.String,
    "words_confidence": pl.Float32,
}
NEVER_NULL = ("utterance", "media", "start", "end")


def load_shard(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    """Columns of a shard's table, of the types that the manifest gives them.

    Raises PipelineError if it is damaged or was edited: another type, an empty cell, an utterance twice, or
    times that are none.
    """
    table = artefacts.load_table(path, {name: TYPES[name] for name in columns})
    for name in set(columns) & set(NEVER_NULL):
        if table[name].null_count():
            row = int(table[name].is_null().arg_max() or 0)
            raise _edited(path, row, f"{name} is empty")
    twice = table["utterance"].is_duplicated()
    if twice.any():
        raise _edited(
            path, int(twice.arg_max() or 0), f"the utterance {table.filter(twice)['utterance'][0]!r} is twice"
        )
    if "start" in columns and "end" in columns:
        good = table["start"].is_finite() & table["end"].is_finite() & (table["start"] < table["end"])
        if not good.all():
            row = int((~good).arg_max() or 0)
            raise _edited(path, row, f"start {table['start'][row]} and end {table['end'][row]} are no times")
    return table


def load_words(path: Path, unsure: float | None) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """The names of a shard's utterances, the words of those that have some, and why the others have none.

    unsure: the confidence below which recognised words are an absence; None if the words were given. Raises
    PipelineError as `load_shard` does.
    """
    known = [] if unsure is None else ["words_confidence"]
    table = load_shard(path, ["utterance", "text", *known])
    texts: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for name, text, *confidence in table.iter_rows():
        if text is None or not text.strip():
            reasons[name] = absence.NO_TEXT
        elif unsure is not None and confidence[0] is not None and confidence[0] < unsure:
            reasons[name] = absence.ASR_UNSURE
        else:
            texts[name] = text
    return table["utterance"].to_list(), texts, reasons


def load_confidence(path: Path, unsure: float | None) -> dict[str, float]:
    """How sure the recogniser was of the words of a shard's utterances; of given words nothing is said.

    unsure: as of `load_words`. Raises PipelineError as `load_shard` does.
    """
    if unsure is None:
        return {}
    table = load_shard(path, ["utterance", "words_confidence"])
    return dict(table.drop_nulls("words_confidence").iter_rows())


def _edited(path: Path, row: int, what: str) -> PipelineError:
    return PipelineError(
        f"{path}, row {row}: {what}, so the table is not as it was written. {source_of(path).mend}"
    )


def check_generated(path: Path) -> None:
    """Raise PipelineError if a video of the embedded corpus is not as it was when the shard was cut.

    path: of the shard. Files of other corpora are their owner's, and nothing here knows their digests.
    """
    table = artefacts.load_table(path)
    if "medium" not in table.columns:
        return
    for name, digest in table.select("media", "medium").unique(maintain_order=True).drop_nulls().iter_rows():
        file = Path(name)
        if len(digest) == 64 and file.is_file() and file_digest(file) != digest:
            raise PipelineError(
                f"{file}: its SHA-256 is not the one of {path}, so it was damaged, or made anew, after the "
                f"manifest. {source_of(file).mend}"
            )
