"""Stage visual: one vector an utterance from the crops of its speaker's face."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline import artefacts, device, stage
from pipeline.encoders import registry
from pipeline.errors import PipelineError
from pipeline.features import FeatureTable
from pipeline.settings.base import Settings
from pipeline.settings.encoders import VisualSettings


class Params(Settings):
    """Settings of the stage."""

    encoder: VisualSettings = VisualSettings()
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where torch computes")
    threads: int = Field(1, ge=1, description="torch threads on the CPU")


def run(params: Params, *, shard: Path, faces: Path, encoder: Path, features: Path, index: Path) -> None:
    """Encode the crops of one shard; an utterance without a face is absent with the reason of stage faces.

    Raises PipelineError if the faces belong to another shard.
    """
    torch_device = device.prepare(params.device, params.threads)
    names = artefacts.load_table(shard, ["utterance"])["utterance"].to_list()
    found = artefacts.load_table(faces / "utterances.parquet", ["utterance", "reason", "crops"])
    owners = artefacts.load_table(faces / "crops.parquet", ["utterance"])["utterance"].to_list()
    crops = artefacts.load_tensors(faces / "crops.safetensors", ["crops"])["crops"]
    if found["utterance"].to_list() != names or len(owners) != len(crops):
        raise PipelineError(
            f"{faces}: not the faces of {shard}. Delete the folder and rerun the stage faces."
        )
    model = registry.encoder("visual", encoder).load(encoder, params.encoder, torch_device)
    output = FeatureTable(names, model.dimension, params.encoder.frames)
    encoded = model.encode(crops)
    first = 0
    for name, reason, count in found.iter_rows():
        if reason is not None:
            output.absent(name, reason)
            continue
        output.add(name, encoded[first : first + count])
        first += count
    output.save(features, index)


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard", "faces", "encoder"), outputs=("features", "index"))
