"""Stage degraded_audio: the sound of test utterances, degraded in every way that is asked for, encoded."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from pydantic import Field

from models.conditions import Condition
from pipeline.core import absence, media, stage
from pipeline.core.device import computing, prepare
from pipeline.core.progress import Tally
from pipeline.core.registries import encoders
from pipeline.degradation import sound as degradation
from pipeline.extraction import gauges
from pipeline.extraction.degraded import DegradedTable, asked, tested
from pipeline.extraction.degraded_sound import Listener, Row, Voices, changed, crowd, in_files, spoken_rows
from pipeline.extraction.feature_table import pooling
from pipeline.extraction.piecewise import Rows, by_file
from pipeline.extraction.sound import utterance_sound
from pipeline.reruns.partial import Piece, Pieces, in_pieces, run_digest
from pipeline.settings.compute import EncodingSettings
from pipeline.settings.encoders import AudioSettings
from pipeline.settings.media import MediaSettings
from pipeline.settings.unreliable import UnreliableSettings

PIECE = 16  # utterances under all conditions, at least, that are kept together if the stage is interrupted


class Params(EncodingSettings):
    """Settings of the stage."""

    encoder: AudioSettings = AudioSettings()
    media: MediaSettings = MediaSettings()
    unreliable: UnreliableSettings = Field(UnreliableSettings(), description="what is done to the sound")


Made: TypeAlias = tuple[DegradedTable, list[tuple[Condition, str, np.ndarray]]]  # and what is to be encoded


@dataclass
class Degrading:
    """What is done to the files of a shard."""

    params: Params
    model: Any
    device: torch.device
    conditions: Mapping[Condition, tuple[str, float]]
    listener: Listener
    voices: Voices = field(default_factory=list)  # that babble

    @property
    def together(self) -> bool:
        """Whether a forward pass takes what it can, as on a GPU."""
        return getattr(self.model, "budget", None) is not None

    def hear(self, row: Row) -> np.ndarray:
        """The sound of an utterance, as the stage audio has it; raises media.MediaAbsence."""
        whole = self.listener.whole(row["media"])
        return utterance_sound(whole, row, self.params.encoder, self.model.shortest, Path(row["media"]))

    def table(self, rows: Sequence[Row]) -> DegradedTable:
        """An empty table of some utterances."""
        return DegradedTable([row["utterance"] for row in rows], list(self.conditions), self.model.dimension)

    def degrade(self, rows: Rows) -> Made:
        """The sounds of one file under each condition; what has none, or has become silent, is noted."""
        output, sounds, made = self.table(rows), [], []
        seed = self.params.unreliable.seed
        for row in rows:
            try:
                sounds.append((row, self.hear(row)))
            except media.MediaAbsence as lack:
                output.absent(row["utterance"], lack.reason)
        for condition, (kind, level) in self.conditions.items():
            for row, sound in sounds:
                name = row["utterance"]
                piece, output.realised[condition][name] = changed(
                    self.listener, kind, level, row, sound, seed=seed, voices=self.voices
                )
                if media.level(piece) < self.params.encoder.silence:
                    output.parts[condition].absent(name, absence.SILENT)
                else:
                    made.append((condition, name, piece))
                    output.gauges[condition][name] = gauges.of_sound(piece)
        self.listener.forget(rows[0]["media"])
        return output, made

    def encode(self, made: Made) -> Piece:
        """One file's sounds; on a CPU a condition at a time, so that batches are those of the stage audio."""
        output, sounds = made
        apart = [[one for one in sounds if one[0] == name] for name in self.conditions]
        for group in [sounds] if self.together else apart:
            with computing(self.device, self.params.precision):
                encoded = self.model.encode([piece for _, _, piece in group])
            for (condition, name, _), frames in zip(group, encoded, strict=True):
                output.parts[condition].add(name, frames, pooling(self.model))
        return output.packed()

    def gathered(self, files: Sequence[Rows], parts: Sequence[Piece]) -> Piece:
        """The pieces of some files as one."""
        whole = self.table([row for rows in files for row in rows])
        for part in parts:
            whole.put(part)
        return whole.packed()

    def pieces(self, todo: list[list[Rows]], workers: int) -> Iterator[Piece]:
        """On a CPU each thread does all of a file; on a GPU they degrade while a file is encoded."""

        def joined(files: Sequence[Rows], made: list[Made]) -> Piece:
            return self.gathered(files, [self.encode(one) for one in made])

        if self.together:
            return by_file(todo, self.degrade, joined, workers)
        return by_file(todo, lambda rows: self.encode(self.degrade(rows)), self.gathered, workers)


def run(
    params: Params,
    *,
    shard: Path,
    splits: Sequence[Path],
    encoder: Path,
    features: Path,
    index: Path,
    beside: Sequence[Path] = (),
    cores: int = 1,
) -> None:
    """Write the features of the shard's test utterances under every condition of the sound.

    beside: another shard, whose voices babble if all of this one are of one dialogue; or none. cores: of the
    job; as many files are worked on side by side as have `threads` of them each. An utterance that has no
    sound has none here, for the same reason; one that has become silent is absent (`silent`). An interrupted
    shard goes on by pieces. Raises PipelineError if nobody else speaks in either shard and babble is asked
    for.
    """
    device = prepare(params.device, params.threads)
    rows = spoken_rows(shard)
    names = set(tested(shard, splits))
    own = [row for row in rows if row["utterance"] in names]
    model = encoders.encoder("audio", encoder).load(encoder, params.encoder, device)
    conditions = asked(params.unreliable, "audio")
    work = Degrading(params, model, device, conditions, Listener(params.media))
    many = any(kind in degradation.MANY for kind, _ in conditions.values())
    if many:
        work.voices = crowd(shard, beside, own, work.hear)
    read = [Path(row["media"]) for row in (rows if many else own)]
    digest = run_digest(
        "pipeline.degraded_audio",
        params.model_dump(mode="json"),
        [shard, *beside, *splits, encoder, *dict.fromkeys(read)],
        device.type,
        also=[type(model).__module__],
    )
    pieces, output = Pieces(features, digest), work.table(own)
    for row in own:
        if row["withheld"] is not None:
            output.absent(row["utterance"], row["withheld"])
    files = in_files([row for row in own if row["withheld"] is None])
    tasks = in_pieces(files, PIECE)
    workers = max(1, cores // params.threads)
    made = pieces.streamed(tasks, lambda todo: work.pieces(todo, workers))
    with Tally("utterances", sum(map(len, files))) as done, closing(made):
        for task, piece in zip(tasks, made, strict=True):
            output.put(piece)
            done.add(sum(map(len, task)), 0)
    output.save(features, index)
    pieces.clear()


if __name__ == "__main__":
    stage.main(
        run,
        Params,
        inputs=("shard", "beside*", "splits*", "encoder"),
        outputs=("features", "index"),
        cores=True,
    )
