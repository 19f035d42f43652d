"""Networks by their registered names: made from the configuration, or again from what a checkpoint says."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from models.network import Network, Shape
from pipeline.core.registries import networks


def build(name: str, dimensions: Mapping[str, int], outputs: int, settings: Mapping[str, Any]) -> Network:
    """The network of a name, with random parameters; `settings`: the keys that it may read, by name.

    Raises KeyError for a field of its shape that is none of these keys.
    """
    module = networks.network(name)
    given = {field.name for field in fields(Shape)}
    own = {field.name: settings[field.name] for field in fields(module.Shape) if field.name not in given}
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
