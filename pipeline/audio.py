"""Stage audio: one vector an utterance from its sound."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import polars as pl

from pipeline.core import absence, media, stage
from pipeline.core.device import computing, prepare
from pipeline.core.progress import Tally
from pipeline.core.registries import encoders
from pipeline.extraction.feature_table import FeatureTable, counts, pooling
from pipeline.extraction.piecewise import Rows, by_file
from pipeline.extraction.shard import check_generated, load_shard
from pipeline.extraction.sound import Sounds, heard
from pipeline.reruns.partial import Piece, Pieces, in_pieces, run_digest
from pipeline.settings.compute import EncodingSettings
from pipeline.settings.encoders import AudioSettings
from pipeline.settings.media import MediaSettings

log = logging.getLogger("pipeline")

PIECE = 32  # utterances, at least, that are kept together if the stage is interrupted
BATCHED = 8  # times as many where a forward pass takes what it can of a whole piece


class Params(EncodingSettings):
    """Settings of the stage."""

    encoder: AudioSettings = AudioSettings()
    media: MediaSettings = MediaSettings()


def run(params: Params, *, shard: Path, encoder: Path, features: Path, index: Path, cores: int = 1) -> None:
    """Encode the sound of one shard; an interrupted shard goes on by pieces.

    cores: of the job; as many files are worked on side by side as have `threads` of them each.
    """
    device = prepare(params.device, params.threads)
    check_generated(shard)
    table = load_shard(shard, ["utterance", "media", "start", "end", "withheld"])
    used = table.filter(pl.col("withheld").is_null())
    files = [group.to_dicts() for group in used.partition_by("media", maintain_order=True)]
    model = encoders.encoder("audio", encoder).load(encoder, params.encoder, device)
    workers = max(1, cores // params.threads)
    together = getattr(model, "budget", None) is not None
    pool = pooling(model)

    def listen(rows: Rows) -> Sounds:
        return heard(rows, params.encoder, params.media, model.shortest)

    def encode(piece: Sequence[Rows], sounds: Sequence[Sounds]) -> Piece:
        names = [row["utterance"] for rows in piece for row in rows]
        part = FeatureTable.of(model, names, params.encoder.frames)
        for rows, own in zip(piece, sounds, strict=True):
            if own.choice:
                part.notes[rows[0]["media"]] = own.choice
            for name, reason in own.reasons:
                part.absent(name, reason)
        spoken = [pair for own in sounds for pair in own.sounds]
        with computing(device, params.precision):
            encoded = model.encode([sound for _, sound in spoken])
        for (name, _), frames in zip(spoken, encoded, strict=True):
            part.add(name, frames, pool)
        return part.packed()

    def gathered(piece: Sequence[Rows], parts: Sequence[Piece]) -> Piece:
        whole = FeatureTable.of(
            model, [row["utterance"] for rows in piece for row in rows], params.encoder.frames
        )
        for part in parts:
            whole.put(part)
        return whole.packed()

    def encoded(todo: list[list[Rows]]) -> Iterator[Piece]:
        """On a CPU each thread decodes and encodes a file; on a GPU they decode while a piece is encoded."""
        if together:
            return by_file(todo, listen, encode, workers)
        return by_file(todo, lambda rows: encode([rows], [listen(rows)]), gathered, workers)

    inputs = [shard, encoder, *(Path(rows[0]["media"]) for rows in files)]
    settings = params.model_dump(mode="json")
    digest = run_digest("pipeline.audio", settings, inputs, device.type, also=[type(model).__module__])
    pieces = Pieces(features, digest)
    output = FeatureTable.of(model, table["utterance"].to_list(), params.encoder.frames)
    for name, reason in table.filter(pl.col("withheld").is_not_null())["utterance", "withheld"].iter_rows():
        output.absent(name, reason)
    tasks = in_pieces(files, PIECE * BATCHED if together else PIECE)
    with Tally("utterances", len(used)) as done, closing(pieces.streamed(tasks, encoded)) as made:
        for piece in made:
            output.put(piece)
            done.add(*counts(piece))
    # tracks that cannot be decoded are absences, for the pictures may be there; a wrong path lacks the files
    asked = [output.reason[output.place[name]] for name in used["utterance"]]
    media.check_readable(used["media"].to_list(), asked, faults=(absence.FILE_MISSING,))
    output.save(features, index)
    pieces.clear()


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard", "encoder"), outputs=("features", "index"), cores=True)
