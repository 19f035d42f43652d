"""Networks on disk: parameters as safetensors, everything else as JSON in the metadata. No pickle."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.network import Network
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.core.origins import Source
from pipeline.training import former
from pipeline.training.networks import name_of, rebuild

Parameters = dict[str, np.ndarray]


def parameters_of(network: Network) -> Parameters:
    """All parameters and buffers, copied to the CPU."""
    return {name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()}


@dataclass(frozen=True)
class Stored:
    """What the metadata of a stored network says of it."""

    name: str  # its registered name
    shape: dict  # what `Shape` of its module takes
    shown: tuple[str, ...]  # the modalities that it may ever see
    metadata: dict[str, str]


def _network(stored: Stored, parameters: Mapping[str, np.ndarray], path: Path) -> Network:
    try:
        network = rebuild(stored.name, stored.shape)
    except (KeyError, TypeError) as error:
        raise PipelineError(
            f"{path}: its metadata does not describe a network of this version ({error}). "
            "Delete it and rerun the stage that writes it."
        ) from error
    if stored.name == "imputation":
        parameters = former.named_now(parameters)
    tensors = {name: torch.from_numpy(np.asarray(value, order="C")) for name, value in parameters.items()}
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise PipelineError(
            f"{path}: its arrays do not fit the network that its metadata describes ({error}). "
            "Delete it and rerun the stage that writes it."
        ) from error
    return network.eval()


def _metadata(network: Network, shown: Sequence[str], notes: Mapping) -> dict[str, str]:
    return {
        "network": name_of(network),
        "shape": json.dumps(network.shape.as_dict(), sort_keys=True),
        "shown": json.dumps(list(shown)),
        "notes": json.dumps(dict(notes), sort_keys=True),
    }


def save_network(
    path: Path,
    network: Network,
    shown: Sequence[str],
    epoch: int,
    validation: float,
    *,
    parameters: Parameters | None = None,
    notes: Mapping | None = None,
) -> None:
    """Write one network.

    `shown`: the modalities that this variant may ever see; `validation`: the score that chose `epoch`.
    `parameters` stand in for the network's own; `notes` are further JSON facts (such as the fold held out).
    """
    metadata = _metadata(network, shown, notes or {})
    metadata |= {"epoch": str(epoch), "validation": repr(float(validation))}
    artefacts.save_tensors(path, parameters or parameters_of(network), metadata)


def describe(path: Path, source: Source | None = None) -> Stored:
    """What a file says of its network; raises PipelineError if that cannot be read."""
    metadata = artefacts.load_metadata(path, source=source)
    try:
        name, shape = former.described(metadata | {"shape": json.loads(metadata["shape"])})
        return Stored(name, shape, tuple(json.loads(metadata["shown"])), metadata)
    except (KeyError, TypeError, ValueError) as error:
        raise PipelineError(
            f"{path}: its metadata does not describe a network of this version ({error}). "
            "Delete it and rerun the stage that writes it."
        ) from error


def load_network(path: Path, source: Source | None = None) -> tuple[Network, tuple[str, ...]]:
    """A network in eval mode on the CPU, and the modalities that it may ever see."""
    stored = describe(path, source)
    return _network(stored, artefacts.load_tensors(path, source=source), path), stored.shown


def load_notes(path: Path) -> dict:
    """The JSON facts that were saved with a network."""
    return json.loads(artefacts.load_metadata(path).get("notes", "{}"))


def save_epochs(
    path: Path, network: Network, shown: Sequence[str], epochs: Sequence[tuple[int, Parameters]]
) -> None:
    """Write the parameters of every epoch, stacked on a leading axis."""
    stacked = {name: np.stack([own[name] for _, own in epochs]) for name in epochs[0][1]}
    metadata = _metadata(network, shown, {}) | {"epochs": json.dumps([number for number, _ in epochs])}
    artefacts.save_tensors(path, stacked, metadata)


def load_epochs(path: Path) -> Iterator[tuple[int, Network]]:
    """Every epoch's network in eval mode, first to last; `path` is the file or the folder it lies in."""
    path = path / "epochs.safetensors" if path.is_dir() else path
    stored, stacked = describe(path), artefacts.load_tensors(path)
    for place, number in enumerate(json.loads(stored.metadata["epochs"])):
        yield number, _network(stored, {name: value[place] for name, value in stacked.items()}, path)
