"""Stage text: one vector an utterance from its words."""

import logging
from pathlib import Path

from pipeline.core import stage
from pipeline.core.device import computing, prepare
from pipeline.core.progress import Tally
from pipeline.core.registries import encoders
from pipeline.extraction.feature_table import FeatureTable, counts
from pipeline.extraction.shard import load_words
from pipeline.reruns.partial import Piece, Pieces, in_pieces, run_digest
from pipeline.settings.compute import EncodingSettings
from pipeline.settings.encoders import TextSettings

log = logging.getLogger("pipeline")

PIECE = 256  # utterances, at least, that are kept together if the stage is interrupted


class Params(EncodingSettings):
    """Settings of the stage."""

    encoder: TextSettings = TextSettings()
    unsure: float | None = None  # recognised words below this confidence are an absence; None: given words


def run(params: Params, *, shard: Path, encoder: Path, features: Path, index: Path) -> None:
    """Encode the text of one shard; an interrupted shard goes on by pieces.

    An utterance without words is absent (no_text), and so is one whose recognised words are not sure
    (asr_unsure).
    """
    device = prepare(params.device, params.threads)
    names, texts, reasons = load_words(shard, params.unsure)
    model = encoders.encoder("text", encoder).load(encoder, params.encoder, device)
    output = FeatureTable(names, model.dimension, params.encoder.frames)
    spoken = list(texts.items())
    for name, reason in reasons.items():
        output.absent(name, reason)

    def encode(piece: list[list[int]]) -> Piece:
        own = [spoken[place] for batch in piece for place in batch]
        part = FeatureTable([name for name, _ in own], model.dimension, params.encoder.frames)
        with computing(device, params.precision):
            encoded = model.encode([text for _, text in own])
        for (name, _), frames in zip(own, encoded, strict=True):
            part.add(name, frames)
        return part.packed()

    settings = params.model_dump(mode="json")
    digest = run_digest(
        "pipeline.text", settings, [shard, encoder], device.type, also=[type(model).__module__]
    )
    pieces = Pieces(features, digest)
    lengths = model.lengths([text for _, text in spoken])
    # whole batches in the encoder's own order, so that pieces change no batch
    batches = model.batches(lengths)
    with Tally("utterances", len(names)) as done:
        done.add(len(reasons), len(reasons))
        for piece in pieces.of(in_pieces(batches, PIECE), encode):
            output.put(piece)
            done.add(*counts(piece))
    cut = sum(length >= model.most for length in lengths)
    if cut:
        log.info("%d utterances were cut after %d tokens", cut, model.most)
    output.save(features, index)
    pieces.clear()


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard", "encoder"), outputs=("features", "index"))
