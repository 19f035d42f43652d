"""Who speaks in a video: the transcript's names, voices told apart, or one speaker; and what is doubted."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from models.modalities import MODALITIES
from pipeline.annotation.cutting import Video
from pipeline.annotation.perception import Perceived
from pipeline.core import media
from pipeline.core.errors import PipelineError
from pipeline.core.progress import progress
from pipeline.core.registries.speakers import speaker_encoder
from pipeline.corpora import transcripts
from pipeline.extraction.sound import utterance_sound
from pipeline.settings.encoders import AudioSettings
from pipeline.settings.speakers import TellingSettings
from pipeline.speech import speakers

log = logging.getLogger("pipeline")

NAME = "speaker {}"
SAID = {
    "given": "the speakers are those of the transcript",
    "found": "the speakers were told apart by their voices, and were found to be {number}",
    "counted": "the speakers were told apart by their voices, as {number} that were asked for",
    "one": "the speakers are not told apart ({why})",
}
# columns of a doubt; FACE is said before SHORT
FACE, SHORT = "face", "short"


@dataclass(frozen=True)
class Telling:
    """How the speakers of a video are told."""

    wanted: Literal["auto", "one", "found"] | int
    encoder: Path | None  # a folder of the stage weights
    settings: TellingSettings


def told(
    seen: Perceived, video: Video, telling: Telling, audio: AudioSettings, device: torch.device
) -> Perceived:
    """What was perceived, with a speaker and a doubt a row, and what is to be said of the speakers.

    Raises PipelineError if voices have to be told apart, and no encoder of voices is named.
    """
    named = any(row["speaker"] != transcripts.UNKNOWN for row in seen.rows)
    asked = telling.wanted not in ("auto", "one")
    if named and not asked:
        return _with_doubts(seen, [row["speaker"] for row in seen.rows], telling, {"source": "given"})
    if asked and telling.encoder is None:
        raise PipelineError(
            f"{video.path}: annotate.speakers is {telling.wanted}, and no encoder of voices is named. Make "
            "one with `python -m pipeline.weights --params PARAMS --folder FOLDER` (docs/annotate.md, Who "
            "speaks, has them) and name that folder with --voices; `snakemake annotate` does both."
        )
    why = ""
    if telling.wanted == "one":
        why = "annotate.speakers is one"
    elif video.heard is None:
        why = f"no sound: {video.deaf}"
    elif seen.cut == "windows":
        why = "nobody was found to speak"
    elif telling.encoder is None:
        why = "the weights of an encoder of voices are not there"
    if why or telling.encoder is None:
        return _with_doubts(
            seen, [transcripts.UNKNOWN] * len(seen.rows), telling, {"source": "one"}, {"why": why}
        )
    return _by_voice(seen, video, telling, telling.encoder, audio, device)


def _by_voice(
    seen: Perceived,
    video: Video,
    telling: Telling,
    encoder: Path,
    audio: AudioSettings,
    device: torch.device,
) -> Perceived:
    """The turns told apart by their voices; a turn that cannot be heard has no speaker."""
    settings, module = telling.settings, speaker_encoder(encoder)
    loaded, least = module.load(encoder, device), round(audio.shortest * media.SAMPLE_RATE)
    vectors, seconds, turns = [], [], []
    for turn, row in enumerate(progress(seen.rows, "voices told apart")):
        if row["withheld"] is not None or video.heard is None:
            continue
        try:
            sound = utterance_sound(video.heard, row, audio, least, video.path)
        except media.MediaAbsence as lack:
            log.debug("%s", lack)
            continue
        # one at a time: the sound lies on disk, and a long talk needs no more memory than a short one
        vectors.append(speakers.voice(loaded, np.asarray(sound)))
        seconds.append(len(sound) / media.SAMPLE_RATE)
        turns.append(turn)
    if not turns:
        return _with_doubts(
            seen,
            [transcripts.UNKNOWN] * len(seen.rows),
            telling,
            {"source": "one"},
            {"why": "no turn can be heard"},
        )
    distance = settings.distance or module.DISTANCE
    number = telling.wanted if isinstance(telling.wanted, int) else None
    lengths, stacked = np.array(seconds), np.stack(vectors)
    found = speakers.told_apart(stacked, lengths, distance, settings.shortest, number)
    names = [transcripts.UNKNOWN] * len(seen.rows)
    for turn, own in zip(turns, found, strict=True):
        names[turn] = NAME.format(own + 1)
    short = {turn for turn, length in zip(turns, lengths, strict=True) if length < settings.shortest}
    long = lengths >= settings.shortest
    within, between = speakers.spread(stacked[long], _packed(np.array(found)[long]))
    facts: dict[str, Any] = {
        "source": "found" if number is None else "counted",
        "number": max(found) + 1,
        "distance": distance if number is None else None,
        "within": None if within is None else round(within, 4),
        "between": None if between is None else round(between, 4),
    }
    return _with_doubts(seen, names, telling, facts, short=short if len(short) < len(turns) else set())


def _packed(own: np.ndarray) -> list[int]:
    """Numbers from 0 without gaps: a number that was asked for may hold short turns alone."""
    return np.unique(own, return_inverse=True)[1].tolist()


def _with_doubts(
    seen: Perceived,
    names: list[str],
    telling: Telling,
    facts: dict[str, Any],
    more: dict[str, str] | None = None,
    short: set[int] | frozenset[int] = frozenset(),
) -> Perceived:
    """The rows with these speakers, and with the turns whose face or length speaks against them."""
    known = {name: number for number, name in enumerate(dict.fromkeys(names))}
    own = [None if name == transcripts.UNKNOWN else known[name] for name in names]
    strange = speakers.strange_faces(
        seen.features["visual"],
        seen.available[:, MODALITIES.index("visual")],
        own,
        telling.settings.margin,
    )
    doubts = [FACE if strange[turn] else SHORT if turn in short else None for turn in range(len(names))]
    said = SAID[facts["source"]].format(**facts, **(more or {}))
    log.info("%s; turns whose face is usually another voice's: %d", said, int(strange.sum()))
    counts = {"doubted": {kind: doubts.count(kind) for kind in (FACE, SHORT)}, "said": said}
    rows = [{**row, "speaker": name} for row, name in zip(seen.rows, names, strict=True)]
    return replace(seen, rows=rows, doubts=doubts, speakers={**facts, **counts})
