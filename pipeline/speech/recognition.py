"""Words with their times, by faster-whisper: CTranslate2's Whisper behind the Silero voice-activity network.

The sound is recognised in pieces, cut where it is quietest. Temperature is 0 and nothing of an earlier piece
is handed on but the language, so a piece's words depend on its own sound alone and can be kept.
"""

import hashlib
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import ctranslate2
import numpy as np
import polars as pl
import torch
from faster_whisper import WhisperModel
from faster_whisper.transcribe import Segment, Word
from faster_whisper.vad import VadOptions, get_speech_timestamps

from pipeline.core import artefacts, media, seals
from pipeline.core.digests import facts_digest, file_digest
from pipeline.core.errors import PipelineError
from pipeline.core.origins import source_of
from pipeline.core.progress import progress
from pipeline.settings.recognition import DecodingSettings
from pipeline.speech.levels import Span, quiet_pieces
from pipeline.speech.sentences import WORDS

log = logging.getLogger("pipeline")

PIECE, SEEK = 300.0, 30.0  # s; a piece ends in the quietest place of its last SEEK
REPEATS = 2.4  # Whisper's own border: what gzip makes smaller than this is a loop, not speech
VOICED = VadOptions(min_silence_duration_ms=500, speech_pad_ms=200)  # what Whisper is given
EXACT = VadOptions(min_silence_duration_ms=250, speech_pad_ms=0)  # where words after and before pauses end
FURTHEST = 0.5  # s that a word's edge is moved at most


@dataclass(frozen=True)
class Recogniser:
    """A loaded model, and all that its words depend on beside the sound."""

    model: WhisperModel
    settings: DecodingSettings
    facts: dict[str, str | int]

    def recognise(self, sound: np.ndarray, language: str) -> pl.DataFrame:
        """The words of a piece, columns as WORDS, times from its own beginning; none where nobody speaks.

        sound: float32 (samples,), 16 kHz. language: a code, or empty if it is to be found.
        """
        sound = np.ascontiguousarray(sound, np.float32)
        found, told = self.model.transcribe(
            sound,
            language=language or None,
            beam_size=self.settings.beam,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
            vad_filter=True,
            vad_parameters=VOICED,
            language_detection_segments=4,
        )
        rows = [
            [word.word, float(word.start), float(word.end), _trusted(segment, word), told.language]
            for segment in found
            for word in segment.words or []
        ]
        if rows:
            spans = [
                (span["start"] / media.SAMPLE_RATE, span["end"] / media.SAMPLE_RATE)
                for span in get_speech_timestamps(sound, EXACT)
            ]
            times = on_voice([(row[1], row[2]) for row in rows], spans)
            rows = [[word, *time, *more] for (word, _, _, *more), time in zip(rows, times, strict=True)]
        return pl.DataFrame(rows, schema=WORDS, orient="row")


def _trusted(segment: Segment, word: Word) -> float:
    """The recogniser's confidence in a word; 0 where its text is a loop, of which it is falsely sure."""
    return 0.0 if segment.compression_ratio > REPEATS else float(word.probability)


def on_voice(words: Sequence[Span], voiced: Sequence[Span]) -> list[Span]:
    """Start and end (s) of the words, beside pauses moved to where the voice begins and ends.

    Whisper's times are drawn from its attention, and are least sure beside a pause. A word belongs to the
    voiced span that its middle lies in; an edge is moved by FURTHEST at most, and never into the next word.
    """
    middles = [(start + end) / 2 for start, end in words]
    result = list(words)
    for low, high in voiced:
        inside = [place for place, middle in enumerate(middles) if low <= middle <= high]
        if not inside:
            continue
        first, last = inside[0], inside[-1]
        if abs(result[first][0] - low) <= FURTHEST:
            result[first] = (max(low, result[first - 1][1] if first else low), result[first][1])
        if abs(result[last][1] - high) <= FURTHEST:
            after = words[last + 1][0] if last + 1 < len(words) else high
            result[last] = (result[last][0], max(result[last][0], min(high, after)))
    return result


def load(folder: Path, settings: DecodingSettings, device: torch.device, threads: int) -> Recogniser:
    """Load what the stage weights wrote: float16 on a GPU that CTranslate2 can use, else int8 on the CPU.

    Raises PipelineError for a folder that is no recogniser or is damaged, and for an unknown language.
    """
    if not (folder / "model.bin").is_file():
        raise PipelineError(
            f"{folder}: no model.bin, so this is not a recogniser. Let the stage weights write this folder: "
            "snakemake runs it by itself if annotate.words is recognised."
        )
    seals.check_folder(folder, source_of(folder))
    model, kind = _opened(folder, device, threads)
    known = model.supported_languages
    if settings.language and settings.language not in known:
        raise PipelineError(
            f"recognition.decoding.language: this recogniser does not know {settings.language!r}; it knows "
            f"{', '.join(sorted(known))}. Leave it empty, so that the language is found, or name another "
            "model in recognition.weights."
        )
    facts: dict[str, str | int] = {
        "model": file_digest(folder / "model.bin"),
        "computed": kind,
        "threads": threads,
        **{name: version(name) for name in ("faster-whisper", "ctranslate2")},
        **settings.model_dump(),
    }
    return Recogniser(model, settings, facts)


def _opened(folder: Path, device: torch.device, threads: int) -> tuple[WhisperModel, str]:
    if device.type == "cuda":
        try:
            if not ctranslate2.get_cuda_device_count():
                raise RuntimeError("it sees no GPU")
            model = WhisperModel(
                str(folder), device="cuda", device_index=torch.cuda.current_device(), compute_type="float16"
            )
            # libraries of CUDA are loaded by the first product
            model.encode(np.zeros((model.feature_extractor.mel_filters.shape[0], 3000), np.float32))
        except (RuntimeError, ValueError) as error:
            log.info("the recogniser cannot use the GPU (%s), so it computes on the CPU", error)
        else:
            log.info("the recogniser computes in float16 on the GPU")
            return model, "cuda float16"
    try:
        model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads)
    except (RuntimeError, ValueError) as error:
        raise PipelineError(
            f"{folder}: cannot be loaded as a Whisper of CTranslate2 ({error}). Name one in "
            "recognition.weights, such as Systran/faster-whisper-small."
        ) from error
    log.info("the recogniser computes in int8 on the CPU, %d thread(s)", threads)
    return model, "cpu int8"


def pieces(sound: np.ndarray) -> list[tuple[int, int]]:
    """First and last + 1 sample of every piece, of at most PIECE s, that together are the whole sound."""
    return quiet_pieces(sound, PIECE, SEEK)


def words(recogniser: Recogniser, sound: np.ndarray, kept: Path) -> pl.DataFrame:
    """All words of a sound, columns as WORDS. sound: float32 (samples,), 16 kHz, may lie on disk.

    Every piece is written into the folder `kept` when it is done, and read from there if the same sound is
    recognised again in the same way. `kept` may be deleted once the words are saved (see `forget`).
    """
    kept.mkdir(parents=True, exist_ok=True)
    language = recogniser.settings.language
    found = [pl.DataFrame(schema=WORDS)]
    for first, last in progress(pieces(sound), "recognised pieces of sound"):
        piece = np.asarray(sound[first:last])
        samples = hashlib.sha256(np.ascontiguousarray(piece).tobytes()).hexdigest()
        place = kept / f"{facts_digest({**recogniser.facts, 'spoken': language, 'samples': samples})}.parquet"
        if not place.is_file():
            artefacts.save_table(place, recogniser.recognise(piece, language))
        table = artefacts.load_table(place, list(WORDS))
        if not language and len(table):
            language = table["language"][0]
        begins = first / media.SAMPLE_RATE
        found.append(table.with_columns((pl.col("start", "end") + begins).round(3)))
    return pl.concat(found)


def forget(kept: Path) -> None:
    """Delete the kept pieces."""
    shutil.rmtree(kept)
