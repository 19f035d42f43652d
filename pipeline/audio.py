"""Stage audio: one vector an utterance from its sound."""

import logging
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.core import absence, media, stage
from pipeline.core.device import prepare
from pipeline.core.registries import encoders
from pipeline.extraction.feature_table import FeatureTable, pooling
from pipeline.extraction.shard import check_generated, load_shard
from pipeline.extraction.sound import heard
from pipeline.reruns.partial import Piece, Pieces, in_pieces, run_digest
from pipeline.settings.compute import ComputeSettings
from pipeline.settings.encoders import AudioSettings
from pipeline.settings.media import MediaSettings

log = logging.getLogger("pipeline")

PIECE = 32  # utterances, at least, that are kept together if the stage is interrupted


class Params(ComputeSettings):
    """Settings of the stage."""

    encoder: AudioSettings = AudioSettings()
    media: MediaSettings = MediaSettings()


def run(params: Params, *, shard: Path, encoder: Path, features: Path, index: Path) -> None:
    """Encode the sound of one shard, one media file at a time; an interrupted shard goes on by pieces."""
    device = prepare(params.device, params.threads)
    check_generated(shard)
    table = load_shard(shard, ["utterance", "media", "start", "end", "withheld"])
    used = table.filter(pl.col("withheld").is_null())
    files = [group.to_dicts() for group in used.partition_by("media", maintain_order=True)]
    model = encoders.encoder("audio", encoder).load(encoder, params.encoder, device)
    pool = pooling(model)

    def encoded(piece: list[list[dict[str, Any]]]) -> Piece:
        names = [row["utterance"] for rows in piece for row in rows]
        part = FeatureTable.of(model, names, params.encoder.frames)
        for rows in piece:
            sounds, reasons, choice = heard(rows, params.encoder, params.media, model.shortest)
            if choice:
                part.notes[rows[0]["media"]] = choice
            for name, reason in reasons:
                part.absent(name, reason)
            for (name, _), frames in zip(sounds, model.encode([sound for _, sound in sounds]), strict=True):
                part.add(name, frames, pool)
        return part.packed()

    inputs = [shard, encoder, *(Path(rows[0]["media"]) for rows in files)]
    settings = params.model_dump(mode="json")
    digest = run_digest("pipeline.audio", settings, inputs, device.type, also=[type(model).__module__])
    pieces = Pieces(features, digest)
    output = FeatureTable.of(model, table["utterance"].to_list(), params.encoder.frames)
    for name, reason in table.filter(pl.col("withheld").is_not_null())["utterance", "withheld"].iter_rows():
        output.absent(name, reason)
    for piece in pieces.of(in_pieces(files, PIECE), encoded):
        output.put(piece)
    # tracks that cannot be decoded are absences, for the pictures may be there; a wrong path lacks the files
    asked = [output.reason[output.place[name]] for name in used["utterance"]]
    media.check_readable(used["media"].to_list(), asked, faults=(absence.FILE_MISSING,))
    output.save(features, index)
    pieces.clear()


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard", "encoder"), outputs=("features", "index"))
