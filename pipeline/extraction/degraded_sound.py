"""The sounds of a shard's test utterances, degraded: each file is decoded once for all kinds and levels."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from pipeline.core import artefacts, media
from pipeline.core.errors import PipelineError
from pipeline.degradation import sound as degradation
from pipeline.degradation.drawing import generator
from pipeline.extraction.shard import check_generated, load_shard
from pipeline.settings.media import MediaSettings

Row: TypeAlias = dict[str, Any]
Hear: TypeAlias = Callable[[Row], np.ndarray]  # an utterance's samples; may raise media.MediaAbsence
Voices: TypeAlias = list[tuple[str, np.ndarray]]  # dialogue and sound


class Listener:
    """The sounds of files, each decoded once until it is forgotten."""

    def __init__(self, reading: MediaSettings) -> None:
        self.reading = reading
        self.files: dict[str, media.Heard | media.MediaAbsence] = {}

    def whole(self, path: str) -> media.Heard:
        """The sound of a file; raises media.MediaAbsence, again at every call."""
        if path not in self.files:
            try:
                self.files[path] = media.hear(
                    Path(path), track=self.reading.track, most=self.reading.megabytes
                )
            except media.MediaAbsence as lack:
                self.files[path] = lack
        found = self.files[path]
        if isinstance(found, media.MediaAbsence):
            raise found
        return found

    def forget(self, path: str) -> None:
        """Free what a file has taken."""
        self.files.pop(path, None)


def spoken_rows(shard: Path) -> list[Row]:
    """The rows of a shard, with their dialogue. Raises PipelineError if it or its videos were edited."""
    check_generated(shard)
    table = load_shard(shard, ["utterance", "media", "start", "end", "withheld"])
    dialogues = artefacts.load_table(shard, {"utterance": pl.String, "dialogue": pl.String})
    return table.join(dialogues, on="utterance", maintain_order="left").to_dicts()


def in_files(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows by file, in the order in which files come first."""
    files: dict[str, list[Row]] = {}
    for row in rows:
        files.setdefault(row["media"], []).append(row)
    return list(files.values())


def crowd(shard: Path, beside: Sequence[Path], own: Sequence[Row], hear: Hear) -> Voices:
    """The voices that babble: of the test utterances; if those are one dialogue's, of others, too.

    own: the test utterances of the shard. beside: another shard, for where this one has a single dialogue.
    None if none of the test utterances has a sound. Raises PipelineError if nobody else speaks in either.
    """
    clean = _heard([row for rows in in_files(own) for row in rows], hear)
    if not clean or _several(clean):
        return clean
    most, voices = len(clean) + degradation.VOICES, clean
    for path in (shard, *beside):
        alone = clean[0][0]
        others = [row for row in spoken_rows(path) if row["dialogue"] != alone]
        voices = [*voices, *_heard(others, hear, most - len(voices))]
        if _several(voices):
            return voices
    raise PipelineError(
        f"{', '.join(map(str, (shard, *beside)))}: all sound is of the dialogue {clean[0][0]!r}, so there "
        "are no voices of others that could babble. Set corpus.shards to fewer, or leave babble out of "
        "unreliable.kinds."
    )


def _heard(rows: Sequence[Row], hear: Hear, most: int | None = None) -> Voices:
    """Of so many rows that have a sound; one that has none is absent in the features, too."""
    found: Voices = []
    for row in rows:
        if len(found) == most:
            break
        try:
            if row["withheld"] is None:
                found.append((row["dialogue"], hear(row)))
        except media.MediaAbsence:
            continue
    return found


def _several(voices: Voices) -> bool:
    """Whether they are of more than one dialogue."""
    return len({dialogue for dialogue, _ in voices}) > 1


def changed(
    listener: Listener, kind: str, level: float, row: Row, sound: np.ndarray, *, seed: int, voices: Voices
) -> tuple[np.ndarray, float]:
    """The sound of an utterance under a kind and level, float32 (n,), and its realised level."""
    if kind == degradation.DELAYED:
        whole = listener.whole(row["media"]).samples
        first, last = media.span(whole, row["start"], row["end"])
        return degradation.delayed(whole, first, min(last, len(whole)), level)
    others = [voice for dialogue, voice in voices if dialogue != row["dialogue"]]
    piece = degradation.degraded(kind, sound, level, generator(seed, row["utterance"], kind), others)
    return piece, degradation.realised(kind, sound, piece)
