"""Where a corpus lies, and what lies there, as one line that changes when a file comes, goes or is edited.

Snakemake looks at the time of the folder itself, which says nothing of the folders below and changes with a
copy. Nothing to load here: the line is made when the job graph is built.
"""

import hashlib
import os
from pathlib import Path

from pipeline.errors import PipelineError

# read in full; of all other files (media, packed labels) the size is enough
TEXTS = (".csv", ".tsv", ".txt", ".srt", ".vtt", ".json")


def located(folder: str) -> Path:
    """The folder of the corpus; raises PipelineError if the config names none, or it is not there."""
    if not folder:
        raise PipelineError(
            "config, key corpus.folder: this corpus is read from a folder on disk, and none is named. Set "
            "the key to where the corpus is unpacked."
        )
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise PipelineError(
            f"config, key corpus.folder: there is no folder {path}. Set the key to where the corpus is "
            "unpacked, as this machine sees it."
        )
    return path


def listing(folder: Path) -> str:
    """Number of files and a digest of names, sizes and, of texts, contents; hidden files do not count."""
    total = hashlib.sha256()
    count = 0
    for path in sorted(_files(folder)):
        count += 1
        name = os.path.relpath(path, folder)
        total.update(f"{name}\0{os.stat(path).st_size}\0".encode("utf-8", "surrogateescape"))
        if name.lower().endswith(TEXTS):
            with open(path, "rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return f"{folder}: {count} files, {total.hexdigest()[:12]}"


def _files(folder: Path) -> list[str]:
    """Paths of all files below, through links too (corpora are often linked in), each folder once."""
    found = []
    seen = set()
    for top, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(top)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        # a broken link is as good as no file
        paths = (os.path.join(top, name) for name in names if not name.startswith("."))
        found += [path for path in paths if os.path.isfile(path)]
    return found
