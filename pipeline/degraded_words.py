"""Stage degraded_words: what a speech recogniser hears in the degraded sound of test utterances.

The sound is degraded as the stage degraded_audio does it, with the same numbers drawn, and cut as the stage
recognised cuts it.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from pydantic import Field

from pipeline.core import artefacts, media, stage
from pipeline.core.device import prepare
from pipeline.core.progress import progress
from pipeline.core.registries.degradations import HEARD as KIND
from pipeline.degradation import sound as degradation
from pipeline.extraction.degraded import asked, tested
from pipeline.extraction.degraded_sound import Listener, Row, changed, crowd, in_files, spoken_rows
from pipeline.settings.compute import ComputeSettings
from pipeline.settings.media import MediaSettings
from pipeline.settings.recognition import DecodingSettings
from pipeline.settings.unreliable import UnreliableSettings
from pipeline.speech import recognition
from pipeline.speech.utterances import HEARD, heard

log = logging.getLogger("pipeline")


class Params(ComputeSettings):
    """Settings of the stage."""

    decoding: DecodingSettings = Field(DecodingSettings(), description="how sound becomes words")
    media: MediaSettings = Field(MediaSettings(), description="how media files are read")
    unreliable: UnreliableSettings = Field(UnreliableSettings(), description="what is done to the sound")


def run(
    params: Params,
    *,
    shard: Path,
    beside: Sequence[Path] = (),
    splits: Sequence[Path],
    recogniser: Path,
    told: Path,
) -> None:
    """Write `condition`, `utterance`, `text` and `words_confidence`, both null where no word is heard.

    beside: another shard, whose voices babble if all of this one are of one dialogue; or none. What is done
    of a shard is kept beside `told`, a file and condition at a time, until it is whole. Raises PipelineError
    for what is no recogniser, a shard that was edited, and babble without voices of others.
    """
    device = prepare(params.device, params.threads)
    settings = params.unreliable
    names = tested(shard, splits)
    own = [row for row in spoken_rows(shard) if row["utterance"] in set(names)]
    loaded = recognition.load(recogniser, params.decoding, device, params.threads)
    listener = Listener(params.media)

    def hear(row: Row) -> np.ndarray:
        whole = listener.whole(row["media"]).samples
        return media.cut(whole, row["start"], row["end"], Path(row["media"]))

    many = settings.heard_in in degradation.MANY
    voices = crowd(shard, beside, own, hear) if many else []

    def degrade(row: Row, sound: np.ndarray, level: float) -> np.ndarray:
        kind, seed = settings.heard_in, settings.seed
        return changed(listener, kind, level, row, sound, seed=seed, voices=voices)[0]

    kept = told.with_name(f"{told.name}.pieces")
    kept.mkdir(parents=True, exist_ok=True)
    conditions = {name: level for name, (kind, level) in asked(settings, "text").items() if kind == KIND}
    found = [pl.DataFrame(schema={"condition": pl.String, **HEARD})]
    for rows in progress(in_files(own), "files recognised"):
        clean = []
        for row in rows:
            try:
                clean.append((row, hear(row) if row["withheld"] is None else np.zeros(0, np.float32)))
            except media.MediaAbsence as lack:
                log.info("no sound, so no words: %s", lack)
                clean.append((row, np.zeros(0, np.float32)))
        for condition, level in conditions.items():
            sounds = [
                (row["utterance"], degrade(row, sound, level) if len(sound) else sound)
                for row, sound in clean
            ]
            table = heard(loaded, sounds, kept)
            found.append(table.select(pl.lit(str(condition)).alias("condition"), *HEARD))
        listener.forget(rows[0]["media"])
    whole = pl.concat(found)
    log.info("%d answers of the recogniser, in %d of them no word", len(whole), whole["text"].null_count())
    artefacts.save_table(told, whole)
    recognition.forget(kept)


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard", "beside*", "splits*", "recogniser"), outputs=("told",))
