"""Stage visual: one vector an utterance from the crops of its speaker's face."""

from pathlib import Path

import numpy as np

from pipeline.core import artefacts, stage
from pipeline.core.device import computing, prepare
from pipeline.core.errors import PipelineError
from pipeline.core.progress import Tally
from pipeline.core.registries import encoders
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
    found = artefacts.load_table(faces / "utterances.parquet", ["utterance", "reason", "crops"])
    owners = artefacts.load_table(faces / "crops.parquet", ["utterance"])["utterance"].to_list()
    crops = artefacts.load_tensors(faces / "crops.safetensors", ["crops"])["crops"]
    if found["utterance"].to_list() != names or len(owners) != len(crops):
        raise PipelineError(
            f"{faces}: not the faces of {shard}. Delete the folder and rerun the stage faces."
        )
    batch = params.encoder.crops if device.type == "cuda" else params.encoder.batch
    own = params.encoder.model_copy(update={"batch": batch})
    model = encoders.encoder("visual", encoder).load(encoder, own, device)
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
    for name, reason, count in found.iter_rows():
        if reason is not None:
            output.absent(name, reason)
            continue
        output.add(name, encoded[first : first + count])
        first += count
    output.save(features, index)
    pieces.clear()


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard", "faces", "encoder"), outputs=("features", "index"))
