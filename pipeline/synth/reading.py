"""What the readers make of a dataset of the embedded corpus, beside what was really expressed in it.

For the ceilings, and for the references of a teacher that knows how the corpus was made.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
from pydantic import Field

from models.modalities import MODALITIES
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.settings.base import Settings
from pipeline.settings.process import ProcessSettings
from pipeline.synth.emotions import EMOTIONS
from pipeline.synth.readers import fit_reader

log = logging.getLogger("pipeline")


class ReadingSettings(Settings):
    """The process behind the corpus, and how readers of its features are fitted."""

    process: ProcessSettings = Field(ProcessSettings(), description="the process that made the corpus")
    strengths: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
        min_length=1,
        description="candidate inverse penalties (C) of the readers; validation log-loss chooses",
    )


@dataclass(frozen=True)
class Corpus:
    """The dataset with what was really expressed, row by row."""

    table: pl.DataFrame
    features: dict[str, np.ndarray]  # by modality (U, D)
    available: np.ndarray  # bool (U, 3): what the dataset has
    emits: np.ndarray  # bool (U, 3): where the speaker's own cue is in it
    cues: np.ndarray  # int (U, 3)
    order: list[int]  # the position in EMOTIONS of each of the dataset's labels

    def rows(self, split: str) -> np.ndarray:
        """Row numbers of a split, in order of dialogue and position."""
        return np.flatnonzero((self.table["split"] == split).to_numpy())


def load_corpus(latent: list[Path], dataset: Path) -> Corpus:
    """Join the dataset with the latent tables by `utterance`.

    Raises PipelineError if the labels are not the embedded corpus's or an utterance has no latent row.
    """
    facts = artefacts.load_json(dataset / "facts.json", ["labels"])
    if sorted(facts["labels"]) != sorted(EMOTIONS):
        raise PipelineError(
            f"{dataset / 'facts.json'}: labels {facts['labels']} are not those of the embedded corpus "
            f"{list(EMOTIONS)}. Ceilings and references of the oracle exist for that corpus only."
        )
    columns = ["utterance", "cue_text", "cue_audio", "cue_visual", "hidden"]
    shown = pl.concat([artefacts.load_table(path, columns) for path in latent])
    table = artefacts.load_table(
        dataset / "utterances.parquet",
        ["row", "utterance", "dialogue", "position", "speaker", "split", "label"],
    )
    table = table.join(shown, on="utterance", how="left", maintain_order="left", validate="1:1")
    lost = table.filter(pl.col("cue_text").is_null())
    if lost.height:
        raise PipelineError(
            f"{dataset}: utterance {lost['utterance'][0]!r} is in none of the latent tables "
            f"({', '.join(str(path) for path in latent)}). Pass the latent.parquet of every part."
        )
    tensors = artefacts.load_tensors(dataset / "features.safetensors", [*MODALITIES, "available"])
    available = tensors["available"] > 0
    emits = available.copy()
    emits[:, 2] &= (table["hidden"] == "").to_numpy()
    cues = [
        table[f"cue_{modality}"].replace_strict(EMOTIONS, range(len(EMOTIONS)), return_dtype=pl.Int64)
        for modality in MODALITIES
    ]
    return Corpus(
        table=table,
        features={modality: tensors[modality] for modality in MODALITIES},
        available=available,
        emits=emits,
        cues=np.stack([column.to_numpy() for column in cues], axis=1),
        order=[EMOTIONS.index(name) for name in facts["labels"]],
    )


def read_features(corpus: Corpus, strengths: tuple[float, ...], fitted: np.ndarray) -> np.ndarray:
    """Readings (U, 3, 7) by readers fitted on the rows `fitted` and calibrated on the validation split."""
    readings = np.ones((corpus.table.height, len(MODALITIES), len(EMOTIONS)))
    for column, modality in enumerate(MODALITIES):
        train, val = (rows[corpus.available[rows, column]] for rows in (fitted, corpus.rows("val")))
        features, cues = corpus.features[modality], corpus.cues[:, column]
        reader = fit_reader(modality, (features[train], cues[train]), (features[val], cues[val]), strengths)
        log.info(
            "reader of %s: C %g, temperature %.2f, validation log-loss %.3f",
            modality,
            reader.strength,
            reader.temperature,
            reader.loss,
        )
        there = corpus.available[:, column]
        readings[there, column] = reader.readings(features[there])
    return readings
