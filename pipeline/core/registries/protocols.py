"""Which module defines which protocol: a family of conditions under which every network is tested.

Each module has `PROTOCOL`, a `pipeline.evaluation.protocol.Protocol`. The order here is that of predictions,
tables and figures, the complete view first; docs/new-protocol.md adds one.
"""

from importlib import import_module
from types import ModuleType

# by the family of their conditions, the first part of a condition's name
PROTOCOLS = {
    "complete": "pipeline.evaluation.protocols.complete",
    "fixed": "pipeline.evaluation.protocols.fixed",
    "random": "pipeline.evaluation.protocols.random",
    "conflict": "pipeline.evaluation.protocols.conflict",
    "unreliable": "pipeline.evaluation.protocols.unreliable",
    "words": "pipeline.evaluation.protocols.words",
}


def modules() -> list[str]:
    """All of them: every network meets every protocol."""
    return list(PROTOCOLS.values())


def protocol(family: str) -> ModuleType:
    """The module of a family of conditions; raises KeyError if none is registered."""
    return import_module(PROTOCOLS[family])
