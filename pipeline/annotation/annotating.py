"""Annotating a video by an exported model: perceived, judged, and written where nothing is lost by it."""

import logging
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from models.modalities import MODALITIES
from pipeline.annotation import files, film, perception
from pipeline.annotation.exported import ExportedModel
from pipeline.annotation.perception import Perceived, Video
from pipeline.core import artefacts
from pipeline.core.device import prepare
from pipeline.core.errors import PipelineError
from pipeline.corpora import siblings
from pipeline.settings.annotate import AnnotateSettings

log = logging.getLogger("pipeline")


# all that a folder of annotations holds; Snakemake leaves a stamp of its own
FILES = (
    *(f"annotations.{suffix}" for suffix in ("parquet", "csv", "jsonl", "srt", "vtt")),
    *("faces.parquet", "about.json", "annotated.mp4", ".snakemake_timestamp"),
)


def annotate(
    model: ExportedModel,
    video: Path,
    transcript: Path | None,
    out: Path | None,
    settings: AnnotateSettings,
    *,
    device: str,
    threads: int,
) -> pl.DataFrame:
    """The annotations as a table; with `out`, all files go there.

    Raises PipelineError if video or transcript cannot be read, nothing in the video can be judged, or `out`
    would take the place of anything but former annotations.
    """
    video = Path(video)
    if out is not None:
        out = replaceable(Path(out), [video] if transcript is None else [video, Path(transcript)])
    with tempfile.TemporaryDirectory() as spare:
        opened = perception.open_video(video, Path(spare) / "sound", model.facts.extraction.media)
        told = Path(transcript) if transcript is not None else siblings.one_beside(video)
        seen = perception.perceive(model, opened, told, settings.speech, prepare(device, threads), threads)
        if not seen.available.any():
            raise PipelineError(f"{video}: nothing in it can be judged. {missing(seen)} {seen.said}.")
        values = model.predict(
            seen.features,
            seen.available,
            [row["speaker"] for row in seen.rows],
            stretch=settings.stretch,
            context=settings.context,
        )
        rows = files.table(model, seen, values)
        if out is not None:
            with artefacts.replacing_folder(out) as target:
                files.write(target, rows, seen, model)
                artefacts.save_json(target / "about.json", about(model, opened, told, seen))
                if settings.film.drawn:
                    film.draw(target / "annotated.mp4", opened, rows, seen.boxes, model, settings.film)
    log.info("%s", missing(seen))
    log.info("judged: %s", dict(Counter(rows["modalities"].to_list()).most_common()))
    return rows


def replaceable(out: Path, read: Sequence[Path]) -> Path:
    """The folder `out` as an absolute path; `read` are the files that the annotations are made from.

    Raises PipelineError if it is a file, is mounted, holds what is no annotation, or holds one of `read`.
    """
    found = out.resolve()
    if not found.exists():
        return found
    if not found.is_dir():
        raise PipelineError(
            f"{out}: it is a file, and the annotations become a folder of that name. Name a folder that is "
            "not there yet."
        )
    if found.is_mount():
        raise PipelineError(
            f"{out}: the annotations take the place of the whole folder, and a mounted one cannot be "
            "replaced. Name a folder within it."
        )
    foreign = sorted(path.name for path in found.iterdir() if path.name not in FILES or not path.is_file())
    foreign += [path.name for path in read if path.resolve().parent == found]
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise PipelineError(
            f"{out}: the annotations take the place of the whole folder, and it holds {foreign[0]!r}{more}, "
            "which would be lost. Name a folder that is not there yet, or one that holds annotations alone."
        )
    return found


def missing(seen: Perceived) -> str:
    """One sentence a modality: how many utterances lack it, and why."""
    parts = []
    for name in MODALITIES:
        counts = Counter(reason for reason in seen.reasons[name] if reason is not None)
        why = ", ".join(f"{reason} {count}" for reason, count in counts.most_common())
        parts.append(
            f"{name}: {f'missing in {counts.total()} of {len(seen.rows)} ({why})' if why else 'all there'}"
        )
    return "; ".join(parts) + "."


def about(model: ExportedModel, video: Video, transcript: Path | None, seen: Perceived) -> dict:
    """What made these annotations, and what the video lacked."""
    facts = model.facts
    return {
        "video": str(video.path),
        "duration": video.duration,
        "transcript": None if transcript is None else str(transcript),
        "cut": seen.cut,
        "said": seen.said,
        "repaired": seen.repaired,
        "sound": video.deaf or "present",
        "picture": video.blind or "present",
        "choice": {} if video.heard is None else video.heard.choice,
        "missing": {
            name: dict(Counter(reason for reason in seen.reasons[name] if reason is not None))
            for name in MODALITIES
        },
        "model": {
            "folder": str(model.folder),
            **{
                key: getattr(facts, key)
                for key in ("run", "corpus", "fold", "variant", "seed", "task", "labels")
            },
        },
        "notice": facts.notice,
    }
