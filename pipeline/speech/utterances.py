"""What is said in each utterance of a file, whose times are known, by the recogniser."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.core import artefacts
from pipeline.core.digests import facts_digest
from pipeline.speech import recognition
from pipeline.speech.recognition import Recogniser
from pipeline.speech.sentences import WORDS

HEARD = {"utterance": pl.String, "text": pl.String, "words_confidence": pl.Float32}

Spoken = tuple[str, np.ndarray]  # an utterance and its samples


def heard(recogniser: Recogniser, sounds: Iterable[Spoken], kept: Path) -> pl.DataFrame:
    """What is heard in one file's utterances, columns as HEARD, a row each; text is null where no word is.

    sounds: float32 (samples,) each, 16 kHz. The language is found in the first utterance with a word, if none
    is set. The table is written into the folder `kept`, and read from there if the same is heard again.
    """
    spoken = list(sounds)
    samples = [hashlib.sha256(np.ascontiguousarray(sound).tobytes()).hexdigest() for _, sound in spoken]
    names = [name for name, _ in spoken]
    digest = facts_digest({**recogniser.facts, "utterances": names, "samples": samples})
    place = kept / f"{digest}.parquet"
    if not place.is_file():
        told = list(_each(recogniser, spoken))
        artefacts.save_table(place, pl.DataFrame(told, schema=HEARD, orient="row"))
    return artefacts.load_table(place, HEARD)


def _each(recogniser: Recogniser, spoken: Sequence[Spoken]) -> Iterator[tuple[str, str | None, float | None]]:
    language = recogniser.settings.language
    for name, sound in spoken:
        found = [pl.DataFrame(schema=WORDS)]
        # a whole file may be one utterance
        for low, high in recognition.pieces(sound):
            found.append(recogniser.recognise(sound[low:high], language))
            language = language or next(iter(found[-1]["language"]), "")
        words = pl.concat(found)
        text = "".join(words["word"]).strip() or None
        yield name, text, float(words["confidence"].to_numpy().mean()) if text else None
