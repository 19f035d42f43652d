"""Stage: train one variant of the incomplete-view student; the objective's settings say which."""

import logging
from collections.abc import Sequence
from pathlib import Path

from pipeline.core import stage
from pipeline.core.device import prepare
from pipeline.core.errors import PipelineError
from pipeline.core.registries.networks import NETWORKS
from pipeline.reruns.partial import run_digest
from pipeline.settings.compute import ComputeSettings
from pipeline.settings.heldout import HeldOutSettings
from pipeline.training import loop
from pipeline.training.crossfit import fold_dialogues
from pipeline.training.dialogues import Dataset
from pipeline.training.networks import as_read_by
from pipeline.training.resume import ResumeFolder
from pipeline.training.student import StudentSettings, train

log = logging.getLogger("pipeline")


class Params(ComputeSettings, HeldOutSettings, StudentSettings):
    """Settings of the stage."""


def run(
    params: Params,
    *,
    dataset: Path,
    masks: Path,
    references: list[Path],
    teacher: list[Path],
    weights: Path,
    epochs: Path,
    history: Path,
    names: Sequence[Path] = (),
    trust: Sequence[Path] = (),
) -> None:
    """Train on the views that the objective weighs; the teacher is only read through its references.

    `references` holds one file or none, `teacher` the weights to start from or none: a variant that needs
    one and does not get it raises PipelineError; one that needs none ignores it. `names`: the vectors of
    the labels' names (stage label_names), one file or none; `trust`: reliability inputs (stage trust), one
    file for a network that reads them, else none. The masks are used for validation alone.
    """
    device = prepare(params.device, params.threads)
    objective = params.objective
    data = as_read_by(params.own_network.name, Dataset.load(dataset), trust)
    if params.held_out is not None:
        data = data.holding_out(fold_dialogues(data, params.folds)[params.held_out])
    read = [dataset, masks, *names, *trust]
    if objective.initialisation == "teacher":
        read.append(_only(teacher, "--teacher", "objective.initialisation is 'teacher'"))
    if objective.needs_references:
        read.append(_only(references, "--references", "a term of the objective compares with the teacher"))
    resume = ResumeFolder(
        weights,
        run_digest(
            "pipeline.student",
            params.model_dump(mode="json"),
            read,
            device.type,
            also=[NETWORKS[params.own_network.name]],
        ),
    )
    network, done = train(params, data, masks, references, teacher, device, resume, names)
    notes = {"held_out": params.held_out, "folds": params.folds, "seed": params.seed}
    files = {"weights": weights, "epochs": epochs, "history": history}
    loop.write(done, network, objective.modalities, **files, notes=notes)
    resume.clear()


def _only(paths: list[Path], flag: str, why: str) -> Path:
    if len(paths) != 1:
        raise PipelineError(
            f"{flag}: {len(paths)} files were given and one is needed, since {why}. Pass one file there."
        )
    return paths[0]


if __name__ == "__main__":
    stage.main(
        run,
        Params,
        inputs=("dataset", "masks", "references*", "teacher*", "names*", "trust*"),
        outputs=("weights", "epochs", "history"),
    )
