"""Stage: what the frozen teacher says of complete views, computed once and stored by utterance."""

import json
import logging
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from models.network import Network
from pipeline.core import artefacts, stage
from pipeline.core.device import prepare
from pipeline.core.errors import PipelineError
from pipeline.core.registries.networks import BESIDE
from pipeline.settings.compute import ComputeSettings
from pipeline.training import checkpoint
from pipeline.training.crossfit import align, fold_dialogues, mean_cosine
from pipeline.training.dialogues import Dataset
from pipeline.training.networks import name_of

log = logging.getLogger("pipeline")
SIZE = 128  # dialogues a batch
Arrays = dict[str, np.ndarray]


class Params(ComputeSettings):
    """Settings of the references."""

    references: Literal["in_sample", "cross_fitted", "ensemble"] = Field(
        "in_sample",
        description="One teacher for all, for each utterance one that has not seen it, or several of those",
    )
    folds: int = Field(0, ge=0, le=50, description="Folds of the training dialogues; 0 for in_sample")


def run(params: Params, *, dataset: Path, teacher: Path, folds: list[Path], references: Path) -> None:
    """Write answers, states, evidence and the chain's beliefs, NaN outside the train and validation splits.

    References of a held-out fold come from teachers that have not seen it: `cross_fitted` the one of the
    full teacher's seed, `ensemble` the mean over the seeds of `folds`, which come seed by seed. Their states
    are turned into the full teacher's basis by an orthogonal map fitted on the training dialogues that both
    have seen. Validation references are the full teacher's. Raises PipelineError if the fold teachers do
    not match.
    """
    device = prepare(params.device, params.threads)
    data = Dataset.load(dataset)
    network, _ = checkpoint.load_network(teacher)
    notes = checkpoint.load_notes(teacher)
    told = judge(network, data, device)
    metadata = {
        "references": params.references,
        "utterances": data.digest,
        "seed": json.dumps(notes.get("seed")),
    }
    if params.references != "in_sample":
        groups = _by_seed(params, folds, notes)
        full = {name: value.copy() for name, value in told.items()}
        quality = []
        for fold, names in enumerate(fold_dialogues(data, params.folds)):
            out = data.holding_out(names)
            own = []
            for group in groups:
                network, _ = checkpoint.load_network(group[fold])
                aligned, agreement = _aligned(judge(network, data, device), full, out)
                own.append(aligned)
                quality.append(agreement)
            held = out.rows(["held_out"]).numpy()
            for name, values in told.items():
                # a mean of logits is the normalised geometric mean of the teachers' probabilities
                values[held] = np.mean([one[name][held] for one in own], axis=0)
        metadata["alignment"] = json.dumps(quality)
        log.info("alignment by fold and seed: %s", metadata["alignment"])
    artefacts.save_tensors(references, told, metadata)


@torch.no_grad()
def judge(network: Network, data: Dataset, device: torch.device) -> Arrays:
    """The network's outputs on complete views of the train and validation splits; NaN on other rows."""
    network = network.eval().to(device)
    hidden, count = network.width, len(data.available)
    outputs = network.shape.outputs
    shapes = {
        "logits": (outputs,),
        "fused": (hidden,),
        "states": (3, hidden),
        "modality_logits": (3, outputs),
    }
    if "beliefs" in BESIDE.get(name_of(network), ()):
        shapes["beliefs"] = (outputs,)
    told = {name: np.full((count, *shape), np.nan, np.float32) for name, shape in shapes.items()}
    for batch in data.batches(["train", "val"], SIZE):
        output = network(batch.to(device))
        rows = batch.row[batch.valid].numpy()
        for name, array in told.items():
            array[rows] = getattr(output, name).cpu()[batch.valid].numpy()
    told["evidence"] = told.pop("modality_logits")
    return told


def _aligned(own: Arrays, full: Arrays, out: Dataset) -> tuple[Arrays, dict]:
    """A fold teacher's words with its states in the full teacher's basis; how well the bases agree.

    Agreement is the mean cosine to the full teacher's fused state, before and after the map, on the
    shared training dialogues and on validation dialogues, which no teacher was fitted on.
    """
    shared, unseen = out.rows(["train"]).numpy(), out.rows(["val"]).numpy()
    turn = align(own["fused"][shared], full["fused"][shared])
    parts = [align(own["states"][shared, index], full["states"][shared, index]) for index in range(3)]
    states = np.stack([part(own["states"][:, index]) for index, part in enumerate(parts)], axis=1)
    return {**own, "fused": turn(own["fused"]), "states": states}, {
        "shared_before": mean_cosine(own["fused"][shared], full["fused"][shared]),
        "shared_after": mean_cosine(turn(own["fused"][shared]), full["fused"][shared]),
        "unseen_before": mean_cosine(own["fused"][unseen], full["fused"][unseen]),
        "unseen_after": mean_cosine(turn(own["fused"][unseen]), full["fused"][unseen]),
    }


def _by_seed(params: Params, folds: list[Path], full: dict) -> list[list[Path]]:
    """The fold teachers of each seed, in the order of the fold that they hold out; raises PipelineError."""
    count = params.folds
    if not count or not folds or len(folds) % count:
        raise PipelineError(
            f"--folds: {len(folds)} fold teachers were given and folds is {count}. Pass the weights of all "
            "of them, in the order of the fold they hold out, seed by seed."
        )
    groups = [folds[start : start + count] for start in range(0, len(folds), count)]
    seeds = []
    for group in groups:
        found = [checkpoint.load_notes(path) for path in group]
        for fold, (path, notes) in enumerate(zip(group, found, strict=True)):
            if notes.get("held_out") != fold or notes.get("folds") != count:
                raise PipelineError(
                    f"{path}: it holds out fold {notes.get('held_out')} of {notes.get('folds')}, and fold "
                    f"{fold} of {count} was expected at this place of --folds. Mend the order or rerun the "
                    "teacher."
                )
            if notes.get("seed") != found[0].get("seed"):
                raise PipelineError(
                    f"{path}: it was trained with seed {notes.get('seed')} and the fold teacher before it "
                    f"with seed {found[0].get('seed')}. Pass fold teachers seed by seed."
                )
        seeds.append(found[0].get("seed"))
    if len(set(seeds)) < len(seeds):
        raise PipelineError(f"--folds: a seed stands twice among {seeds}. Pass each fold teacher once.")
    if params.references == "cross_fitted" and seeds != [full.get("seed")]:
        raise PipelineError(
            f"--folds: fold teachers of the seeds {seeds}, and the full teacher has seed {full.get('seed')}. "
            "Cross-fitted references take those of its own seed: they start from the same weights."
        )
    return groups


if __name__ == "__main__":
    stage.main(run, Params, inputs=("dataset", "teacher", "folds*"), outputs=("references",))
