"""The annotations of one video as files: table, subtitles, JSON lines (docs/artefacts.md, "Annotations")."""

import json
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float
from pysubs2.formats.subrip import SubripFormat
from pysubs2.formats.webvtt import WebVTTFormat

from models.modalities import MODALITIES
from pipeline.annotation.exported import ExportedModel
from pipeline.annotation.perception import Perceived
from pipeline.core import artefacts
from pipeline.core.spreadsheets import as_csv
from pipeline.corpora import subtitles, transcripts
from pipeline.corpora.decoding import lines

NOTICE_SECONDS = 5.0  # how long subtitles show the notice


def table(model: ExportedModel, seen: Perceived, values: Float[np.ndarray, "u c"]) -> pl.DataFrame:
    """One row an utterance. values: as from ExportedModel.predict."""
    speakers = [None if row["speaker"] == transcripts.UNKNOWN else row["speaker"] for row in seen.rows]
    columns = {
        "utterance": pl.Series(range(len(seen.rows)), dtype=pl.Int32),
        "start": pl.Series([row["start"] for row in seen.rows], dtype=pl.Float64),
        "end": pl.Series([row["end"] for row in seen.rows], dtype=pl.Float64),
        "speaker": pl.Series(speakers, dtype=pl.String),
        "text": pl.Series([row["text"] for row in seen.rows], dtype=pl.String),
    }
    if model.regression:
        columns["score"] = pl.Series(values[:, 0], dtype=pl.Float32)
    else:
        best = values.argmax(1)
        columns["label"] = pl.Series([model.labels[place] for place in best], dtype=pl.String)
        columns["confidence"] = pl.Series(values.max(1), dtype=pl.Float32)
        for place, label in enumerate(model.labels):
            columns[f"p_{label}"] = pl.Series(values[:, place], dtype=pl.Float32)
    used = [
        "+".join(name for name, there in zip(MODALITIES, row, strict=True) if there) for row in seen.available
    ]
    columns["modalities"] = pl.Series(used, dtype=pl.String)
    for name in MODALITIES:
        columns[f"reason_{name}"] = pl.Series(seen.reasons[name], dtype=pl.String)
    source = [seen.source if row["text"] else None for row in seen.rows]
    columns["words"] = pl.Series(source, dtype=pl.String)
    columns["words_confidence"] = pl.Series([row["confidence"] for row in seen.rows], dtype=pl.Float32)
    columns["speaker_doubt"] = pl.Series(seen.doubts, dtype=pl.String)
    columns["notice"] = pl.Series([model.facts.notice or None] * len(seen.rows), dtype=pl.String)
    return pl.DataFrame(columns)


def write(folder: Path, rows: pl.DataFrame, seen: Perceived, model: ExportedModel) -> None:
    """Write all files but the film into `folder`."""
    artefacts.save_table(folder / "annotations.parquet", rows)
    artefacts.save_table(
        folder / "faces.parquet", seen.boxes.with_columns(pl.col("utterance").cast(pl.Int32))
    )
    artefacts.save_text(folder / "annotations.csv", as_csv(rows))
    artefacts.save_text(folder / "annotations.jsonl", json_lines(rows, model))
    artefacts.save_text(folder / "annotations.srt", as_srt(rows, model.facts.notice))
    artefacts.save_text(folder / "annotations.vtt", as_vtt(rows, model.facts.notice))


def json_lines(rows: pl.DataFrame, model: ExportedModel) -> str:
    """One object a line; the probabilities by label, the reasons by modality."""
    objects = []
    for row in rows.iter_rows(named=True):
        kept = {name: row[name] for name in ("utterance", "start", "end", "speaker", "text")}
        if model.regression:
            kept["score"] = row["score"]
        else:
            kept |= {"label": row["label"], "confidence": row["confidence"]}
            kept["probabilities"] = {label: row[f"p_{label}"] for label in model.labels}
        kept["modalities"] = row["modalities"].split("+") if row["modalities"] else []
        reasons = {name: row[f"reason_{name}"] for name in MODALITIES}
        kept["missing"] = {name: reason for name, reason in reasons.items() if reason is not None}
        kept |= {"words": row["words"], "words_confidence": row["words_confidence"]}
        kept |= {"speaker_doubt": row["speaker_doubt"]}
        kept |= {"notice": row["notice"]} if row["notice"] else {}
        objects.append(json.dumps(kept, ensure_ascii=False, allow_nan=False))
    return "".join(f"{line}\n" for line in objects)


def verdict(row: dict) -> str:
    """An utterance's emotion in a few characters."""
    if "score" in row:
        return f"{row['score']:+.2f}"
    return f"{row['label']} {row['confidence']:.0%}"


def cues(rows: pl.DataFrame, notice: str) -> list[tuple[int, int, str]]:
    """Start and end (ms) and text of a cue an utterance: speaker, emotion, and below them what was said.

    The notice comes first and stands by itself.
    """
    found = [(0, round(1000 * NOTICE_SECONDS), f"[{notice}]")] if notice else []
    for row in rows.iter_rows(named=True):
        who = f"{' '.join(row['speaker'].split())}: " if row["speaker"] else ""
        start = round(1000 * row["start"])
        # a cue of no length is a mistake to every reader
        end = max(round(1000 * row["end"]), start + 1)
        found.append((start, end, f"[{who}{verdict(row)}]\n{row['text'] or ''}"))
    return found


def as_srt(rows: pl.DataFrame, notice: str) -> str:
    """SubRip; players show its entities as they stand, so only what could be taken for markup is escaped."""
    parts = []
    for number, (*times, text) in enumerate(cues(rows, notice), 1):
        first, last = map(SubripFormat.ms_to_timestamp, times)
        plain = [line.strip() for line in lines(text) if line.strip()]
        shown = "\n".join(plain) if subtitles.stands(plain) else subtitles.as_lines(text)
        parts.append(f"{number}\n{first} --> {last}\n{shown}\n\n")
    return "".join(parts)


def as_vtt(rows: pl.DataFrame, notice: str) -> str:
    """WebVTT, all special characters escaped."""
    parts = ["WEBVTT\n\n"]
    for *times, text in cues(rows, notice):
        first, last = map(WebVTTFormat.ms_to_timestamp, times)
        parts.append(f"{first} --> {last}\n{subtitles.as_lines(text)}\n\n")
    return "".join(parts)
