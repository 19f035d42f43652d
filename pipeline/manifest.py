"""Stage manifest: one checked table of all utterances of a corpus, and its slices for extraction."""

import hashlib
import logging
import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from pipeline.core import artefacts, stage
from pipeline.core.digests import file_digest
from pipeline.core.errors import PipelineError
from pipeline.core.registries import corpora
from pipeline.corpora.listing import files, located
from pipeline.corpora.rows import ROWS, WORDS, Corpus
from pipeline.settings.base import Settings
from pipeline.settings.corpus import CorpusSettings

log = logging.getLogger("pipeline")

SLICE = ["dialogue", "position", "utterance", "speaker", "text", "media", "start", "end", "crop", "withheld"]


class Params(Settings):
    """Settings of the stage."""

    corpus: CorpusSettings = CorpusSettings()


def medium(path: Path, *, whole: bool) -> str:
    """What tells a medium from another of the same name: its digest, or its size; empty without a file.

    whole: by its digest; of a corpus on disk the size must do, for reading all of it would take too long.
    """
    if not os.path.isfile(path):
        return ""
    return file_digest(path) if whole else str(path.stat().st_size)


def _with_media(rows: pl.DataFrame, corpus: Corpus, *, whole: bool) -> pl.DataFrame:
    """The rows with a column `medium`, so that the slice of another picture or sound is another slice."""
    names = rows["media"].unique(maintain_order=True).to_list()
    marks = [medium(Path(name), whole=whole) if corpus.timed else "" for name in names]
    return rows.with_columns(medium=pl.col("media").replace_strict(names, marks, return_dtype=pl.String))


def shard_of(dialogue: str, shards: int) -> int:
    """The shard of a dialogue: it depends on nothing but the name and the number of shards."""
    digest = hashlib.sha256(dialogue.encode()).digest()
    return int.from_bytes(digest[:8], "big") % shards


def _fault(rows: pl.DataFrame, what: str, mend: str) -> PipelineError:
    """The error of the first of the faulty rows."""
    row = rows.row(0, named=True)
    where = f"manifest, utterance {row.get('utterance')!r} of dialogue {row.get('dialogue')!r}"
    return PipelineError(f"{where}: {what.format(**row)} ({rows.height} such row(s)). {mend}")


def check(corpus: Corpus) -> None:
    """Raise PipelineError naming the first row that breaks a rule of docs/artefacts.md."""
    rows = corpus.rows
    if dict(rows.schema) not in (ROWS, ROWS | WORDS):
        raise PipelineError(f"adapter: the columns must be {ROWS}, not {dict(rows.schema)}.")
    if not rows.height:
        raise PipelineError("manifest: the corpus has no utterances. Check corpus.folder in the config.")
    adapter = "Mend the annotation, or the adapter that reads it."
    column = pl.col
    crop = column("crop").list
    rules = [
        (
            pl.any_horizontal(column("dialogue", "position", "utterance", "speaker", "media").is_null()),
            "dialogue, position, utterance, speaker and media must not be null",
        ),
        (column("utterance").is_duplicated(), "the utterance name {utterance} occurs more than once"),
        (
            pl.struct("dialogue", "position").is_duplicated(),
            "position {position} is taken twice in this dialogue",
        ),
        (
            ~(column("start").is_finite() & column("end").is_finite()).fill_null(False),
            "start and end must be numbers, not {start} and {end}",
        ),
        (column("start") < 0, "start {start} s lies before the file"),
        (column("start") >= column("end"), "start {start} s is not before end {end} s"),
        (
            (column("label") < 0) | (column("label") >= len(corpus.labels)),
            "label {label} is not an index into the label names",
        ),
        (column("score").is_infinite() | column("score").is_nan(), "score {score} is not finite"),
        (
            (crop.len() != 4)
            | (crop.min() < 0)
            | (crop.max() > 1)
            | (crop.get(0, null_on_oob=True) >= crop.get(2, null_on_oob=True))
            | (crop.get(1, null_on_oob=True) >= crop.get(3, null_on_oob=True)),
            "crop {crop} is not x0 < x1, y0 < y1 within 0..1",
        ),
        (
            (column("split").fill_null("").n_unique().over("dialogue") > 1),
            "the dialogue lies in more than one split",
        ),
        (
            (column("group").fill_null("").n_unique().over("dialogue") > 1),
            "the dialogue lies in more than one group",
        ),
    ]
    for broken, what in rules:
        faulty = rows.filter(broken.fill_null(False))
        if faulty.height:
            raise _fault(faulty, what, adapter)
    wanted = column("label") if corpus.task == "classification" else column("score")
    if not rows.filter(wanted.is_not_null()).height:
        # a folder of one's own may have no labels at all
        log.info("no utterance has what %s needs: features can be extracted, nothing trained", corpus.task)


def run(
    params: Params, *, parts: Sequence[Path], manifest: Path, facts: Path, shards: Sequence[Path]
) -> None:
    """Read, check and slice a corpus."""
    if len(shards) != params.corpus.shards:
        raise PipelineError(
            f"--shards: {len(shards)} paths for corpus.shards = {params.corpus.shards}; pass one a shard."
        )
    if params.corpus.folder:
        # an adapter that searches by name passes over what may not be listed
        deque(files(located(params.corpus.folder)), maxlen=0)
    adapter = corpora.adapter(params.corpus.name)
    corpus = adapter.read(params.corpus, parts)
    check(corpus)
    rows = corpus.rows.sort("dialogue", "position").with_columns(
        shard=pl.col("dialogue").map_elements(
            lambda name: shard_of(name, params.corpus.shards), return_dtype=pl.Int32
        )
    )
    artefacts.save_table(manifest, rows)
    columns = [*SLICE, *(name for name in WORDS if name in rows.columns), "medium"]
    marked = _with_media(rows, corpus, whole=params.corpus.row.generated)
    for number, path in enumerate(shards):
        artefacts.save_table(path, marked.filter(shard=number).select(columns))
    counts = {
        "corpus": rows["corpus"][0],
        "task": corpus.task,
        "labels": list(corpus.labels),
        "utterances": rows.height,
        "dialogues": rows["dialogue"].n_unique(),
        "folds": list(params.corpus.row.folds or corpus.folds),
        "timed": corpus.timed,
    }
    artefacts.save_json(facts, counts)
    sizes = rows.group_by("shard").len().sort("shard")["len"].to_list()
    log.info("%d utterances in %d dialogues; shards of %s", counts["utterances"], counts["dialogues"], sizes)


if __name__ == "__main__":
    stage.main(run, Params, inputs=("parts*",), outputs=("manifest", "facts", "shards*"))
