"""Where a corpus lies, and what lies there, as one line that changes when a file comes, goes or is edited.

Snakemake looks at the time of the folder itself, which says nothing of the folders below and changes with a
copy. Nothing to load here: the line is made when the job graph is built.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.core.disk import FILE, FOLDER, kind, printable
from pipeline.core.errors import PipelineError

# read in full; of all other files (media, packed labels) the size is enough
TEXTS = (".csv", ".tsv", ".txt", ".srt", ".vtt", ".json")


def located(folder: str) -> Path:
    """The folder of the corpus; raises PipelineError if the config names none, or it is not there."""
    if not folder:
        raise PipelineError(
            "config, key corpus.folder: this corpus is read from a folder on disk, and none is named. Set "
            "the key to where the corpus is unpacked."
        )
    # not expanduser of Path, which raises where there is no such account
    path = Path(os.path.expanduser(folder))
    if not os.path.isdir(path):
        raise PipelineError(
            f"config, key corpus.folder: there is no folder {path}. Set the key to where the corpus is "
            "unpacked, as this machine sees it."
        )
    return path


def listing(folder: Path) -> str:
    """Number of files and a digest of names, sizes and, of texts, contents; hidden files do not count.

    Raises PipelineError as `files` does. A text that may not be read counts by its size; whoever needs it
    says so.
    """
    total = hashlib.sha256()
    count = 0
    for path in sorted(map(str, files(folder))):
        count += 1
        name = os.path.relpath(path, folder)
        total.update(f"{name}\0{os.stat(path).st_size}\0".encode("utf-8", "surrogateescape"))
        if name.lower().endswith(TEXTS):
            with suppress(OSError), open(path, "rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return f"{folder}: {count} files, {total.hexdigest()[:12]}"


def files(folder: Path) -> Iterator[Path]:
    """All files below a folder, sorted within each; hidden files and folders do not count.

    Links are followed (corpora are often linked in), but not into a folder that is being listed. What is no
    file (a pipe, a link to nothing) does not count. Raises PipelineError for a folder that may not be listed
    or looked into, for nobody would see that its dialogues are missing.
    """
    return (path for path, found in _below(folder, ()) if found == FILE)


def no_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """What lies below a folder and is neither file nor folder, and what it is in words; as `files`."""
    return ((path, found) for path, found in _below(folder, ()) if found != FILE)


def _below(folder: Path, above: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """What lies below and is no folder, with its `kind`, without what leads back to a real path `above`."""
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
        kinds = {name: kind(folder / name, strict=True) for name in names}
    except OSError as error:
        raise PipelineError(
            f"{printable(folder)}: the folder may not be listed or looked into ({error.strerror}), and what "
            "lies in it would be missing from the corpus. Give this account the right (chmod), or move it "
            "elsewhere."
        ) from error
    for name, found in kinds.items():
        if found == FOLDER:
            yield from _below(folder / name, (*above, real))
        else:
            yield folder / name, found


def once(paths: Iterable[Path]) -> Iterator[Path]:
    """The paths without those whose folder came before under another name, through a link."""
    names: dict[str, Path] = {}
    known: dict[Path, str] = {}
    for path in paths:
        own = path.parent
        if own not in known:
            known[own] = os.path.realpath(own)
        if names.setdefault(known[own], own) == own:
            yield path
