"""Stage recognised: what a speech recogniser hears in the utterances of one shard, in place of their words.

Times and everything else of an utterance stay as the corpus gives them; only its words are another's.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import Field

from pipeline.core import absence, artefacts, media, stage
from pipeline.core.device import prepare
from pipeline.core.progress import progress
from pipeline.extraction.degraded import tested
from pipeline.extraction.shard import check_generated, load_shard
from pipeline.settings.compute import ComputeSettings
from pipeline.settings.media import MediaSettings
from pipeline.settings.recognition import DecodingSettings
from pipeline.speech import hearing, recognition
from pipeline.speech.utterances import HEARD, heard

log = logging.getLogger("pipeline")

READ = ["utterance", "media", "start", "end", "withheld"]


class Params(ComputeSettings):
    """Settings of the stage."""

    decoding: DecodingSettings = Field(DecodingSettings(), description="how sound becomes words")
    media: MediaSettings = Field(MediaSettings(), description="how media files are read")


def run(params: Params, *, shard: Path, recogniser: Path, splits: Sequence[Path] = (), told: Path) -> None:
    """Write the shard's table with recognised `text` and its `words_confidence`, null where no word is heard.

    splits: of all folds, if the utterances that some fold tests are wanted alone; then others have no row.

    What is done of a shard is kept beside `told`, a file at a time, until it is whole. Raises PipelineError
    for what is no recogniser, a shard that was edited, and media none of which is there.
    """
    device = prepare(params.device, params.threads)
    check_generated(shard)
    table, given = load_shard(shard, READ), artefacts.load_table(shard)
    if splits:
        names = tested(shard, splits)
        table, given = (one.filter(pl.col("utterance").is_in(names)) for one in (table, given))
    loaded = recognition.load(recogniser, params.decoding, device, params.threads)
    kept = told.with_name(f"{told.name}.pieces")
    kept.mkdir(parents=True, exist_ok=True)
    found, lacking = [pl.DataFrame(schema=HEARD)], {}
    files = [group.to_dicts() for group in table.partition_by("media", maintain_order=True)]
    for rows in progress(files, "files recognised"):
        try:
            with hearing.heard(Path(rows[0]["media"]), params.media) as sound:
                found.append(heard(loaded, pieces(sound, rows), kept))
        except media.MediaAbsence as lack:
            log.info("%s", lack)
            lacking[rows[0]["media"]] = lack.reason
    # a wrong path lacks all files
    reasons = [lacking.get(name) for name in table["media"]]
    media.check_readable(table["media"].to_list(), reasons, faults=(absence.FILE_MISSING,))
    # of a folder whose transcripts are in part recognised
    given = given.drop("words", "words_confidence", strict=False)
    whole = given.drop("text").join(pl.concat(found), on="utterance", how="left", maintain_order="left")
    whole = whole.select(*given.columns, "words_confidence", words=pl.lit("recognised"))
    silent = whole["text"].null_count()
    log.info("%d utterances, in %d of them no word was recognised", len(whole), silent)
    artefacts.save_table(told, whole)
    recognition.forget(kept)


def pieces(sound: np.ndarray, rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, np.ndarray]]:
    """One file's utterances with their samples, float32; none of those that are withheld."""
    for row in rows:
        first, last = (round(row[edge] * media.SAMPLE_RATE) for edge in ("start", "end"))
        yield row["utterance"], np.asarray(sound[first:last] if row["withheld"] is None else sound[:0])


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard", "recogniser", "splits*"), outputs=("told",))
