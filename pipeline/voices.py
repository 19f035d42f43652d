"""Stage voices: which voice says each recognised sentence of the media of a folder that have no transcript.

One job takes the media of one job of the stage transcripts. Speakers are told apart within a file alone.
"""

import logging
import tempfile
from pathlib import Path

import polars as pl
from pydantic import Field

from pipeline.core import artefacts, media, stage
from pipeline.core.device import prepare
from pipeline.core.progress import progress
from pipeline.core.registries.speakers import speaker_encoder
from pipeline.corpora import folder
from pipeline.reruns.partial import Piece, Pieces, run_digest
from pipeline.settings.compute import ComputeSettings
from pipeline.settings.encoders import AudioSettings
from pipeline.settings.media import MediaSettings
from pipeline.settings.speakers import TellingSettings
from pipeline.speech import speakers

log = logging.getLogger("pipeline")


class Params(ComputeSettings):
    """Settings of the stage."""

    encoder: AudioSettings = AudioSettings()  # below which length and level a sentence cannot be heard
    telling: TellingSettings = Field(TellingSettings(), description="when two voices are two people")
    media: MediaSettings = Field(MediaSettings(), description="how media files are read")


def run(params: Params, *, told: Path, encoder: Path, voices: Path) -> None:
    """Write the sentences of `told`, columns as folder.SAID: with a `speaker`, null where none can be heard.

    encoder: of voices, as the stage weights writes it. An interrupted job goes on, a file at a time. Raises
    PipelineError for what is no encoder of voices.
    """
    device = prepare(params.device, params.threads)
    sentences = artefacts.load_table(told, folder.TOLD)
    module = speaker_encoder(encoder)
    loaded = module.load(encoder, device)
    distance = params.telling.distance or module.DISTANCE

    def tell(rows: pl.DataFrame) -> Piece:
        path = Path(rows["media"][0])
        turns = rows.select("start", "end", utterance="text", withheld=pl.lit(None)).to_dicts()
        try:
            with tempfile.TemporaryDirectory() as spare:
                spooled = Path(spare) / "sound"
                sound = media.hear(path, spooled, track=params.media.track, most=params.media.megabytes)
                heard = speakers.turn_sounds(sound, turns, params.encoder, path)
                found = speakers.by_voice(loaded, heard, distance, params.telling.shortest)
        except media.MediaAbsence as lack:
            log.info("%s", lack)
            found = None
        return {}, [None] * len(rows) if found is None else found.names

    files = sentences.partition_by("media", maintain_order=True)
    inputs = [told, encoder, *(Path(rows["media"][0]) for rows in files)]
    settings = params.model_dump(mode="json")
    digest = run_digest("pipeline.voices", settings, inputs, device.type, also=[module.__name__])
    pieces, names = Pieces(voices, digest), []
    for _, own in progress(pieces.of(files, tell), "files told apart", len(files)):
        names += own
    artefacts.save_table(voices, sentences.with_columns(speaker=pl.Series(names, dtype=pl.String)))
    pieces.clear()
    unheard = names.count(None)
    log.info("%d sentences in %d files, %d of them of nobody", len(names), len(files), unheard)


if __name__ == "__main__":
    stage.main(run, Params, inputs=("told", "encoder"), outputs=("voices",))
