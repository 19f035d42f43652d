"""The sound of utterances as it is encoded, or the reason why there is none."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.core import absence, media
from pipeline.settings.encoders import AudioSettings
from pipeline.settings.media import MediaSettings

log = logging.getLogger("pipeline")


def utterance_sound(
    sound: media.Heard, row: dict[str, Any], settings: AudioSettings, fewest: int, path: Path
) -> np.ndarray:
    """The samples of one utterance, as they are encoded: float32 (samples,), at least `fewest`.

    Raises media.MediaAbsence (out_of_range, damaged, silent, too_short).
    """
    piece = media.cut(sound.samples, row["start"], row["end"], path)
    for first, last in sound.damaged:
        if first < row["end"] and last > row["start"]:
            raise media.MediaAbsence(
                absence.DAMAGED,
                path,
                f"{row['utterance']}: what lies at {first:.3f}-{last:.3f} s is no sound",
            )
    if media.level(piece) < settings.silence:
        raise media.MediaAbsence(absence.SILENT, path, f"{row['utterance']} is below {settings.silence} dB")
    if len(piece) < max(fewest, round(settings.shortest * media.SAMPLE_RATE)):
        raise media.MediaAbsence(absence.TOO_SHORT, path, f"{row['utterance']} has {len(piece)} samples")
    return piece


class Sounds(NamedTuple):
    """The sounds of a file's utterances by name, the reasons of those without one, and `Heard.choice`."""

    sounds: list[tuple[str, np.ndarray]]  # float32 (samples,), 16 kHz
    reasons: list[tuple[str, str]]
    choice: dict[str, int | str]


def heard(rows: list[dict[str, Any]], settings: AudioSettings, reading: MediaSettings, fewest: int) -> Sounds:
    """The sounds of one file's utterances, of at least `fewest` samples each."""
    path = Path(rows[0]["media"])
    try:
        sound = media.hear(path, track=reading.track, most=reading.megabytes)
    except media.MediaAbsence as lack:
        log.info("%s", lack)
        return Sounds([], [(row["utterance"], lack.reason) for row in rows], {})
    if sound.choice:
        log.info("%s: %s", path, sound.choice)
    sounds, reasons = [], []
    for row in rows:
        try:
            sounds.append((row["utterance"], utterance_sound(sound, row, settings, fewest, path)))
        except media.MediaAbsence as lack:
            reasons.append((row["utterance"], lack.reason))
    return Sounds(sounds, reasons, sound.choice)
