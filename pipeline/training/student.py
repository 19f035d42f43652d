"""Training one student: from its objective, the masks of validation and the teacher's references."""

import json
from pathlib import Path

import torch
from pydantic import Field

from models.network import Network
from models.objective import References
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.settings.base import Settings
from pipeline.settings.network import NetworkSettings
from pipeline.settings.objective import ObjectiveSettings
from pipeline.settings.training import TrainingSettings
from pipeline.training import checkpoint, loop
from pipeline.training.dialogues import Dataset
from pipeline.training.resume import ResumeFolder
from pipeline.training.step import Step
from pipeline.training.validation import Validator


class StudentSettings(Settings):
    """Settings of one student."""

    network: NetworkSettings = Field(default_factory=NetworkSettings, description="Size of the network")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="Training loop")
    objective: ObjectiveSettings = Field(default_factory=ObjectiveSettings, description="The variant")
    seed: int = Field(0, ge=0, description="Seed of the training")


def train(
    settings: StudentSettings,
    data: Dataset,
    masks: Path,
    references: list[Path],
    teacher: list[Path],
    device: torch.device,
    resume: ResumeFolder | None = None,
) -> tuple[Network, loop.Fit]:
    """Train one student; files that its objective does not need are not read."""
    objective = settings.objective
    network = loop.build_network(data, settings.network, settings.seed, imputer=objective.imputer)
    if objective.initialisation == "teacher":
        _start_from(network, teacher[0])
    told = _load_references(references[0], data, settings).to(device) if objective.needs_references else None
    step = Step(data, objective, told, device)
    validator = Validator(
        data,
        masks,
        settings.training.validation,
        objective.modalities,
        regression_score=settings.training.regression_score,
        device=device,
    )
    done = loop.fit(
        network,
        data,
        step,
        step.weights,
        validator,
        settings.training,
        seed=settings.seed,
        device=device,
        resume=resume,
    )
    return network, done


def _start_from(network: Network, path: Path) -> None:
    """Copy the teacher's parameters; the imputer, if there is one, keeps its own start."""
    teacher, _ = checkpoint.load_network(path)
    own = {name for name in network.state_dict() if not name.startswith("imputer.")}
    theirs = teacher.state_dict()
    if own != set(theirs) or any(network.state_dict()[name].shape != theirs[name].shape for name in own):
        raise PipelineError(
            f"{path}: this teacher's network has another shape than the student's, so the student cannot "
            "start from it. Use the same network section for both, or initialisation: scratch."
        )
    network.load_state_dict(theirs, strict=False)


def _load_references(path: Path, data: Dataset, settings: StudentSettings) -> References:
    """The stored references; raises PipelineError if they are of another kind, dataset, seed or width."""
    metadata = artefacts.load_metadata(path)
    kind, seed = metadata.get("references"), json.loads(metadata.get("seed", "null"))
    if kind != settings.objective.references:
        raise PipelineError(
            f"{path}: it holds {kind} references and objective.references asks for "
            f"{settings.objective.references}. Pass the other file, or mend the key."
        )
    if metadata.get("utterances") != data.digest:
        raise PipelineError(
            f"{path}: its references are of other utterances, or of other splits of them, than the dataset "
            "of this student. Rerun the references stage on this dataset."
        )
    if seed != settings.seed:
        raise PipelineError(
            f"{path}: its teacher has the seed {seed} and this student the seed {settings.seed}. Pass the "
            "references of the same seed."
        )
    arrays = artefacts.load_tensors(path, ["logits", "fused", "states"])
    count, hidden = len(data.available), settings.network.hidden
    expected = {"logits": (count, data.outputs), "fused": (count, hidden), "states": (count, 3, hidden)}
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise PipelineError(
                f"{path}: {name} has shape {arrays[name].shape} and the student needs {shape}. Use the same "
                "network section for teacher and student, and rerun the references on this dataset."
            )
    train = data.rows(["train"]).numpy()
    if not all(bool(torch.isfinite(torch.from_numpy(arrays[name][train])).all()) for name in expected):
        raise PipelineError(
            f"{path}: some training utterance has no reference. Rerun the references stage on this dataset."
        )
    return References(*(torch.from_numpy(arrays[name]) for name in expected))
