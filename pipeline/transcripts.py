"""Stage transcripts: what is said in the media of a folder that have no transcript, as sentences with times.

One job takes a fixed share of the media, before the manifest is made of them.
"""

import logging
from pathlib import Path

import polars as pl
from pydantic import Field

from pipeline.core import artefacts, media, stage
from pipeline.core.device import prepare
from pipeline.core.progress import progress
from pipeline.corpora import folder
from pipeline.corpora.listing import located
from pipeline.settings.compute import ComputeSettings
from pipeline.settings.media import MediaSettings
from pipeline.settings.recognition import DecodingSettings, SentenceSettings
from pipeline.speech import recognition
from pipeline.speech.hearing import heard
from pipeline.speech.sentences import sentences

log = logging.getLogger("pipeline")


class Params(ComputeSettings):
    """Settings of the stage."""

    folder: str = Field("", description="the folder of media, as corpus.folder")
    time_table: str = Field("", description="a file there that is no transcript, as corpus.own.time_table")
    groups: int = Field(1, ge=1, description="jobs that the media are shared out to")
    group: int = Field(0, ge=0, description="the one of them that this is")
    decoding: DecodingSettings = Field(DecodingSettings(), description="how sound becomes words")
    sentences: SentenceSettings = Field(SentenceSettings(), description="how words become utterances")
    media: MediaSettings = Field(MediaSettings(), description="how media files are read")


def run(params: Params, *, recogniser: Path, told: Path) -> None:
    """Write the sentences of the group's media, columns as folder.TOLD; no row where nobody speaks.

    What is done is kept beside `told` until it is whole. Raises PipelineError for what is no recogniser, and
    for a folder that cannot be read.
    """
    device = prepare(params.device, params.threads)
    bare = folder.bare(located(params.folder), params.group, params.groups, params.time_table)
    loaded = recognition.load(recogniser, params.decoding, device, params.threads)
    kept = told.with_name(f"{told.name}.pieces")
    kept.mkdir(parents=True, exist_ok=True)
    rows = []
    for path in progress(bare, "files recognised"):
        try:
            with heard(path, params.media) as sound:
                words = recognition.words(loaded, sound, kept)
        except media.MediaAbsence as lack:
            log.info("no sound, so no words: %s", lack)
            continue
        for sentence in sentences(words, params.sentences):
            rows.append([path.as_posix(), sentence.start, sentence.end, sentence.text, sentence.confidence])
    log.info("%d sentences in %d files", len(rows), len(bare))
    artefacts.save_table(told, pl.DataFrame(rows, schema=folder.TOLD, orient="row"))
    recognition.forget(kept)


if __name__ == "__main__":
    stage.main(run, Params, inputs=("recogniser",), outputs=("told",))
