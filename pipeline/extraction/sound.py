"""The sound of utterances as it is encoded, or the reason why there is none."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core import absence, media
from pipeline.settings.encoders import AudioSettings

log = logging.getLogger("pipeline")


def utterance_sound(
    sound: np.ndarray, row: dict[str, Any], settings: AudioSettings, fewest: int, path: Path
) -> np.ndarray:
    """The samples of one utterance, as they are encoded: float32 (samples,), at least `fewest`.

    sound: as from media.audio. Raises media.MediaAbsence (out_of_range, silent, too_short).
    """
    piece = media.cut(sound, row["start"], row["end"], path)
    if media.level(piece) < settings.silence:
        raise media.MediaAbsence(absence.SILENT, path, f"{row['utterance']} is below {settings.silence} dB")
    if len(piece) < max(fewest, round(settings.shortest * media.SAMPLE_RATE)):
        raise media.MediaAbsence(absence.TOO_SHORT, path, f"{row['utterance']} has {len(piece)} samples")
    return piece


def heard(
    rows: list[dict[str, Any]], settings: AudioSettings, fewest: int
) -> tuple[list[tuple[str, np.ndarray]], list[tuple[str, str]]]:
    """The sounds of one file's utterances, and the reasons of those that have none."""
    path = Path(rows[0]["media"])
    try:
        sound = media.audio(path)
    except media.MediaAbsence as lack:
        log.info("%s", lack)
        return [], [(row["utterance"], lack.reason) for row in rows]
    sounds, reasons = [], []
    for row in rows:
        try:
            sounds.append((row["utterance"], utterance_sound(sound, row, settings, fewest, path)))
        except media.MediaAbsence as lack:
            reasons.append((row["utterance"], lack.reason))
    return sounds, reasons
