"""Stage text: one vector an utterance from its words."""

import logging
from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline import artefacts, device, stage
from pipeline.encoders import registry
from pipeline.features import FeatureTable
from pipeline.settings.base import Settings
from pipeline.settings.encoders import TextSettings

log = logging.getLogger("pipeline")

NO_TEXT = "no_text"


class Params(Settings):
    """Settings of the stage."""

    encoder: TextSettings = TextSettings()
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where torch computes")
    threads: int = Field(1, ge=1, description="torch threads on the CPU")


def run(params: Params, *, shard: Path, encoder: Path, features: Path, index: Path) -> None:
    """Encode the text of one shard; an utterance without words is absent (no_text)."""
    torch_device = device.prepare(params.device, params.threads)
    table = artefacts.load_table(shard, ["utterance", "text"])
    model = registry.encoder("text", encoder).load(encoder, params.encoder, torch_device)
    output = FeatureTable(table["utterance"].to_list(), model.dimension, params.encoder.frames)
    spoken = [(name, text) for name, text in table.iter_rows() if text is not None and text.strip()]
    for name, text in table.iter_rows():
        if text is None or not text.strip():
            output.absent(name, NO_TEXT)
    encoded = model.encode([text for _, text in spoken])
    for (name, _), frames in zip(spoken, encoded, strict=True):
        output.add(name, frames)
    if model.cut:
        log.info("%d utterances were cut after %d tokens", model.cut, model.most)
    output.save(features, index)


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard", "encoder"), outputs=("features", "index"))
