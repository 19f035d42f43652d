"""Stage: train the complete-view teacher, on all training dialogues or on all but one fold of them."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import Field

from models.batch import Batch
from models.modalities import MODALITIES
from models.network import Network
from models.objective import terms_of
from models.terms import Weights
from pipeline.core import stage
from pipeline.core.device import prepare
from pipeline.core.registries.networks import NETWORKS
from pipeline.reruns.partial import run_digest
from pipeline.settings.compute import ComputeSettings
from pipeline.settings.heldout import HeldOutSettings
from pipeline.settings.network import NetworkSettings
from pipeline.settings.objective import TeacherObjectiveSettings
from pipeline.settings.training import TrainingSettings, ValidationMix
from pipeline.training import loop
from pipeline.training.crossfit import fold_dialogues
from pipeline.training.dialogues import Dataset
from pipeline.training.resume import ResumeFolder
from pipeline.training.step import drawn_view
from pipeline.training.validation import Validator

log = logging.getLogger("pipeline")


class Params(ComputeSettings, HeldOutSettings):
    """Settings of the teacher."""

    network: NetworkSettings = Field(default_factory=NetworkSettings, description="Size of the network")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="Training loop")
    teacher: TeacherObjectiveSettings = Field(
        default_factory=TeacherObjectiveSettings, description="The teacher's objective"
    )
    seed: int = Field(0, ge=0, description="Seed of the training; all folds of a seed start alike")


def run(
    params: Params, *, dataset: Path, weights: Path, epochs: Path, history: Path, names: Sequence[Path] = ()
) -> None:
    """Train, and select on the complete validation view; incomplete ones only regularise.

    `names`: the vectors of the labels' names (stage label_names), one file or none, for a network that begins
    from them.
    """
    device = prepare(params.device, params.threads)
    data = Dataset.load(dataset)
    if params.held_out is not None:
        data = data.holding_out(fold_dialogues(data, params.folds)[params.held_out])
    network = loop.build_network(data, params.network, params.seed, names)
    options = loop.options_of(data, params.teacher, device)
    objective = params.teacher
    term_weights = Weights(complete=1.0, incomplete=objective.incomplete, auxiliary=objective.auxiliary)

    def compute(network: Network, batch: Batch, generator: torch.Generator) -> loop.Terms:
        incomplete = None
        if term_weights.sees("incomplete"):
            incomplete = batch.showing(drawn_view(batch, objective.views, generator)).to(device)
        return terms_of(network, batch.to(device), incomplete, None, None, term_weights, options)

    only_complete = ValidationMix(complete=1.0, fixed=0.0, random=0.0)
    validator = Validator(
        data,
        None,
        only_complete,
        MODALITIES,
        regression_score=params.training.regression_score,
        device=device,
    )
    digest = run_digest(
        "pipeline.teacher",
        params.model_dump(mode="json"),
        [dataset, *names],
        device.type,
        also=[NETWORKS[params.network.name]],
    )
    resume = ResumeFolder(weights, digest)
    done = loop.fit(
        network,
        data,
        compute,
        term_weights,
        validator,
        params.training,
        seed=params.seed,
        device=device,
        resume=resume,
    )
    notes = {"held_out": params.held_out, "folds": params.folds, "seed": params.seed}
    loop.write(done, network, MODALITIES, weights=weights, epochs=epochs, history=history, notes=notes)
    resume.clear()


if __name__ == "__main__":
    stage.main(run, Params, inputs=("dataset", "names*"), outputs=("weights", "epochs", "history"))
