"""Which packages each group of stages needs, and at which version: from its imports and requirements.lock.

They are parameters of the rules, so that a bumped pin reruns its group; `pipeline.environments` writes the
same pins into `envs/`, for `--sdm conda`.
"""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from packaging.markers import Marker
from packaging.utils import canonicalize_name

from pipeline.core.errors import PipelineError
from pipeline.core.registries.choices import CHOICES, LEARNED
from pipeline.core.registries.corpora import CORPORA
from pipeline.core.registries.detectors import DETECTORS
from pipeline.core.registries.encoders import ENCODERS
from pipeline.core.registries.networks import NETWORKS
from pipeline.core.registries.protocols import PROTOCOLS
from pipeline.core.registries.speakers import SPEAKERS
from pipeline.reruns.codehash import ROOT, third_party

# Modules of each group; what they import counts, too. A plot library's bump reruns no training, an encoder
# library's no rendering.
GROUPS = {
    "rendering": ("pipeline.corpus",),
    "corpora": (
        *("pipeline.manifest", "pipeline.splits", "pipeline.given"),
        *(row.module for row in CORPORA.values()),
    ),
    "faces": (
        *("pipeline.faces", *DETECTORS.values()),
        *(module for name, module in CHOICES.items() if name not in LEARNED),
    ),
    "encoders": (
        *("pipeline.standins", "pipeline.weights", "pipeline.text", "pipeline.audio", "pipeline.visual"),
        "pipeline.label_names",
        "pipeline.gauges",
        "pipeline.examples",
        *("pipeline.degraded_text", "pipeline.degraded_audio", "pipeline.degraded_visual"),
        "pipeline.word_sources",
        *ENCODERS.values(),
        *SPEAKERS.values(),
        # the stage faces runs in it, too, where a network says who is who, or who speaks
        *("pipeline.extraction.together", *DETECTORS.values(), *CHOICES.values()),
    ),
    "training": (
        *("pipeline.dataset", "pipeline.masks", "pipeline.conflicts", "pipeline.teacher"),
        *(
            "pipeline.references",
            "pipeline.student",
            "pipeline.evaluate",
            "pipeline.ceilings",
            "pipeline.oracle",
            "pipeline.simple",
            "pipeline.payoff",
            "pipeline.unreliable",
            "pipeline.trust",
        ),
        *("pipeline.scores", "pipeline.export", "pipeline.states"),
        *NETWORKS.values(),
        *PROTOCOLS.values(),
    ),
    "search": ("pipeline.search", "pipeline.tuned", *NETWORKS.values()),
    "annotate": (
        "pipeline.annotate",
        "pipeline.transcribe",
        "pipeline.recognised",
        "pipeline.degraded_words",
        "pipeline.transcripts",
        "pipeline.voices",
        *ENCODERS.values(),
        *SPEAKERS.values(),
        *DETECTORS.values(),
        *CHOICES.values(),
        *NETWORKS.values(),
    ),
    "results": (
        *("pipeline.tables", "pipeline.figures", "pipeline.across", "pipeline.confusion"),
        *("pipeline.reliability", "pipeline.curves", "pipeline.projection", "pipeline.inventory"),
        *("pipeline.explorer", "pipeline.costs"),
        *PROTOCOLS.values(),
    ),
}
# where the package is imported by another name than it is installed by
INSTALLED_AS = {
    "cv2": "opencv-python-headless",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "vl_convert": "vl-convert-python",
}
LOCK = ROOT / "requirements.lock"
FOLDER = ROOT / "envs"
PYTHON = "3.11"  # of the environments; the lock holds for every later one, too
# what the environments are for, wherever they are written
TARGET = {
    "python_version": PYTHON,
    "python_full_version": f"{PYTHON}.0",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "os_name": "posix",
}
HEAD = f"""\
# The stages of the group {{group}}. Written by `make lock` from requirements.lock; a test holds both in step.
channels:
  - conda-forge
dependencies:
  - python={PYTHON}
  - pip
  - pip:
"""


class Locked(NamedTuple):
    """One entry of the lock."""

    name: str
    version: str
    marker: str  # empty: holds everywhere
    needed_by: frozenset[str]

    def holds(self, **environment: str) -> bool:
        """Whether the marker holds for this interpreter, or for the one described."""
        return not self.marker or Marker(self.marker).evaluate(environment)


@cache
def locked(path: Path = LOCK) -> tuple[Locked, ...]:
    """The entries of a lock that `uv pip compile` wrote (versions, markers, and `via` comments)."""
    found = []
    for block in re.split(r"^(?=\S)", path.read_text(encoding="utf-8"), flags=re.M):
        first = re.match(r"([\w.\-]+)==(\S+)(?: ; (.+?))?(?: \\)?$", block, re.M)
        if first:
            name, version, marker = first.groups()
            via = re.findall(r"^    #(?: via)?\s+([\w.\-]+)$", block, re.M)
            found.append(
                Locked(canonicalize_name(name), version, marker or "", frozenset(map(canonicalize_name, via)))
            )
    return tuple(found)


def needed(group: str, lock: Path = LOCK) -> list[Locked]:
    """The entries behind a group's imports: those packages, and all that they need in turn.

    Raises PipelineError for an import that the lock does not cover.
    """
    entries = locked(lock)
    names = {entry.name for entry in entries}
    wanted: set[str] = set()
    for imported in third_party(*GROUPS[group]):
        name = canonicalize_name(INSTALLED_AS.get(imported, imported))
        if name not in names:
            raise PipelineError(
                f"{lock}: the stages of the group {group} import {imported}, which no entry provides. Add "
                "the package to requirements.in and run `make lock`; if its name differs from the import's, "
                "add it to INSTALLED_AS in pipeline/reruns/pins.py."
            )
        wanted.add(name)
    while True:
        more = {entry.name for entry in entries if entry.needed_by & wanted} - wanted
        if not more:
            return [entry for entry in entries if entry.name in wanted]
        wanted |= more


def group_of(module: str) -> str:
    """The group of a stage's module.

    Raises ValueError for a module that no group names.
    """
    for group, modules in GROUPS.items():
        if module in modules:
            return group
    raise ValueError(f"{module} stands in no group of GROUPS in pipeline/reruns/pins.py")


@cache
def pins(group: str, lock: Path = LOCK) -> dict[str, str]:
    """`name==version` by name, as the lock has them for the interpreter that runs this."""
    return {entry.name: f"{entry.name}=={entry.version}" for entry in needed(group, lock) if entry.holds()}


def environment(group: str, lock: Path = LOCK) -> str:
    """The text of `envs/<group>.yaml`: everything from PyPI, for conda-forge need not have these versions."""
    lines = []
    for entry in needed(group, lock):
        if entry.holds(**TARGET):
            lines.append(f'      - "{entry.name}=={entry.version}"\n')
    return HEAD.format(group=group) + "".join(sorted(lines))
