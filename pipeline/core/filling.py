"""Writing into a folder in which people keep files of their own: only what was made there is replaced.

Snakemake deletes a declared folder, with all that lies in it, before the job begins. So the folders that
people look into (results, exported models, annotations) are declared by a stamp within them, and filled by
this module.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core import artefacts, spare
from pipeline.core.digests import file_digest
from pipeline.core.disk import refusals_named
from pipeline.core.errors import PipelineError

log = logging.getLogger("pipeline")

LISTING = ".files.json"  # what was made in a folder: SHA-256 by name
SPARE = ".making-"  # begins the name of a temporary folder


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder; when the block ends without error, its files go into `folder` one by one.

    Whatever else lies there stays. What an earlier call made and this one does not is deleted, unless
    somebody has changed it since. A file that somebody has changed, or put there, and that has the name of a
    new one, is kept beside it under another name (logged). Where no listing of an earlier call is, files of
    the new names are taken for former ones. Raises PipelineError if `folder` is a file, or a folder has the
    name of a new file.
    """
    with refusals_named(folder):
        yield from _filling(Path(folder))


def _filling(folder: Path) -> Iterator[Path]:
    if folder.exists() and not folder.is_dir():
        raise PipelineError(f"{folder}: it is a file, and becomes a folder. Move it away, then run again.")
    folder.mkdir(parents=True, exist_ok=True)
    # within it, for the folder itself may be a link or a mounted one
    spare.sweep(folder, SPARE)
    temporary = Path(tempfile.mkdtemp(prefix=spare.prefix(SPARE), dir=folder))
    try:
        yield temporary
        _put(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def listed(folder: Path) -> dict[str, list[str]] | None:
    """SHA-256 of the files that were made in a folder, by name; None if no listing says so."""
    path = folder / LISTING
    if not path.is_file():
        return None
    try:
        return {name: list(digests) for name, digests in artefacts.load_json(path)["files"].items()}
    except (PipelineError, KeyError, AttributeError, TypeError):
        # a damaged listing says nothing; then nothing is deleted by it
        log.info("%s: damaged, and not looked at", path)
        return None


def _put(temporary: Path, folder: Path) -> None:
    """Move the files of `temporary` into `folder`, and delete what is no longer made."""
    made = {
        path.relative_to(temporary).as_posix(): file_digest(path)
        for path in sorted(temporary.rglob("*"))
        if path.is_file()
    }
    former = listed(folder)
    if taken := [name for name in made if (folder / name).is_dir()]:
        raise PipelineError(
            f"{folder / taken[0]}: it is a folder, and a file of that name is made. Move it away."
        )
    # said before it is done: what a kill leaves half done is known as made here
    both = {name: [*(former or {}).get(name, []), digest] for name, digest in made.items()}
    artefacts.save_json(folder / LISTING, {"files": (former or {}) | both})
    for name, digest in made.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if former is not None and place.exists():
            _keep_aside(place, [*former.get(name, []), digest])
        os.replace(temporary / name, place)
    for name in sorted(set(former or {}) - set(made)):
        place = folder / name
        if place.is_file() and file_digest(place) in (former or {})[name]:
            place.unlink()
    artefacts.save_json(folder / LISTING, {"files": {name: [digest] for name, digest in made.items()}})


def _keep_aside(place: Path, ours: list[str]) -> None:
    """Give a file that is none of ours another name."""
    if file_digest(place) in ours:
        return
    number = 1
    while (aside := place.with_name(f"{place.stem}.kept{number}{place.suffix}")).exists():
        number += 1
    os.replace(place, aside)
    log.info("%s: changed since it was made, or not made here; kept as %s", place, aside.name)
