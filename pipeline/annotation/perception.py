"""What a model perceives of one video: its utterances, their features, and why a modality is missing.

The features are made by the code of the extraction stages. Everything is read as it comes: a long video needs
little more memory than a short one.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import torch

from models.modalities import MODALITIES
from pipeline.annotation.exported import ExportedModel
from pipeline.core import absence, media
from pipeline.core.errors import PipelineError
from pipeline.core.progress import progress
from pipeline.core.registries import detectors, encoders
from pipeline.core.soundtrack import LONGEST_GAP
from pipeline.corpora import times, transcripts
from pipeline.extraction import faces
from pipeline.extraction.feature_table import FeatureTable, pooling
from pipeline.extraction.sound import utterance_sound
from pipeline.settings.annotate import SpeechSettings
from pipeline.settings.media import MediaSettings
from pipeline.speech import activity

log = logging.getLogger("pipeline")

TOGETHER = 32  # utterances whose sound or words are encoded at once
CUTS = {
    "transcript": "the utterances are those of {transcript}",
    "speech": (
        "there is no transcript: the utterances were found by the energy of the sound, text is missing, and "
        "the speakers are not told apart"
    ),
    "windows": (
        "there is no transcript and {why}: the video was cut into equal pieces of at most {window:g} s, and "
        "the picture alone is judged"
    ),
}


@dataclass(frozen=True)
class Video:
    """One video and its sound; `sound` is None with the reason why."""

    path: Path
    duration: float  # s, of the longest stream
    heard: media.Heard | None
    deaf: str  # empty if there is sound
    blind: str | None  # reason why there is no picture

    @property
    def sound(self) -> np.ndarray | None:
        """Float32 (samples,), 16 kHz."""
        return None if self.heard is None else self.heard.samples


@dataclass(frozen=True)
class Perceived:
    """U utterances in the order of their starts."""

    rows: list[dict[str, Any]]  # utterance, speaker, text, start, end
    cut: str  # a key of CUTS
    said: str  # CUTS[cut], filled in
    features: dict[str, np.ndarray]  # by modality, float32 (U, D), zeros where missing
    reasons: dict[str, list[str | None]]  # by modality; None where it was read
    boxes: pl.DataFrame  # the followed faces, columns as faces.CROPS
    repaired: dict[str, int]  # what was repaired or left out of the transcript, with its counts

    @property
    def available(self) -> np.ndarray:
        """bool (U, 3), in the order of the modalities."""
        return np.array([[reason is None for reason in self.reasons[name]] for name in MODALITIES]).T


def open_video(path: Path, spool: Path, reading: MediaSettings) -> Video:
    """Read the sound (onto disk, into `spool`) and find out whether there is a picture.

    Raises PipelineError if the file is missing, cannot be read, holds neither, or has no length.
    """
    try:
        declared = media.probe(path)
    except media.MediaAbsence as lack:
        raise PipelineError(f"{lack}. Give a video that a player can open.") from lack
    sound, deaf, blind = None, "", None
    try:
        sound = media.hear(path, spool, track=reading.track, most=reading.megabytes)
    except media.MediaAbsence as lack:
        deaf = lack.reason
    try:
        media.first_picture(path, most=reading.megabytes)
    except media.MediaAbsence as lack:
        blind = lack.reason
    if sound is None and blind is not None:
        raise PipelineError(
            f"{path}: it holds neither picture ({blind}) nor sound ({deaf}) that can be decoded. Convert it "
            "with a tool that can read it, or give another file."
        )
    duration = max(declared.duration, 0.0 if sound is None else len(sound.samples) / media.SAMPLE_RATE)
    if duration > LONGEST_GAP:
        # a wrong timestamp must not make hours of nothing
        held = max(media.length(path), 0.0 if sound is None else len(sound.samples) / media.SAMPLE_RATE)
        duration = duration if duration <= held + 1 else held
    if duration <= 0:
        duration = media.picture_length(path)
    if duration <= 0:
        raise PipelineError(
            f"{path}: it has no length: one picture, and no sound. Give a video, or convert it with a tool "
            "that writes how long the picture is shown."
        )
    return Video(path, duration, sound, deaf, blind)


def utterances(
    video: Video, transcript: Path | None, settings: SpeechSettings
) -> tuple[list[dict], str, str, dict[str, int]]:
    """The rows of all utterances, how they were cut (a key of CUTS), that in words, and what was repaired.

    Raises PipelineError for a transcript that cannot be read or holds nothing.
    """
    facts: dict[str, Any] = {"transcript": transcript, "window": settings.window}
    repaired: dict[str, int] = {}
    if transcript is not None:
        (cues, repaired), cut = transcripts.told(transcript), "transcript"
        if not cues:
            raise PipelineError(
                f"{transcript}: it holds no utterance. Complete it, or leave it out: then speech is looked "
                "for in the sound."
            )
        told = [_told(cue, video) for cue in cues]
    else:
        spans = [] if video.sound is None else activity.utterances(video.sound, settings)
        cut = "speech" if spans else "windows"
        facts["why"] = (
            f"no sound ({video.deaf})" if video.sound is None else "no speech was found in its sound"
        )
        spans = spans or activity.windows(video.duration, settings.window)
        nobody = {"speaker": transcripts.UNKNOWN, "text": None, "withheld": None}
        told = [{"start": start, "end": end, **nobody} for start, end in spans]
    rows = [
        {"utterance": str(number), "media": str(video.path), "crop": None, **row}
        for number, row in enumerate(told)
    ]
    return rows, cut, CUTS[cut].format(**facts), repaired


def _told(cue: transcripts.Cue, video: Video) -> dict[str, Any]:
    """The row of a cue; what lasts longer than the video ends with it."""
    own = times.span(cue.start, cue.end, video.duration, cue.where)
    # what begins after the video is out of its range, and is said to be
    end = min(own.end, video.duration) if own.start < video.duration and own.withheld is None else own.end
    return {
        "start": own.start,
        "end": end,
        "speaker": cue.speaker,
        "text": cue.text,
        "withheld": own.withheld,
    }


def perceive(
    model: ExportedModel,
    video: Video,
    transcript: Path | None,
    settings: SpeechSettings,
    device: torch.device,
    threads: int,
) -> Perceived:
    """Find the utterances and extract what the model reads of them."""
    rows, cut, said, repaired = utterances(video, transcript, settings)
    log.info("%d utterances: %s", len(rows), said)
    shown = model.facts.shown
    tables = {
        name: FeatureTable([row["utterance"] for row in rows], model.dimensions[name], keep_frames=False)
        for name in MODALITIES
    }
    boxes: list[dict] = []
    for name in MODALITIES:
        if name not in shown:
            _all_absent(tables[name], absence.NOT_READ)
    if "text" in shown:
        _words(
            model,
            rows,
            tables["text"],
            device,
            absence.NO_TEXT if cut == "transcript" else absence.NO_TRANSCRIPT,
        )
    if "audio" in shown:
        if cut == "windows":
            _all_absent(tables["audio"], video.deaf or absence.NO_SPEECH)
        else:
            _voices(model, video, rows, tables["audio"], device)
    if "visual" in shown:
        # where nobody speaks, no mouth can tell the speaker
        sound = None if cut == "windows" else video.sound
        boxes = _faces(model, video, rows, sound, tables["visual"], device, threads)
    return Perceived(
        rows,
        cut,
        said,
        {name: table.pooled for name, table in tables.items()},
        {name: table.reason for name, table in tables.items()},
        pl.DataFrame(boxes, schema=faces.CROPS).sort("time", maintain_order=True),
        repaired,
    )


def _all_absent(table: FeatureTable, reason: str) -> None:
    for name in table.utterances:
        table.absent(name, reason)


def _given(rows: list[dict], table: FeatureTable) -> list[dict]:
    """The rows whose sound and picture may be used; the others are absent with their reason."""
    for row in rows:
        if row["withheld"] is not None:
            table.absent(row["utterance"], row["withheld"])
    return [row for row in rows if row["withheld"] is None]


def _encoder(model: ExportedModel, modality: str, device: torch.device) -> Any:
    folder = model.encoder_folder(modality)
    settings = getattr(model.facts.extraction, modality)
    return encoders.encoder(modality, folder).load(folder, settings, device)


def _parts(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[first : first + TOGETHER] for first in range(0, len(items), TOGETHER)]


def _words(
    model: ExportedModel, rows: list[dict], table: FeatureTable, device: torch.device, missing: str
) -> None:
    """Encode what was said."""
    spoken = []
    for row in rows:
        if row["text"] and row["text"].strip():
            spoken.append(row)
        else:
            table.absent(row["utterance"], missing)
    if not spoken:
        return
    encoder = _encoder(model, "text", device)
    for part in progress(_parts(spoken), "words"):
        for row, frames in zip(part, encoder.encode([row["text"] for row in part]), strict=True):
            table.add(row["utterance"], frames)


def _voices(
    model: ExportedModel, video: Video, rows: list[dict], table: FeatureTable, device: torch.device
) -> None:
    """Encode how it was said."""
    if video.heard is None:
        _all_absent(table, video.deaf)
        return
    encoder = _encoder(model, "audio", device)
    settings = model.facts.extraction.audio
    for part in progress(_parts(_given(rows, table)), "voices"):
        heard = []
        for row in part:
            try:
                piece = utterance_sound(video.heard, row, settings, encoder.shortest, video.path)
                heard.append((row["utterance"], piece))
            except media.MediaAbsence as lack:
                table.absent(row["utterance"], lack.reason)
        for (name, _), frames in zip(heard, encoder.encode([piece for _, piece in heard]), strict=True):
            table.add(name, frames, pooling(encoder))


def _faces(
    model: ExportedModel,
    video: Video,
    rows: list[dict],
    sound: np.ndarray | None,
    table: FeatureTable,
    device: torch.device,
    threads: int,
) -> list[dict]:
    """Find the speaker's face of each utterance and encode it; returns where it was."""
    if video.blind is not None:
        _all_absent(table, video.blind)
        return []
    cv2.setNumThreads(threads)
    settings = model.facts.extraction.faces
    detector = detectors.detector(settings.detector).load(settings, device)
    encoder = _encoder(model, "visual", device)
    boxes: list[dict] = []
    used = _given(rows, table)
    if not used:
        return boxes
    # the utterances come in the order of their ends, none is left out
    budget = model.facts.extraction.media.megabytes
    for found in progress(faces.of_file(used, sound, detector, budget), "faces", total=len(used)):
        name, reason = found.facts["utterance"], found.facts["reason"]
        if reason is not None:
            table.absent(name, reason)
            continue
        table.add(name, encoder.encode(np.stack(found.crops)))
        boxes += found.path
    return boxes
