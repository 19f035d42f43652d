"""Stage: what the frozen teacher says of complete views, computed once and stored by utterance."""

import json
import logging
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from models.network import Network
from pipeline import artefacts, checkpoint, device, stage
from pipeline.crossfit import align, fold_dialogues, mean_cosine
from pipeline.data import Dataset
from pipeline.errors import PipelineError
from pipeline.settings.base import Settings

log = logging.getLogger("pipeline")
SIZE = 128  # dialogues a batch
Arrays = dict[str, np.ndarray]


class Params(Settings):
    """Settings of the references."""

    references: Literal["in_sample", "cross_fitted"] = Field(
        "in_sample", description="One teacher for all, or for each utterance one that has not seen it"
    )
    folds: int = Field(0, ge=0, le=50, description="Folds of the training dialogues; 0 for in_sample")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where torch computes")
    threads: int = Field(1, ge=1, le=256, description="Threads of torch on a CPU")


def run(params: Params, *, dataset: Path, teacher: Path, folds: list[Path], references: Path) -> None:
    """Write logits, fused and modality-specific states, NaN outside the train and validation splits.

    Cross-fitted references of a held-out fold come from its own teacher; its states are turned into the
    full teacher's basis by an orthogonal map fitted on the training dialogues that both have seen.
    Validation references are the full teacher's. Raises PipelineError if the fold teachers do not match.
    """
    where = device.prepare(params.device, params.threads)
    data = Dataset.load(dataset)
    network, _ = checkpoint.load_network(teacher)
    told = judge(network, data, where)
    metadata = {"references": params.references}
    if params.references == "cross_fitted":
        _check_folds(folds, params.folds, checkpoint.load_notes(teacher))
        quality = []
        full = {name: value.copy() for name, value in told.items()}
        for fold, names in enumerate(fold_dialogues(data, params.folds)):
            own, _ = checkpoint.load_network(folds[fold])
            quality.append(_replace_fold(told, full, judge(own, data, where), data, names))
        metadata["alignment"] = json.dumps(quality)
        log.info("alignment by fold: %s", metadata["alignment"])
    artefacts.save_tensors(references, told, metadata)


@torch.no_grad()
def judge(network: Network, data: Dataset, where: torch.device) -> Arrays:
    """The network's outputs on complete views of the train and validation splits; NaN on other rows."""
    network = network.eval().to(where)
    hidden, count = network.shape.hidden, len(data.available)
    told = {
        "logits": np.full((count, network.shape.outputs), np.nan, np.float32),
        "fused": np.full((count, hidden), np.nan, np.float32),
        "states": np.full((count, 3, hidden), np.nan, np.float32),
    }
    for batch in data.batches(["train", "val"], SIZE):
        output = network(batch.to(where))
        rows = batch.row[batch.valid].numpy()
        for name, array in told.items():
            array[rows] = getattr(output, name).cpu()[batch.valid].numpy()
    return told


def _replace_fold(told: Arrays, full: Arrays, own: Arrays, data: Dataset, names: tuple[str, ...]) -> dict:
    """Put one fold teacher's references in place of the full teacher's; how well the bases agree.

    Agreement is the mean cosine to the full teacher's fused state, before and after the map, on the
    shared training dialogues and on validation dialogues, which no teacher was fitted on.
    """
    out = data.holding_out(names)
    held, shared, unseen = out.rows(["held_out"]), out.rows(["train"]), out.rows(["val"])
    held, shared, unseen = held.numpy(), shared.numpy(), unseen.numpy()
    told["logits"][held] = own["logits"][held]
    turn = align(own["fused"][shared], full["fused"][shared])
    told["fused"][held] = turn(own["fused"][held])
    for index in range(3):
        part = align(own["states"][shared, index], full["states"][shared, index])
        told["states"][held, index] = part(own["states"][held, index])
    return {
        "shared_before": mean_cosine(own["fused"][shared], full["fused"][shared]),
        "shared_after": mean_cosine(turn(own["fused"][shared]), full["fused"][shared]),
        "unseen_before": mean_cosine(own["fused"][unseen], full["fused"][unseen]),
        "unseen_after": mean_cosine(turn(own["fused"][unseen]), full["fused"][unseen]),
    }


def _check_folds(folds: list[Path], count: int, full: dict) -> None:
    if len(folds) != count:
        raise PipelineError(
            f"--folds: {len(folds)} fold teachers were given and folds is {count}. Pass the weights of all "
            "of them, in the order of the fold they hold out."
        )
    for fold, path in enumerate(folds):
        notes = checkpoint.load_notes(path)
        if notes.get("held_out") != fold or notes.get("folds") != count:
            raise PipelineError(
                f"{path}: it holds out fold {notes.get('held_out')} of {notes.get('folds')}, and fold {fold} "
                f"of {count} was expected at this place of --folds. Mend the order or rerun the teacher."
            )
        if notes.get("seed") != full.get("seed"):
            raise PipelineError(
                f"{path}: it was trained with seed {notes.get('seed')} and the full teacher with seed "
                f"{full.get('seed')}. Pass fold teachers of the same seed: they start from the same weights."
            )


if __name__ == "__main__":
    stage.main(run, Params, inputs=("dataset", "teacher", "folds*"), outputs=("references",))
