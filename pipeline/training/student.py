"""Training one student: from its objective, the masks of validation and the teacher's references."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import Field, model_validator

from models.network import Network
from models.passes import References
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.core.registries.networks import NAMED
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

    @model_validator(mode="after")
    def _network_gives_what_terms_need(self) -> "StudentSettings":
        self.objective.check_network(self.own_network.name)
        return self

    @property
    def own_network(self) -> NetworkSettings:
        """The settings of the network that this variant trains."""
        return self.network.named(self.objective.network or self.network.name)


def train(
    settings: StudentSettings,
    data: Dataset,
    masks: Path,
    references: list[Path],
    teacher: list[Path],
    device: torch.device,
    resume: ResumeFolder | None = None,
    names: Sequence[Path] = (),
) -> tuple[Network, loop.Fit]:
    """Train one student; files that its objective does not need are not read.

    `names`: the vectors of the labels' names, one file or none, for a network that begins from them.
    """
    objective = settings.objective
    _check_task(objective, data)
    own = settings.own_network
    network = loop.build_network(data, own, settings.seed, names if own.name in NAMED else ())
    if objective.initialisation == "teacher":
        _start_from(network, teacher[0])
    told = None
    if objective.needs_references:
        told = _load_references(references[0], data, settings, network.width).to(device)
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


def _check_task(objective: ObjectiveSettings, data: Dataset) -> None:
    """Raise PipelineError for what asks for classes in a corpus of scores."""
    if not data.regression:
        return
    if "sure" in objective.trust and objective.needs_references:
        raise PipelineError(
            f"objective.trust: {objective.trust} asks how sure the teacher is of a class, and this corpus "
            "has scores. Write hidden or constant."
        )
    for name, term in objective.weights.computed.items():
        if term.classes:
            raise PipelineError(
                f"objective.{term.keys[0]}: {name} speaks of classes, and this corpus has scores. Set it to "
                "0, or leave the variant out of compare."
            )


def _start_from(network: Network, path: Path) -> None:
    """Copy the teacher's parameters; what the student's network has beside its heir keeps its own start."""
    teacher, _ = checkpoint.load_network(path)
    heir = network if type(network) is type(teacher) else network.heir
    own, theirs = heir.state_dict(), teacher.state_dict()
    if own.keys() != theirs.keys() or any(own[name].shape != theirs[name].shape for name in own):
        raise PipelineError(
            f"{path}: this teacher's network is of another kind or shape than the student's, so the student "
            "cannot start from it. Use the same network section for both, or initialisation: scratch."
        )
    heir.load_state_dict(theirs)


def _load_references(path: Path, data: Dataset, settings: StudentSettings, width: int) -> References:
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
    oracle = kind == "oracle"  # the same for every seed, and its students read answers alone
    if seed != settings.seed and not oracle:
        raise PipelineError(
            f"{path}: its teacher has the seed {seed} and this student the seed {settings.seed}. Pass the "
            "references of the same seed."
        )
    arrays = artefacts.load_tensors(path)
    count = len(data.available)
    expected: dict[str, tuple[int, ...]] = {
        "logits": (count, data.outputs),
        "fused": (count, width),
        "states": (count, 3, width),
        "evidence": (count, 3, data.outputs),
        "beliefs": (count, data.outputs),
    }
    for name in settings.objective.weights.references:
        shape = expected[name]
        if name not in arrays:
            raise PipelineError(
                f"{path}: it holds no {name}, which a term of the objective compares, for its teacher has "
                "none. Train teacher and student with the same network, or set the weight to 0."
            )
        if arrays[name].shape != shape:
            raise PipelineError(
                f"{path}: {name} has shape {arrays[name].shape} and the student needs {shape}. Use the same "
                "network section for teacher and student, and rerun the references on this dataset."
            )
    train = data.rows(["train"]).numpy()
    held = {name: torch.from_numpy(arrays[name]) for name in expected if name in arrays}
    if not all(bool(torch.isfinite(values[train]).all()) for values in held.values()):
        raise PipelineError(
            f"{path}: some training utterance has no reference. Rerun the references stage on this dataset."
        )
    # what an oracle does not tell; that no term reads it has been seen to above
    silent = {name: torch.full(expected[name], torch.nan) for name in ("fused", "states", "evidence")}
    return References(**{**silent, **held})
