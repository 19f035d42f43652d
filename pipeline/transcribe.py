"""Stage transcribe: the words of a video or sound file, with times and confidence, by a speech recogniser.

    python -m pipeline.transcribe --recogniser FOLDER --media talk.mp4 --words talk.words.parquet

The recogniser is a folder as the stage weights writes it. What is done of a long file is kept beside the
words until they are complete, so an interrupted job goes on where it was.
"""

import logging
from pathlib import Path

import numpy as np
from pydantic import Field

from pipeline.core import artefacts, stage
from pipeline.core.absence import FILE_MISSING
from pipeline.core.device import prepare
from pipeline.core.errors import PipelineError
from pipeline.core.streams import MediaAbsence
from pipeline.settings.compute import ComputeSettings
from pipeline.settings.media import MediaSettings
from pipeline.settings.recognition import DecodingSettings
from pipeline.speech import recognition
from pipeline.speech.hearing import heard

log = logging.getLogger("pipeline")


class Params(ComputeSettings):
    """Settings of the stage."""

    decoding: DecodingSettings = Field(DecodingSettings(), description="how sound becomes words")
    media: MediaSettings = Field(MediaSettings(), description="how media files are read")


def run(params: Params, *, recogniser: Path, media: Path, words: Path) -> None:
    """Write the table of words (docs/artefacts.md, "Words"); it is empty where nobody speaks or no sound is.

    Raises PipelineError for a file that is not there, and for what is no recogniser.
    """
    kept = words.with_name(f"{words.name}.pieces")
    device = prepare(params.device, params.threads)
    loaded = recognition.load(recogniser, params.decoding, device, params.threads)
    try:
        with heard(media, params.media) as sound:
            found = recognition.words(loaded, sound, kept)
    except MediaAbsence as lack:
        if lack.reason == FILE_MISSING:
            raise PipelineError(f"{lack}. Name a file that is there.") from lack
        log.info("no sound, so no words: %s", lack)
        found = recognition.words(loaded, np.zeros(0, np.float32), kept)
    log.info("%d words, language %s", len(found), found["language"][0] if len(found) else "unknown")
    artefacts.save_table(words, found)
    recognition.forget(kept)


if __name__ == "__main__":
    stage.main(run, Params, inputs=("recogniser", "media"), outputs=("words",), defaults=True)
