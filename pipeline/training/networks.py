"""Networks by their registered names: made from the configuration, or again from what a checkpoint says."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from models.network import Network, Shape
from pipeline.core.errors import PipelineError
from pipeline.core.registries import networks
from pipeline.evaluation.trust import Trust
from pipeline.training.dialogues import Dataset


def build(
    name: str,
    dimensions: Mapping[str, int],
    outputs: int,
    settings: Mapping[str, Any],
    gauges: Mapping[str, int] = MappingProxyType({}),
) -> Network:
    """The network of a name, with random parameters; `settings`: the keys that it may read, by name.

    gauges: how many reliability inputs stand behind the features of each modality.

    Raises KeyError for a field of its shape that is none of these keys.
    """
    module = networks.network(name)
    given = {field.name for field in fields(Shape)}
    known = {**settings, "gauges": dict(gauges)}
    own = {field.name: known[field.name] for field in fields(module.Shape) if field.name not in given}
    return module.Network(module.Shape(dimensions, outputs, **own))


def rebuild(name: str, shape: Mapping) -> Network:
    """The network of a name and a shape as they were stored, with random parameters.

    Raises KeyError for a name that is not registered, TypeError for a shape that is not this network's.
    """
    module = networks.network(name)
    return module.Network(module.Shape(**shape))


def name_of(network: Network) -> str:
    """The registered name of a network; raises KeyError for one whose module is not registered."""
    return {module: name for name, module in networks.NETWORKS.items()}[type(network).__module__]


def read_trust(name: str, paths: Sequence[Path]) -> Trust | None:
    """The reliability inputs that the network of this name reads; None for one that reads none.

    `paths`: the fold's file of stage trust, or none. Raises PipelineError if a network that reads them is not
    given one.
    """
    if name not in networks.GAUGED:
        return None
    if len(paths) != 1:
        raise PipelineError(
            f"--trust: the network {name} reads reliability inputs, and {len(paths)} files were given. Pass "
            "the file of the fold that stage trust writes."
        )
    return Trust.load(paths[0])


def as_read_by(name: str, data: Dataset, paths: Sequence[Path]) -> Dataset:
    """The dataset as the network of this name reads it; raises PipelineError as `read_trust` does."""
    trust = read_trust(name, paths)
    return data if trust is None else data.gauged(trust)
