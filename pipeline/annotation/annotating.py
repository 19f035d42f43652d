"""Annotating a video by an exported model: perceived, judged, and written where nothing is lost by it."""

import logging
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from models.modalities import MODALITIES
from pipeline.annotation import files, film, perception, speakers
from pipeline.annotation.cutting import Cutting, Video, open_video
from pipeline.annotation.exported import ExportedModel
from pipeline.annotation.perception import Perceived
from pipeline.annotation.speakers import Telling
from pipeline.core import artefacts
from pipeline.core.device import prepare
from pipeline.core.disk import printable
from pipeline.core.errors import PipelineError
from pipeline.core.filling import SPARE, filling, listed
from pipeline.corpora import siblings
from pipeline.settings.annotate import AnnotateSettings
from pipeline.settings.recognition import SentenceSettings
from pipeline.settings.speakers import TellingSettings
from pipeline.speech.sentences import WORDS

log = logging.getLogger("pipeline")


# all that is written into a folder of annotations; earlier versions left a stamp of Snakemake's
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
    words: Path | None = None,
    sentences: SentenceSettings | None = None,
    voices: Path | None = None,
    telling: TellingSettings | None = None,
) -> pl.DataFrame:
    """The annotations as a table; with `out`, all files go there.

    words: a table of the stage transcribe, read where there is no transcript; sentences: how it is cut;
    voices: an encoder of the stage weights that tells speakers apart; telling: when two voices are two.
    Whatever else lies in `out` stays there. Raises PipelineError if video, transcript or words cannot be
    read, nothing in the video can be judged, or a file in `out` that is none of former annotations would be
    lost.
    """
    video = Path(video)
    if out is not None:
        out = fillable(Path(out), [video] if transcript is None else [video, Path(transcript)])
    with tempfile.TemporaryDirectory() as spare:
        opened = open_video(video, Path(spare) / "sound", model.facts.extraction.media)
        told, heard = sources(video, transcript, words, settings.words)
        cutting = Cutting(told, heard, settings.speech, sentences or SentenceSettings())
        where = prepare(device, threads)
        seen = perception.perceive(model, opened, cutting, where, threads)
        if not seen.available.any():
            raise PipelineError(f"{video}: nothing in it can be judged. {missing(seen)} {seen.said}.")
        told_by = Telling(settings.speakers, voices, telling or TellingSettings())
        seen = speakers.told(seen, opened, told_by, model.facts.extraction.audio, where)
        values = model.predict(
            seen.features,
            seen.available,
            [row["speaker"] for row in seen.rows],
            stretch=settings.stretch,
            context=settings.context,
        )
        rows = files.table(model, seen, values)
        if out is not None:
            with filling(out) as target:
                files.write(target, rows, seen, model)
                artefacts.save_json(target / "about.json", about(model, opened, cutting, seen))
                if settings.film.drawn:
                    film.draw(target / "annotated.mp4", opened, rows, seen.boxes, model, settings.film)
    log.info("%s", missing(seen))
    log.info("judged: %s", dict(Counter(rows["modalities"].to_list()).most_common()))
    return rows


def sources(
    video: Path, transcript: Path | None, words: Path | None, wanted: str
) -> tuple[Path | None, pl.DataFrame | None]:
    """The transcript, or the recognised words, that the setting `wanted` (annotate.words) has read.

    Raises PipelineError if what is wanted is not there.
    """
    if wanted in ("auto", "given"):
        told = Path(transcript) if transcript is not None else siblings.one_beside(video)
        if told is not None:
            return told, None
        if wanted == "given":
            raise PipelineError(
                f"{video}: annotate.words is given, and there is no transcript. Name one with --transcript "
                "(transcript=... in the config), place it beside the video, or set annotate.words to auto."
            )
    if wanted == "recognised" and words is None:
        raise PipelineError(
            f"{video}: annotate.words is recognised, and no recognised words are named. Make them with "
            f"`python -m pipeline.transcribe --recogniser FOLDER --media {video} --words FILE` and name that "
            "file with --words; `snakemake annotate` does both."
        )
    if wanted == "none" or words is None:
        return None, None
    return None, artefacts.load_table(words, list(WORDS))


def fillable(out: Path, read: Sequence[Path]) -> Path:
    """The folder `out` as an absolute path; `read` are the files that the annotations are made from.

    Raises PipelineError if it is a file, cannot be written, or if a file of somebody's own, or one of `read`,
    lies in it under the name of a file of annotations.
    """
    found = out.resolve()
    if found.exists() and not found.is_dir():
        raise PipelineError(
            f"{out}: it is a file, and the annotations become a folder of that name. Name a folder that is "
            "not there yet."
        )
    there = {path.name for path in found.iterdir()} if found.exists() else set()
    own = [path.name for path in read if path.resolve().parent == found and path.name in FILES]
    if not former(found):
        own += sorted(name for name in there & set(FILES))
    own += sorted(name for name in there & set(FILES) if (found / name).is_dir())
    if own:
        raise PipelineError(
            f"{out}: annotations are written there, and it holds {own[0]!r}, which would be lost. Name a "
            "folder that is not there yet, or move that file away."
        )
    near = next(path for path in (found, *found.parents) if path.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=SPARE, dir=near):
            pass
    except OSError as error:
        raise PipelineError(
            f"{out}: nothing can be written there ({error.strerror}). Name a folder of your own."
        ) from error
    return found


def former(folder: Path) -> bool:
    """Whether the files of annotations that lie in a folder are those of an earlier call."""
    if listed(folder) is not None:
        return True
    # as earlier versions left them: what they were made from, or nothing but annotations
    try:
        return {"video", "model", "cut"} <= artefacts.load_json(folder / "about.json").keys()
    except (PipelineError, AttributeError):
        return folder.is_dir() and all(path.name in FILES and path.is_file() for path in folder.iterdir())


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


def about(model: ExportedModel, video: Video, cutting: Cutting, seen: Perceived) -> dict:
    """What made these annotations, and what the video lacked."""
    facts = model.facts
    return {
        "video": printable(video.path),
        "duration": video.duration,
        "transcript": None if cutting.transcript is None else printable(cutting.transcript),
        "words": {"source": cutting.source, **seen.recognised},
        "cut": seen.cut,
        "said": seen.said,
        "speakers": seen.speakers,
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
