"""Which module finds the faces of a picture.

Each module has `load(settings, device)`, which returns a `Detector` of `pipeline.extraction.detection`. They
stand here by name and are imported when asked for, so that a change of one concerns only the runs that use
it. docs/new-detector.md adds one.
"""

from importlib import import_module
from types import ModuleType

DETECTORS = {
    "mtcnn": "pipeline.extraction.mtcnn",
}


def detector(name: str) -> ModuleType:
    """The module of a detector (FacesSettings has checked the name)."""
    return import_module(DETECTORS[name])
