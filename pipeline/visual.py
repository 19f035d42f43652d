"""Stage visual: one vector an utterance from the crops of its speaker's face."""

from pathlib import Path

import numpy as np

from pipeline.core import stage
from pipeline.core.device import computing, prepare
from pipeline.core.progress import Tally
from pipeline.extraction.crops import Crops, loaded
from pipeline.extraction.feature_table import FeatureTable
from pipeline.extraction.shard import load_shard
from pipeline.reruns.partial import Piece, Pieces, in_pieces, run_digest
from pipeline.settings.compute import EncodingSettings
from pipeline.settings.encoders import VisualSettings

PIECE = 512  # crops, at least, that are kept together if the stage is interrupted


class Params(EncodingSettings):
    """Settings of the stage."""

    encoder: VisualSettings = VisualSettings()


def run(params: Params, *, shard: Path, faces: Path, encoder: Path, features: Path, index: Path) -> None:
    """Encode the crops of one shard; an utterance without a face is absent with the reason of stage faces.

    An interrupted shard goes on by pieces. Raises PipelineError if the faces belong to another shard.
    """
    device = prepare(params.device, params.threads)
    names = load_shard(shard, ["utterance"])["utterance"].to_list()
    found = Crops.load(faces, shard, names)
    crops = found.crops
    model, batch = loaded(encoder, params.encoder, device)
    output = FeatureTable(names, model.dimension, params.encoder.frames)
    settings = params.model_dump(mode="json")
    digest = run_digest(
        "pipeline.visual", settings, [shard, faces, encoder], device.type, also=[type(model).__module__]
    )
    pieces = Pieces(features, digest)
    # whole batches, so that pieces change no batch
    batches = [range(len(crops))[low : low + batch] for low in range(0, len(crops), batch)]

    def encode(piece: list[range]) -> Piece:
        with computing(device, params.precision):
            return {"features": model.encode(crops[piece[0].start : piece[-1].stop])}, None

    encoded = np.zeros((len(crops), model.dimension), np.float32)
    first = 0
    with Tally("crops", len(crops)) as done:
        for arrays, _ in pieces.of(in_pieces(batches, PIECE), encode):
            count = len(arrays["features"])
            encoded[first : first + count] = arrays["features"]
            first += count
            done.add(count)
    first = 0
    for one in found.chosen:
        last = first + len(one.crops)
        if one.reason is not None:
            output.absent(one.utterance, one.reason)
        else:
            output.add(one.utterance, encoded[first:last])
        first = last
    output.save(features, index)
    pieces.clear()


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard", "faces", "encoder"), outputs=("features", "index"))
