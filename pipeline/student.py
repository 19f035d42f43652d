"""Stage: train one variant of the incomplete-view student; the objective's settings say which."""

import json
import logging
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field

from models.batch import Batch
from models.network import Network
from models.objective import Options, References, Weights, terms_of
from models.views import ConflictRates, Donors, conflict_view, incomplete_view
from pipeline import artefacts, checkpoint, device, stage, training
from pipeline.data import Dataset
from pipeline.errors import PipelineError
from pipeline.partial import run_digest
from pipeline.resume import ResumeFolder
from pipeline.settings.base import Settings
from pipeline.settings.network import NetworkSettings
from pipeline.settings.objective import ObjectiveSettings
from pipeline.settings.training import TrainingSettings
from pipeline.validation import Validator

log = logging.getLogger("pipeline")


class Params(Settings):
    """Settings of one student."""

    network: NetworkSettings = Field(default_factory=NetworkSettings, description="Size of the network")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="Training loop")
    objective: ObjectiveSettings = Field(default_factory=ObjectiveSettings, description="The variant")
    seed: int = Field(0, ge=0, description="Seed of the training")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where torch computes")
    threads: int = Field(1, ge=1, le=256, description="Threads of torch on a CPU")


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
) -> None:
    """Train on the views that the objective weighs; the teacher is only read through its references.

    `references` holds one file or none, `teacher` the weights to start from or none: a variant that needs
    one and does not get it raises PipelineError; one that needs none ignores it. The masks are used for
    validation alone.
    """
    where = device.prepare(params.device, params.threads)
    objective, data = params.objective, Dataset.load(dataset)
    read = [dataset, masks]
    if objective.initialisation == "teacher":
        read.append(_only(teacher, "--teacher", "objective.initialisation is 'teacher'"))
    if objective.needs_references:
        read.append(_only(references, "--references", "a term of the objective compares with the teacher"))
    resume = ResumeFolder(
        weights, run_digest("pipeline.student", params.model_dump(mode="json"), read, where.type)
    )
    network, done = train(params, data, masks, references, teacher, where, resume)
    training.write(done, network, objective.modalities, weights=weights, epochs=epochs, history=history)
    resume.clear()


def train(
    params: Params,
    data: Dataset,
    masks: Path,
    references: list[Path],
    teacher: list[Path],
    where: torch.device,
    resume: ResumeFolder | None = None,
) -> tuple[Network, training.Fit]:
    """Train one student; files that its objective does not need are not read."""
    objective = params.objective
    network = training.build_network(data, params.network, params.seed, imputer=objective.imputer)
    if objective.initialisation == "teacher":
        _start_from(network, teacher[0])
    told = _load_references(references[0], data, params).to(where) if objective.needs_references else None
    step = Step(data, objective, told, where)
    validator = Validator(
        data,
        masks,
        params.training.validation,
        objective.modalities,
        regression_score=params.training.regression_score,
        device=where,
    )
    done = training.fit(
        network,
        data,
        step,
        step.weights,
        validator,
        params.training,
        seed=params.seed,
        device=where,
        resume=resume,
    )
    return network, done


class Step:
    """Draws the views of a batch and computes the terms of a variant on them."""

    def __init__(
        self, data: Dataset, objective: ObjectiveSettings, references: References | None, where: torch.device
    ) -> None:
        self.objective, self.references, self.where = objective, references, where
        self.weights = term_weights(objective)
        self.target = data.score if data.regression else torch.where(data.label >= 0, data.label, torch.nan)
        weight = training.class_weights(data, objective.class_weights)
        self.options = Options(
            regression=data.regression,
            smoothing=objective.label_smoothing,
            class_weight=None if weight is None else weight.to(where),
            huber=objective.huber,
            temperature=objective.temperature,
            distance=objective.distance,
            scope=objective.scope,
            margin=objective.margin,
        )
        rows = data.rows(["train"])
        self.dialogue = data.dialogue
        self.donors = Donors(
            {name: data.features[name][rows] for name in ("audio", "visual")},
            data.available[rows],
            self.target[rows],
            data.dialogue[rows],
        )
        # a channel that the variant may never see cannot carry a conflict
        hidden = {
            letter for letter, name in (("a", "audio"), ("v", "visual")) if name not in objective.modalities
        }
        channels = tuple(name for name in objective.conflict.channels if not hidden & set(name))
        self.rates = ConflictRates(
            objective.conflict.share,
            objective.conflict.same_share,
            channels,
            objective.conflict.gap if data.regression else 0.0,
        )

    def __call__(self, network: Network, batch: Batch, generator: torch.Generator) -> training.Terms:
        """The named terms of one batch (on the CPU, complete views)."""
        objective, where = self.objective, self.where
        batch = training.restricted(batch, objective.modalities)
        incomplete = conflict = None
        if self.weights.sees_incomplete:
            views = objective.views
            shown = incomplete_view(batch.available, views.fixed_share, views.subsets, views.rates, generator)
            incomplete = batch.showing(shown).to(where)
        if self.weights.sees_conflict:
            target = torch.where(batch.valid, self.target[batch.row.clamp(min=0)], torch.nan)
            dialogue = self.dialogue[batch.row[:, 0]]
            conflict = conflict_view(batch, dialogue, target, self.donors, self.rates, generator).to(where)
        batch = batch.to(where)
        references = None if self.references is None else self.references.of(batch)
        return terms_of(network, batch, incomplete, conflict, references, self.weights, self.options)


def term_weights(objective: ObjectiveSettings) -> Weights:
    """The weights of all terms; `nce` multiplies those within L_nce."""
    return Weights(
        complete=objective.complete,
        incomplete=objective.incomplete,
        auxiliary=objective.auxiliary,
        prediction=objective.prediction,
        fused=objective.fused,
        modality=objective.modality,
        nce_task=objective.nce,
        nce_margin=objective.nce * objective.nce_margin,
        nce_reference=objective.nce * objective.nce_reference,
        reconstruction=objective.reconstruction,
    )


def _only(paths: list[Path], flag: str, why: str) -> Path:
    if len(paths) != 1:
        raise PipelineError(
            f"{flag}: {len(paths)} files were given and one is needed, since {why}. Pass one file there."
        )
    return paths[0]


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


def _load_references(path: Path, data: Dataset, params: Params) -> References:
    """The stored references; raises PipelineError if they are of another kind, dataset, seed or width."""
    metadata = artefacts.load_metadata(path)
    kind, seed = metadata.get("references"), json.loads(metadata.get("seed", "null"))
    if kind != params.objective.references:
        raise PipelineError(
            f"{path}: it holds {kind} references and objective.references asks for "
            f"{params.objective.references}. Pass the other file, or mend the key."
        )
    if metadata.get("utterances") != data.digest:
        raise PipelineError(
            f"{path}: its references are of other utterances, or of other splits of them, than the dataset "
            "of this student. Rerun the references stage on this dataset."
        )
    if seed != params.seed:
        raise PipelineError(
            f"{path}: its teacher has the seed {seed} and this student the seed {params.seed}. Pass the "
            "references of the same seed."
        )
    arrays = artefacts.load_tensors(path, ["logits", "fused", "states"])
    count, hidden = len(data.available), params.network.hidden
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


if __name__ == "__main__":
    stage.main(
        run,
        Params,
        inputs=("dataset", "masks", "references*", "teacher*"),
        outputs=("weights", "epochs", "history"),
    )
