"""Which module holds which network.

Each module has the classes `Shape` and `Network`, which derive from those of `models.network`. They stand
here by name and are imported when asked for, so that an edit of one network concerns only the variants that
train it. docs/new-network.md adds a network.
"""

from importlib import import_module
from types import ModuleType

NETWORKS = {
    "anchored": "models.networks.anchored",
    "attention": "models.networks.attention",
    "balanced": "models.networks.balanced",
    "decoupled": "models.networks.decoupled",
    "gated": "models.networks.gated",
    "imputation": "models.networks.imputation",
    "structured": "models.networks.structured",
}

# what the outputs of a network hold beside models.network.Output, for the loss terms that need it
BESIDE = {
    "anchored": ("beliefs", "anchors"),
    "balanced": ("beliefs", "pace"),
    "decoupled": ("beliefs", "parts"),
    "gated": ("beliefs",),
    "imputation": ("guesses",),
    "structured": ("beliefs",),
}

# the networks that begin from the text encoder's vectors of the labels' names, where a corpus has words
NAMED = ("anchored",)

# the networks that read how reliable the features are (stage trust)
GAUGED = ("gated",)

# whose section of `network` a network reads that has none of its own
SECTIONS = {"gated": "structured"}


def network(name: str) -> ModuleType:
    """The module of a network; raises KeyError for a name that is not registered."""
    return import_module(NETWORKS[name])
