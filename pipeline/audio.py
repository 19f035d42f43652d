"""Stage audio: one vector an utterance from its sound."""

import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import Field

from pipeline import artefacts, device, media, stage
from pipeline.encoders import registry
from pipeline.features import FeatureTable
from pipeline.partial import Piece, Pieces, in_pieces, run_digest
from pipeline.settings.base import Settings
from pipeline.settings.encoders import AudioSettings

log = logging.getLogger("pipeline")

PIECE = 32  # utterances, at least, that are kept together if the stage is interrupted


class Params(Settings):
    """Settings of the stage."""

    encoder: AudioSettings = AudioSettings()
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where torch computes")
    threads: int = Field(1, ge=1, description="torch threads on the CPU")


def utterance_sound(
    sound: np.ndarray, row: dict[str, Any], settings: AudioSettings, fewest: int, path: Path
) -> np.ndarray:
    """The samples of one utterance, as they are encoded: float32 (samples,), at least `fewest`.

    sound: as from media.audio. Raises media.MediaAbsence (out_of_range, silent, too_short).
    """
    piece = media.cut(sound, row["start"], row["end"], path)
    if media.level(piece) < settings.silence:
        raise media.MediaAbsence(media.SILENT, path, f"{row['utterance']} is below {settings.silence} dB")
    if len(piece) < max(fewest, round(settings.shortest * media.SAMPLE_RATE)):
        raise media.MediaAbsence(media.TOO_SHORT, path, f"{row['utterance']} has {len(piece)} samples")
    return piece


def heard(
    rows: list[dict[str, Any]], settings: AudioSettings, fewest: int
) -> tuple[list[tuple[str, np.ndarray]], list[tuple[str, str]]]:
    """The sounds of one file's utterances, and the reasons of those that have none."""
    path = Path(rows[0]["media"])
    try:
        sound = media.audio(path)
    except media.MediaAbsence as absence:
        log.info("%s", absence)
        return [], [(row["utterance"], absence.reason) for row in rows]
    sounds, reasons = [], []
    for row in rows:
        try:
            sounds.append((row["utterance"], utterance_sound(sound, row, settings, fewest, path)))
        except media.MediaAbsence as absence:
            reasons.append((row["utterance"], absence.reason))
    return sounds, reasons


def run(params: Params, *, shard: Path, encoder: Path, features: Path, index: Path) -> None:
    """Encode the sound of one shard, one media file at a time; an interrupted shard goes on by pieces."""
    torch_device = device.prepare(params.device, params.threads)
    table = artefacts.load_table(shard, ["utterance", "media", "start", "end", "withheld"])
    used = table.filter(pl.col("withheld").is_null())
    files = [group.to_dicts() for group in used.partition_by("media", maintain_order=True)]
    model = registry.encoder("audio", encoder).load(encoder, params.encoder, torch_device)

    def encoded(piece: list[list[dict[str, Any]]]) -> Piece:
        names = [row["utterance"] for rows in piece for row in rows]
        part = FeatureTable(names, model.dimension, params.encoder.frames)
        for rows in piece:
            sounds, reasons = heard(rows, params.encoder, model.shortest)
            for name, reason in reasons:
                part.absent(name, reason)
            for (name, _), frames in zip(sounds, model.encode([sound for _, sound in sounds]), strict=True):
                part.add(name, frames)
        return part.packed()

    inputs = [shard, encoder, *(Path(rows[0]["media"]) for rows in files)]
    settings = params.model_dump(mode="json")
    digest = run_digest("pipeline.audio", settings, inputs, torch_device.type, also=[type(model).__module__])
    pieces = Pieces(features, digest)
    output = FeatureTable(table["utterance"].to_list(), model.dimension, params.encoder.frames)
    for name, reason in table.filter(pl.col("withheld").is_not_null())["utterance", "withheld"].iter_rows():
        output.absent(name, reason)
    for piece in pieces.of(in_pieces(files, PIECE), encoded):
        output.put(piece)
    # tracks that cannot be decoded are absences, for the pictures may be there; a wrong path lacks the files
    asked = [output.reason[output.place[name]] for name in used["utterance"]]
    media.check_readable(used["media"].to_list(), asked, faults=(media.FILE_MISSING,))
    output.save(features, index)
    pieces.clear()


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard", "encoder"), outputs=("features", "index"))
