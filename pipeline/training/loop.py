"""The training loop that teacher and student share."""

import json
import logging
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
import torch
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.batch import Batch
from models.modalities import MODALITIES
from models.network import Network
from models.objective import total
from models.passes import Options
from models.terms import Weights
from pipeline.core import artefacts
from pipeline.core.device import mixed_precision
from pipeline.core.errors import PipelineError
from pipeline.settings.network import NetworkSettings
from pipeline.settings.objective import ObjectiveSettings, TeacherObjectiveSettings
from pipeline.settings.training import TrainingSettings
from pipeline.training import checkpoint, networks
from pipeline.training.dialogues import Dataset
from pipeline.training.resume import ResumeFolder, optimizer_tensors, restore_optimizer
from pipeline.training.validation import Validator

log = logging.getLogger("pipeline")
Terms = dict[str, torch.Tensor]
# streams of one seed
INITIAL, ORDER, VIEWS, DROPOUT = range(4)
COUNTED = 128  # dialogues a batch that a network begins from


@dataclass(frozen=True)
class Fit:
    """A finished training."""

    history: list[dict]  # one row an epoch
    epochs: list[checkpoint.Parameters]  # parameters of every epoch
    selected: int  # epoch number, from 1

    @property
    def validation(self) -> float:
        return self.history[self.selected - 1]["validation"]


def stream(seed: int, kind: int, epoch: int = 0) -> int:
    """Seed of one stream of one epoch, so that an epoch can be repeated by itself."""
    return int(np.random.SeedSequence([seed, kind, epoch]).generate_state(1, np.uint64)[0] >> 1)


def build_network(
    dataset: Dataset, settings: NetworkSettings, seed: int, names: Sequence[Path] = ()
) -> Network:
    """The network that the settings name; seed, training split and names fix its initial parameters.

    `names`: the vectors of the labels' names (stage label_names), one file or none, for a network that begins
    from them. Raises PipelineError if the training split holds nothing to learn.
    """
    dataset.require_targets()
    torch.manual_seed(stream(seed, INITIAL))
    network = networks.build(
        settings.name, dataset.dimensions, dataset.outputs, settings.keys_of(settings.name), dataset.gauges
    )
    network.begin(dataset.batches(["train"], COUNTED))
    for path in names:
        network.name_classes(_label_names(path, dataset))
    return network


def _label_names(path: Path, dataset: Dataset) -> torch.Tensor:
    """The vectors of the labels' names (C, D); raises PipelineError if they are of other labels."""
    vectors = artefacts.load_tensors(path, ["text"])["text"]
    needed = (len(dataset.facts["labels"]), dataset.dimensions["text"])
    labels = json.loads(artefacts.load_metadata(path).get("labels", "null"))
    if vectors.shape != needed or labels != list(dataset.facts["labels"]):
        raise PipelineError(
            f"{path}: it holds {vectors.shape} values of the labels {labels}, and the dataset needs "
            f"{needed} of {dataset.facts['labels']}. Rerun the stage label_names on this dataset."
        )
    return torch.from_numpy(vectors)


def options_of(
    dataset: Dataset, objective: ObjectiveSettings | TeacherObjectiveSettings, device: torch.device
) -> Options:
    """What the terms mean under an objective: the task, class weights, and the options that are its keys."""
    weight = class_weights(dataset, objective.class_weights)
    keys = type(objective).model_fields.keys() & {field.name for field in fields(Options)}
    return Options(
        regression=dataset.regression,
        class_weight=None if weight is None else weight.to(device),
        **{key: getattr(objective, key) for key in keys},
    )


def class_weights(dataset: Dataset, kind: str) -> torch.Tensor | None:
    """Weights of the classes from the training split: None, or inversely to frequency with mean 1.

    A class that never occurs there has weight 1, and does not count in the mean.
    """
    if kind == "none" or dataset.regression:
        return None
    label = dataset.label[dataset.rows(["train"])]
    count = torch.bincount(label[label >= 0], minlength=dataset.outputs).float()
    occurs = count > 0
    return torch.where(occurs, count.sum() / (occurs.sum() * count.clamp(min=1)), 1.0)


def learning_rate(step: int, steps: int, settings: TrainingSettings) -> float:
    """Linear warmup, then half a cosine down to 0; `step` counts from 0."""
    warmup = max(1, round(settings.warmup * steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def fit(
    network: Network,
    dataset: Dataset,
    compute_terms: Callable[[Network, Batch, torch.Generator], Terms],
    weights: Weights,
    validator: Validator,
    settings: TrainingSettings,
    *,
    seed: int,
    device: torch.device,
    resume: ResumeFolder | None = None,
) -> Fit:
    """Train, validate after each epoch, keep the weights of each, select on validation alone.

    `compute_terms(network, batch, generator)` gets batches on the CPU and returns the named terms. A tie of
    the validation score goes to the earlier epoch. With `resume` an interrupted run goes on from its last
    whole epoch. Raises PipelineError if the training split is empty or the loss stops being finite.
    """
    count = len(dataset.dialogues("train"))
    if count == 0:
        raise PipelineError(
            "split 'train' has no dialogue. Check corpus.folds, and the splits that the corpus gives."
        )
    network.to(device)
    optimizer = torch.optim.AdamW(
        _groups(network, settings.weight_decay), lr=settings.learning_rate, fused=True
    )
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(settings.averaging))
    steps = settings.epochs * math.ceil(count / settings.batch)
    epochs, history = ([], []) if resume is None else _restore(resume, network, averaged, optimizer)
    for epoch in range(len(history) + 1, settings.epochs + 1):
        if _is_over(history, settings.patience):
            break
        network.enter((epoch - 1) / settings.epochs, history[-1] if history else {})
        torch.manual_seed(stream(seed, DROPOUT, epoch))
        order = torch.Generator().manual_seed(stream(seed, ORDER, epoch))
        views = torch.Generator().manual_seed(stream(seed, VIEWS, epoch))
        network.train()
        sums: dict[str, list[float]] = {}
        step = (epoch - 1) * math.ceil(count / settings.batch)
        for batch in dataset.batches(["train"], settings.batch, order):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, steps, settings)
            with mixed_precision(device) if settings.precision == "mixed" else nullcontext():
                terms = compute_terms(network, batch, views)
            _step(total(terms, weights), network, optimizer, settings.clip, epoch)
            averaged.update_parameters(network)
            for name, value in terms.items():
                sums.setdefault(name, []).append(float(value.detach()))
            step += 1
        current = cast(Network, averaged.module) if settings.averaging > 0 else network
        row = {"epoch": epoch, **{name: float(np.mean(values)) for name, values in sums.items()}}
        history.append(row | network.course() | validator(current))
        epochs.append(checkpoint.parameters_of(current))
        if resume is not None:
            resume.save(epoch, epochs[-1], _state(network, averaged, optimizer), history)
        log.info("epoch %d of %d, validation %.4f", epoch, settings.epochs, history[-1]["validation"])
    return Fit(history, epochs, _best(history))


def _groups(network: Network, decay: float) -> list[dict]:
    """Matrices decay; vectors and scalars (biases, norms, tokens) do not."""
    matrices = [value for value in network.parameters() if value.ndim > 1]
    others = [value for value in network.parameters() if value.ndim <= 1]
    return [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def _step(
    loss: torch.Tensor, network: Network, optimizer: torch.optim.Optimizer, clip: float, epoch: int
) -> None:
    if not torch.isfinite(loss):
        raise PipelineError(
            f"the training loss became {float(loss)} in epoch {epoch}. "
            "Lower training.learning_rate or training.clip in the config."
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    clip_grad_norm_(network.parameters(), clip)
    optimizer.step()


def _best(history: list[dict]) -> int:
    """The epoch of the best validation score, the earliest of several."""
    return max(history, key=lambda row: (row["validation"], -row["epoch"]))["epoch"]


def _is_over(history: list[dict], patience: int | None) -> bool:
    return bool(history) and patience is not None and len(history) - _best(history) >= patience


def _state(network: Network, averaged: AveragedModel, optimizer: torch.optim.Optimizer) -> dict:
    own = {f"network/{name}": value for name, value in checkpoint.parameters_of(network).items()}
    mean = {f"averaged/{name}": value.cpu().numpy() for name, value in averaged.state_dict().items()}
    return own | mean | optimizer_tensors(optimizer)


def _restore(
    resume: ResumeFolder, network: Network, averaged: AveragedModel, optimizer: torch.optim.Optimizer
) -> tuple[list[checkpoint.Parameters], list[dict]]:
    """Put the last whole epoch back, if there is one; the parameters of each epoch and the history."""
    saved = resume.load()
    if saved is None:
        return [], []
    epochs, state, history = saved
    for prefix, module in (("network/", network), ("averaged/", averaged)):
        own = {name: value for name, value in state.items() if name.startswith(prefix)}
        module.load_state_dict({name[len(prefix) :]: torch.from_numpy(v.copy()) for name, v in own.items()})
    restore_optimizer(optimizer, state)
    log.info("resumed after epoch %d", len(history))
    return epochs, history


def write(
    fit_: Fit,
    network: Network,
    shown: tuple[str, ...],
    *,
    weights: Path,
    epochs: Path,
    history: Path,
    notes: dict | None = None,
) -> None:
    """Write the three outputs of a training stage."""
    chosen = fit_.epochs[fit_.selected - 1]
    checkpoint.save_epochs(epochs, network, shown, list(enumerate(fit_.epochs, start=1)))
    rows = [row | {"selected": row["epoch"] == fit_.selected} for row in fit_.history]
    artefacts.save_table(history, pl.DataFrame(rows))
    checkpoint.save_network(
        weights, network, shown, fit_.selected, fit_.validation, parameters=chosen, notes=notes
    )
    log.info("selected epoch %d, validation %.4f", fit_.selected, fit_.validation)


def restricted(batch: Batch, shown: tuple[str, ...]) -> Batch:
    """The batch as a variant sees it that may only ever see some modalities."""
    may_see = torch.tensor([name in shown for name in MODALITIES], device=batch.available.device)
    return batch.showing(may_see.expand_as(batch.available))
