"""Stage label_names: the text encoder's vector of each label's name, as a network may begin from."""

import json
from pathlib import Path

import numpy as np

from pipeline.core import artefacts, stage
from pipeline.core.device import prepare
from pipeline.core.registries import encoders
from pipeline.settings.compute import ComputeSettings
from pipeline.settings.encoders import TextSettings
from pipeline.training import normalisation


class Params(ComputeSettings):
    """Settings of the stage."""

    encoder: TextSettings = TextSettings()


def words_of(label: str) -> str:
    """The name of a label as a person would say it."""
    return label.replace("_", " ").replace("-", " ")


def run(params: Params, *, dataset: Path, encoder: Path, names: Path) -> None:
    """Write `text` float32 (C, D), in the order of the labels, normalised as the text of the dataset.

    Scores have no labels: C is 0. Raises PipelineError if the encoder or the dataset cannot be read.
    """
    device = prepare(params.device, params.threads)
    labels = artefacts.load_json(dataset / "facts.json")["labels"]
    model = encoders.encoder("text", encoder).load(encoder, params.encoder, device)
    vectors = np.zeros((len(labels), model.dimension))
    for place, frames in enumerate(model.encode([words_of(label) for label in labels])):
        vectors[place] = frames.mean(axis=0, dtype=np.float64)
    stored = normalisation.stored(artefacts.load_tensors(dataset / "features.safetensors"), "text")
    text = stored(vectors.astype(np.float32), np.ones(len(vectors), dtype=bool))
    artefacts.save_tensors(names, {"text": text}, {"labels": json.dumps(labels)})


if __name__ == "__main__":
    stage.main(run, Params, inputs=("dataset", "encoder"), outputs=("names",))
