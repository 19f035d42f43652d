"""Stage degraded_audio: the sound of test utterances, degraded in every way that is asked for, encoded."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from pydantic import Field

from pipeline.core import absence, artefacts, media, stage
from pipeline.core.device import computing, prepare
from pipeline.core.errors import PipelineError
from pipeline.core.progress import Tally
from pipeline.core.registries import encoders
from pipeline.degradation import sound as degradation
from pipeline.degradation.drawing import generator
from pipeline.extraction import gauges
from pipeline.extraction.degraded import DegradedTable, asked, tested
from pipeline.extraction.feature_table import pooling
from pipeline.extraction.shard import check_generated, load_shard
from pipeline.extraction.sound import utterance_sound
from pipeline.settings.compute import EncodingSettings
from pipeline.settings.encoders import AudioSettings
from pipeline.settings.media import MediaSettings
from pipeline.settings.unreliable import UnreliableSettings

Row: TypeAlias = dict[str, Any]


class Params(EncodingSettings):
    """Settings of the stage."""

    encoder: AudioSettings = AudioSettings()
    media: MediaSettings = MediaSettings()
    unreliable: UnreliableSettings = Field(UnreliableSettings(), description="what is done to the sound")


class Listener:
    """The sounds of a shard's files: each file is decoded once."""

    def __init__(self, params: Params, shortest: int) -> None:
        self.params, self.shortest = params, shortest
        self.files: dict[str, media.Heard | media.MediaAbsence] = {}

    def whole(self, path: str) -> media.Heard:
        """The sound of a file; raises media.MediaAbsence, again at every call."""
        if path not in self.files:
            reading = self.params.media
            try:
                self.files[path] = media.hear(Path(path), track=reading.track, most=reading.megabytes)
            except media.MediaAbsence as lack:
                self.files[path] = lack
        found = self.files[path]
        if isinstance(found, media.MediaAbsence):
            raise found
        return found

    def heard(self, row: Row) -> np.ndarray:
        """The sound of an utterance, as the stage audio has it; raises media.MediaAbsence."""
        whole = self.whole(row["media"])
        return utterance_sound(whole, row, self.params.encoder, self.shortest, Path(row["media"]))


def run(
    params: Params,
    *,
    shard: Path,
    splits: Sequence[Path],
    encoder: Path,
    features: Path,
    index: Path,
    beside: Sequence[Path] = (),
) -> None:
    """Write the features of the shard's test utterances under every condition of the sound.

    beside: another shard, whose voices babble if all of this one are of one dialogue; or none. An utterance
    that has no sound has none here, for the same reason; one that has become silent is absent (`silent`).
    Raises PipelineError if nobody else speaks in either shard and babble is asked for.
    """
    device = prepare(params.device, params.threads)
    check_generated(shard)
    rows = spoken_rows(shard)
    names = set(tested(shard, splits))
    own = [row for row in rows if row["utterance"] in names]
    model = encoders.encoder("audio", encoder).load(encoder, params.encoder, device)
    conditions = asked(params.unreliable, "audio")
    output = DegradedTable([row["utterance"] for row in own], list(conditions), model.dimension)
    listener = Listener(params, model.shortest)
    files: dict[str, list[tuple[Row, np.ndarray]]] = {}
    for row in own:
        try:
            if row["withheld"] is not None:
                output.absent(row["utterance"], row["withheld"])
                continue
            files.setdefault(row["media"], []).append((row, listener.heard(row)))
        except media.MediaAbsence as lack:
            output.absent(row["utterance"], lack.reason)
    clean = [pair for pairs in files.values() for pair in pairs]
    needed = any(kind in degradation.MANY for kind, _ in conditions.values()) and clean
    voices = crowd(clean, rows, listener) if needed else []
    for path in beside if needed and not several(voices) else ():
        check_generated(path)
        voices = crowd(clean, [*rows, *spoken_rows(path)], listener)
    check_voices([shard, *beside], clean, voices)
    with Tally("utterances", len(clean)) as done:
        for pairs in files.values():
            changed = list(_changed(params, pairs, conditions, voices, listener, output))
            with computing(device, params.precision):
                _encode(model, changed, output)
            done.add(len(pairs), 0)
    output.save(features, index)


Voices: TypeAlias = list[tuple[str, np.ndarray]]  # dialogue and sound


def spoken_rows(shard: Path) -> list[Row]:
    """The rows of a shard, with their dialogue."""
    table = load_shard(shard, ["utterance", "media", "start", "end", "withheld"])
    dialogues = artefacts.load_table(shard, {"utterance": pl.String, "dialogue": pl.String})
    return table.join(dialogues, on="utterance", maintain_order="left").to_dicts()


def several(voices: Voices) -> bool:
    """Whether they are of more than one dialogue."""
    return len({dialogue for dialogue, _ in voices}) > 1


def crowd(clean: Sequence[tuple[Row, np.ndarray]], rows: Sequence[Row], listener: Listener) -> Voices:
    """The voices that babble: of the test utterances, and if those are one dialogue's, of others, too."""
    voices = [(row["dialogue"], sound) for row, sound in clean]
    if several(voices):
        return voices
    (alone,) = {dialogue for dialogue, _ in voices}
    for row in rows:
        if row["dialogue"] == alone or row["withheld"] is not None:
            continue
        try:
            voices.append((row["dialogue"], listener.heard(row)))
        except media.MediaAbsence:
            # it would be absent in the features, too; there are others
            continue
        if len(voices) >= len(clean) + degradation.VOICES:
            break
    return voices


def check_voices(shards: Sequence[Path], clean: Sequence[tuple[Row, np.ndarray]], voices: Voices) -> None:
    """Raise PipelineError if there are voices, and all of one dialogue."""
    if voices and not several(voices):
        alone = clean[0][0]["dialogue"]
        raise PipelineError(
            f"{', '.join(map(str, shards))}: all sound is of the dialogue {alone!r}, so there "
            "are no voices of others that could babble. Set corpus.shards to fewer, or leave babble out of "
            "unreliable.kinds."
        )


Changed: TypeAlias = tuple[Any, list[tuple[str, np.ndarray]]]  # condition; utterances and their sounds


def _changed(
    params: Params,
    pairs: Sequence[tuple[Row, np.ndarray]],
    conditions: dict[Any, tuple[str, float]],
    voices: Voices,
    listener: Listener,
    output: DegradedTable,
) -> Iterator[Changed]:
    """The sounds of one file's utterances under each condition; what is lost is noted as absent."""
    for condition, (kind, level) in conditions.items():
        made = []
        for row, sound in pairs:
            name = row["utterance"]
            if kind == degradation.DELAYED:
                whole = listener.whole(row["media"]).samples
                span = media.span(whole, row["start"], row["end"])
                piece, realised = degradation.delayed(whole, span[0], min(span[1], len(whole)), level)
            else:
                rng = generator(params.unreliable.seed, name, kind)
                others = [voice for dialogue, voice in voices if dialogue != row["dialogue"]]
                piece = degradation.degraded(kind, sound, level, rng, others)
                realised = degradation.realised(kind, sound, piece)
            output.realised[condition][name] = realised
            if media.level(piece) < params.encoder.silence:
                output.parts[condition].absent(name, absence.SILENT)
            else:
                made.append((name, piece))
                output.gauges[condition][name] = gauges.of_sound(piece)
        yield condition, made


def _encode(model: Any, changed: Sequence[Changed], output: DegradedTable) -> None:
    """Encode the sounds of one file.

    On a CPU a condition at a time, so that its batches are those of the stage audio; on a GPU all at once.
    """
    groups = [changed] if getattr(model, "budget", None) is not None else [[one] for one in changed]
    for group in groups:
        flat = [(condition, name, piece) for condition, made in group for name, piece in made]
        encoded = model.encode([piece for _, _, piece in flat])
        for (condition, name, _), frames in zip(flat, encoded, strict=True):
            output.parts[condition].add(name, frames, pooling(model))


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard", "beside*", "splits*", "encoder"), outputs=("features", "index"))
