"""Work in progress beside its outputs: what lets an interrupted stage go on, and when it must not.

It lies in a hidden folder next to the output, named by a digest of code, settings and inputs: an edit of any
of them never resumes what was made before it. Files in it appear by rename, so a stage may die at any moment
(SIGKILL, the loss of its node) and the whole pieces that it left are good.
"""

import json
import logging
import os
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence, Sized
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pipeline.core import artefacts
from pipeline.core.digests import facts_digest, file_digest
from pipeline.core.errors import PipelineError
from pipeline.reruns.codehash import code_digest

log = logging.getLogger("pipeline")
T = TypeVar("T")
G = TypeVar("G", bound=Sized)
# arrays by name, and facts that JSON can hold (numpy's scalars too)
Piece = tuple[dict[str, np.ndarray], Any]
Pieced = Generator[Piece, None, None]

PREFIX = ".resume-"
# what computes and decodes; a bump of one of them is a new start
LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "av",
    "soxr",
    "opencv-python-headless",
    "facenet-pytorch",
    "optuna",
)


def run_digest(
    module: str, settings: Mapping, inputs: Sequence[Path], device: str, *, also: Sequence[str] = ()
) -> str:
    """Digest of a stage's code, settings, contents of its inputs, libraries and kind of device.

    `also`: further modules of ours that the stage loads by a registry, which no import shows. An input that
    is a folder counts with all its files; one that does not exist, or may not be read, counts as nothing.
    """
    files = [
        file
        for path in inputs
        for file in ([path] if os.path.isfile(path) else sorted(path.rglob("*")))
        if os.path.isfile(file)
    ]
    return facts_digest(
        {
            "code": code_digest(module, *also),
            "settings": dict(settings),
            "inputs": [_digest(file) for file in files],
            "libraries": [installed(name) for name in LIBRARIES],
            "device": device,
        }
    )


def _digest(file: Path) -> str | None:
    """SHA-256 of a file; None if it may not be read, which is an absence, and no end of its whole shard."""
    try:
        return file_digest(file)
    except (OSError, PipelineError):
        return None


def installed(library: str) -> str | None:
    """The version of a library, or None where the environment of the group lacks it."""
    try:
        return version(library)
    except PackageNotFoundError:
        return None


class PartialFolder:
    """The hidden folder of one unfinished output."""

    def __init__(self, beside: Path, digest: str) -> None:
        """`beside`: the output (any of several). What other digests left of it is stale and goes away."""
        stem = f"{PREFIX}{beside.stem}-"
        self.folder = beside.parent / f"{stem}{digest[:20]}"
        for other in beside.parent.glob(f"{stem}*"):
            if other != self.folder:
                # what cannot be deleted (a file that another node still holds) is litter, and no fault
                shutil.rmtree(other, ignore_errors=True)

    def clear(self) -> None:
        """Delete the folder, as far as that can be done: the outputs are written."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Pieces(PartialFolder):
    """The finished pieces of a shard, one file each, until all of them are done."""

    def of(self, tasks: Sequence[T], make: Callable[[T], Piece]) -> Pieced:
        """The piece of every task in order: read if an earlier try has made it, else made and kept.

        A piece is always given as read from its file, so that a resumed run cannot differ. One that is
        damaged is made anew. `make` is a function of its task alone.
        """
        return self.streamed(tasks, lambda todo: map(make, todo))

    def streamed(self, tasks: Sequence[T], make: Callable[[list[T]], Iterator[Piece]]) -> Pieced:
        """As `of`, where `make` is given all tasks to do and may begin one before the last is done.

        It gives their pieces in order; each is a function of its task alone.
        """
        paths = [self.folder / f"{number:05d}.safetensors" for number in range(len(tasks))]
        good = [whole(path, _load) is not None for path in paths]
        if any(good):
            log.info("resumed: %d of %d pieces were done", sum(good), len(tasks))
        made = make([task for task, done in zip(tasks, good, strict=True) if not done])
        for path, done in zip(paths, good, strict=True):
            if not done:
                arrays, facts = next(made)
                artefacts.save_tensors(path, arrays, {"facts": json.dumps(facts, default=np.generic.item)})
                del arrays, facts
            yield _load(path)


def _load(path: Path) -> Piece:
    return artefacts.load_tensors(path), json.loads(artefacts.load_metadata(path)["facts"])


def whole(path: Path, load: Callable[[Path], T]) -> T | None:
    """What `load` makes of a file of an earlier try; None if it is missing or damaged, as by a crash.

    A file that every retry would stumble over is no help: the log names it, and it is made anew.
    """
    if not path.exists():
        return None
    try:
        return load(path)
    except PipelineError as error:
        log.info("not resumed, made anew: %s", error)
        return None


def in_pieces(groups: Sequence[G], least: int) -> list[list[G]]:
    """Consecutive groups (the utterances of a file each) gathered into pieces of `least` members or more.

    Only the last piece may be smaller; no group is cut.
    """
    pieces: list[list[G]] = []
    size = least
    for group in groups:
        if size >= least:
            pieces.append([])
            size = 0
        pieces[-1].append(group)
        size += len(group)
    return pieces
