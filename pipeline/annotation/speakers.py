"""Who speaks in a video: the transcript's names, voices told apart, or one speaker; and what is doubted."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from models.modalities import MODALITIES
from pipeline.annotation.cutting import Video
from pipeline.annotation.perception import Perceived
from pipeline.core.errors import PipelineError
from pipeline.core.progress import progress
from pipeline.core.registries.speakers import speaker_encoder
from pipeline.corpora import transcripts
from pipeline.settings.encoders import AudioSettings
from pipeline.settings.speakers import TellingSettings
from pipeline.speech import speakers

log = logging.getLogger("pipeline")

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
    distance = settings.distance or module.DISTANCE
    number = telling.wanted if isinstance(telling.wanted, int) else None
    loaded, rows = module.load(encoder, device), progress(seen.rows, "voices told apart")
    sounds = speakers.turn_sounds(video.heard, rows, audio, video.path) if video.heard is not None else []
    found = speakers.by_voice(loaded, sounds, distance, settings.shortest, number)
    if found is None:
        nobody, why = [transcripts.UNKNOWN] * len(seen.rows), {"why": "no turn can be heard"}
        return _with_doubts(seen, nobody, telling, {"source": "one"}, why)
    facts: dict[str, Any] = {
        "source": "found" if number is None else "counted",
        "number": max(own for own in found.own if own is not None) + 1,
        "distance": distance if number is None else None,
        "within": None if found.within is None else round(found.within, 4),
        "between": None if found.between is None else round(found.between, 4),
    }
    names = [name or transcripts.UNKNOWN for name in found.names]
    return _with_doubts(seen, names, telling, facts, short=found.short)


def _with_doubts(
    seen: Perceived,
    names: list[str],
    telling: Telling,
    facts: dict[str, Any],
    more: dict[str, str] | None = None,
    short: frozenset[int] = frozenset(),
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
