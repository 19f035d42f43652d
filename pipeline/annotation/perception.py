"""What a model perceives of one video: its utterances, their features, and why a modality is missing.

The features are made by the code of the extraction stages. Everything is read as it comes: a long video needs
little more memory than a short one.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import polars as pl
import torch

from models.modalities import MODALITIES
from pipeline.annotation.cutting import Cutting, Video, utterances
from pipeline.annotation.exported import ExportedModel
from pipeline.core import absence, media
from pipeline.core.device import computing
from pipeline.core.progress import progress
from pipeline.core.registries import detectors, encoders
from pipeline.core.registries.choices import LARGEST
from pipeline.extraction import faces
from pipeline.extraction.casting import casting
from pipeline.extraction.feature_table import FeatureTable, pooling
from pipeline.extraction.sound import utterance_sound

log = logging.getLogger("pipeline")

TOGETHER = 32  # utterances whose sound or words are encoded at once


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
    source: str  # of the words: given, recognised or none
    # what pipeline.annotation.speakers adds
    doubts: list[str | None] = field(default_factory=list)  # why the speaker is doubted, a row each
    speakers: dict[str, Any] = field(default_factory=dict)  # how they were told

    @property
    def recognised(self) -> dict[str, Any]:
        """How sure the recogniser was, where words were recognised; else empty."""
        sure = [row["confidence"] for row in self.rows if row["confidence"] is not None]
        return {"confidence": round(float(np.mean(sure)), 4)} if sure else {}

    @property
    def available(self) -> np.ndarray:
        """bool (U, 3), in the order of the modalities."""
        return np.array([[reason is None for reason in self.reasons[name]] for name in MODALITIES]).T


def perceive(
    model: ExportedModel,
    video: Video,
    cutting: Cutting,
    device: torch.device,
    threads: int,
) -> Perceived:
    """Find the utterances and extract what the model reads of them."""
    rows, cut, said, repaired = utterances(video, cutting)
    log.info("%d utterances: %s", len(rows), said)
    shown = model.facts.shown
    # where nobody speaks, no mouth can tell the speaker
    sound = None if cut == "windows" else video.sound
    if "visual" in shown and sound is not None:
        model.chooser_folder()  # what is missing is said before anything is encoded
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
        boxes = _faces(model, video, rows, sound, tables["visual"], device, threads)
    return Perceived(
        rows,
        cut,
        said,
        {name: table.pooled for name, table in tables.items()},
        {name: table.reason for name, table in tables.items()},
        pl.DataFrame(boxes, schema=faces.CROPS).sort("time", maintain_order=True),
        repaired,
        cutting.source,
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
        if row.get("unsure"):
            table.absent(row["utterance"], absence.ASR_UNSURE)
        elif row["text"] and row["text"].strip():
            spoken.append(row)
        else:
            table.absent(row["utterance"], missing)
    if not spoken:
        return
    encoder = _encoder(model, "text", device)
    for part in progress(_parts(spoken), "words"):
        with computing(device, model.facts.precision):
            encoded = encoder.encode([row["text"] for row in part])
        for row, frames in zip(part, encoded, strict=True):
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
        with computing(device, model.facts.precision):
            encoded = encoder.encode([piece for _, piece in heard])
        for (name, _), frames in zip(heard, encoded, strict=True):
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
    heard = settings if sound is not None else settings.model_copy(update={"choice": LARGEST})
    chooser = model.chooser_folder() if sound is not None else None
    cast = casting(heard, device, model.encoder_folder("visual"), chooser)
    followed = faces.of_file(used, sound, detector, budget, cast=cast)
    for found in progress(followed, "faces", total=len(used)):
        name, reason = found.facts["utterance"], found.facts["reason"]
        if reason is not None:
            table.absent(name, reason)
            continue
        with computing(device, model.facts.precision):
            table.add(name, encoder.encode(np.stack(found.crops)))
        boxes += found.path
    return boxes
