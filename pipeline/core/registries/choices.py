"""Which module says which of the faces in view speaks (docs/annotate.md, Whose face).

Each module has `load(folder, device)`, which returns a `Judge` of `pipeline.extraction.judging`; `folder`
holds the weights, and is None for a choice that needs none. They stand here by name and are imported when
asked for, so that a change of one concerns only the runs that use it.
"""

from importlib import import_module
from types import ModuleType

# the setting's value that asks nobody: the face that is largest for longest
LARGEST = "largest"

CHOICES = {
    "mouth_motion": "pipeline.extraction.speaking",
    "lips_in_step": "pipeline.extraction.lips",
    "light_asd": "pipeline.extraction.learned",
}

# those that are networks with weights, and how many pictures a second each was trained on
LEARNED = {"light_asd": 25.0}


def choice(name: str) -> ModuleType:
    """The module of a choice (FacesSettings has checked the name)."""
    return import_module(CHOICES[name])
