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
from pipeline.progress import progress
from pipeline.settings.base import Settings
from pipeline.settings.encoders import AudioSettings

log = logging.getLogger("pipeline")


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
    """Encode the sound of one shard, one media file at a time."""
    torch_device = device.prepare(params.device, params.threads)
    table = artefacts.load_table(shard, ["utterance", "media", "start", "end", "withheld"])
    used = table.filter(pl.col("withheld").is_null())
    model = registry.encoder("audio", encoder).load(encoder, params.encoder, torch_device)
    output = FeatureTable(table["utterance"].to_list(), model.dimension, params.encoder.frames)
    for name, reason in table.filter(pl.col("withheld").is_not_null())["utterance", "withheld"].iter_rows():
        output.absent(name, reason)
    for group in progress(used.partition_by("media", maintain_order=True), "files"):
        sounds, reasons = heard(group.to_dicts(), params.encoder, model.shortest)
        for name, reason in reasons:
            output.absent(name, reason)
        for (name, _), frames in zip(sounds, model.encode([sound for _, sound in sounds]), strict=True):
            output.add(name, frames)
    media.check_readable(table["media"].to_list(), output.reason)
    output.save(features, index)


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard", "encoder"), outputs=("features", "index"))
