"""Stage: references of a teacher that knows how the embedded corpus was made: a diagnostic, not a method.

The readable ceiling is the best possible teacher of that corpus: exact inference under the process, on
calibrated posteriors of each cue. What a student gains from its answers is the most that distilling answers
could buy. Its readers are fitted on cues that no network is told (docs/method.md, "Ceilings").
"""

import json
import logging
from pathlib import Path

import numpy as np
from pydantic import Field

from pipeline.core import artefacts, stage
from pipeline.settings.process import ProcessSettings
from pipeline.synth.evidence import likelihoods
from pipeline.synth.inference import layout, posteriors
from pipeline.synth.process import cue_table, transition_table
from pipeline.synth.reading import Corpus, ReadingSettings, load_corpus, read_features
from pipeline.training.crossfit import fold_dialogues
from pipeline.training.dialogues import Dataset

log = logging.getLogger("pipeline")
LEAST = np.finfo(np.float32).tiny  # what is impossible still has a logarithm


class Params(ReadingSettings):
    """Settings of the oracle's references."""

    folds: int = Field(4, ge=2, le=50, description="parts of the training dialogues that readers hold out")


def run(params: Params, *, latent: list[Path], dataset: Path, references: Path) -> None:
    """Write `logits`: log-probabilities of the complete view, NaN outside train and validation.

    A training utterance is read by readers that were fitted on the other parts of the training dialogues, a
    validation utterance by readers of all of them. Raises PipelineError as `load_corpus` and `fit_reader` do.
    """
    corpus, data = load_corpus(latent, dataset), Dataset.load(dataset)
    readings = held_out_readings(corpus, data, params)
    told = np.full((len(data.available), data.outputs), np.nan, np.float32)
    truth = corpus.table["label"].to_numpy()
    for split in ("train", "val"):
        rows = corpus.rows(split)
        told[rows] = np.log(np.maximum(beliefs(params.process, corpus, readings, rows), LEAST))
        right = told[rows].argmax(axis=1) == truth[rows]
        log.info("%s: accuracy %.3f with the complete view", split, right.mean())
    metadata = {"references": "oracle", "utterances": data.digest, "seed": json.dumps(None)}
    artefacts.save_tensors(references, {"logits": told}, metadata)


def held_out_readings(corpus: Corpus, data: Dataset, params: Params) -> np.ndarray:
    """Readings (U, 3, 7), those of each training dialogue by readers that were not fitted on it."""
    train, dialogue = corpus.rows("train"), corpus.table["dialogue"].to_numpy()
    readings = read_features(corpus, params.strengths, train)
    for names in fold_dialogues(data, params.folds):
        held = np.isin(dialogue[train], names)
        own = read_features(corpus, params.strengths, train[~held])
        readings[train[held]] = own[train[held]]
    return readings


def beliefs(process: ProcessSettings, corpus: Corpus, readings: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """P(label | complete view of the dialogue) of whole dialogues, in the order of the dataset's labels."""
    part = corpus.table[rows]
    where = layout(part["dialogue"].to_numpy(), part["speaker"].to_numpy())
    own = likelihoods(cue_table(process), readings[rows])
    return posteriors(transition_table(process), own, where)[:, corpus.order]


if __name__ == "__main__":
    stage.main(run, Params, inputs=("latent*", "dataset"), outputs=("references",))
