"""What the adapters of corpora on disk share: finding, decoding and checking their files."""

import logging
import math
import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import polars as pl

from pipeline.core import artefacts, media
from pipeline.core.disk import is_text, printable
from pipeline.core.errors import PipelineError
from pipeline.core.progress import progress
from pipeline.corpora.decoding import lines, read_text, repaired  # noqa: F401
from pipeline.corpora.listing import located
from pipeline.corpora.rows import ROWS, WORDS
from pipeline.corpora.tables import read_csv  # noqa: F401
from pipeline.settings.corpora import FileSettings
from pipeline.settings.corpus import CorpusSettings

K = TypeVar("K", bound=Hashable)
log = logging.getLogger("pipeline")

MOST = 2**31 - 1  # the largest whole number of a table
NAN = ("nan", "NaN")  # what programs write for a missing value


def root(settings: CorpusSettings) -> Path:
    """`located` of a corpus's settings."""
    return located(settings.folder)


def pinned(file: FileSettings, key: str, what: str) -> Path:
    """A file of the user's whose checksum is as the config says; raises PipelineError otherwise."""
    if not file.path:
        raise PipelineError(
            f"config, key {key}: {what} is needed and not named. Set {key}.path and {key}.sha256; "
            "docs/corpora/ says where the file comes from."
        )
    path = Path(file.path).expanduser()
    if not path.is_file():
        raise PipelineError(f"config, key {key}.path: there is no file {path}. It should be {what}.")
    digest = artefacts.file_digest(path)
    if digest != file.sha256:
        raise PipelineError(
            f"{path}: its SHA-256 is {digest}, the config expects {file.sha256}. Fetch the right file, or "
            f"set {key}.sha256 if this one is meant."
        )
    return path


def seconds(text: str | None, where: str) -> float:
    """`hh:mm:ss,ms` (or `.ms`, or without hours) in seconds; raises PipelineError naming `where`."""
    found = re.fullmatch(r"\s*(?:(\d+):)?(\d+):(\d+(?:[.,]\d+)?)\s*", text or "")
    if not found:
        raise PipelineError(f"{where}: {_short(text)} is not a time like 00:01:02,345. Mend it in the file.")
    hours, minutes, rest = (float(part.replace(",", ".")) for part in found.groups(default="0"))
    told = 3600 * hours + 60 * minutes + rest
    if not math.isfinite(told):
        raise PipelineError(f"{where}: {_short(text)} is no time of any medium. Mend it in the file.")
    return told


def number(text: str | None, where: str) -> float:
    """A finite number; raises PipelineError naming `where`."""
    if text is None or not re.fullmatch(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", text):
        raise PipelineError(f"{where}: {_short(text)} is not a number. Mend it in the file.")
    value = float(text)
    if not math.isfinite(value):
        raise PipelineError(f"{where}: {_short(text)} is too large a number. Mend it in the file.")
    return value


def whole(text: str | None, where: str) -> int:
    """A whole number from 0 to MOST; raises PipelineError naming `where`."""
    value = number(text, where)
    if not value.is_integer() or not 0 <= value <= MOST:
        raise PipelineError(f"{where}: {_short(text)} is not a whole number from 0. Mend it in the file.")
    return int(value)


def _short(text: str | None) -> str:
    """A cell as a message shows it."""
    return repr(text) if text is None or len(text) <= 60 else f"{text[:50]!r}... ({len(text)} characters)"


def cell(text: str | None) -> str | None:
    """What a cell holds, without blanks around it; None if that is nothing, or `nan` (a missing value)."""
    found = (text or "").strip()
    return None if found in ("", *NAN) else found


def score(value: float, where: str) -> float:
    """A score of a regression corpus; raises PipelineError naming `where` outside -3..3."""
    if not -3.0 <= value <= 3.0:
        raise PipelineError(f"{where}: {value:g} is not within -3..3. Bring all scores to that range.")
    return value


def known_label(name: str, labels: Collection[str], where: str) -> str:
    """The label name; raises PipelineError naming `where` if it is not one of `labels`."""
    if name not in labels:
        raise PipelineError(
            f"{where}: unknown label {_short(name)}; known are {', '.join(labels)}. Mend the file, "
            "or the labels in the config."
        )
    return name


def first_only(seen: dict[K, str], key: K, where: str) -> None:
    """Remember `key` as first found at `where`; raises PipelineError if it was found before."""
    if key in seen:
        raise PipelineError(
            f"{where}: {key!r} occurs a second time; it stands at {seen[key]} already. Remove one of them."
        )
    seen[key] = where


def durations(paths: Iterable[Path], corpus: str) -> dict[Path, float | None]:
    """Seconds of every media file; None if it is missing or cannot be opened, 0 if it does not say.

    A file that cannot be used is logged, and its utterances get their reason when features are extracted.
    Raises PipelineError if not one can be used.
    """
    found, faults = probed(paths)
    some_usable(found, faults, corpus)
    return found


def probed(paths: Iterable[Path]) -> tuple[dict[Path, float | None], dict[Path, media.MediaAbsence]]:
    """`durations` of media of which none need be usable, and why those that are not cannot be opened."""
    found: dict[Path, float | None] = {}
    faults: dict[Path, media.MediaAbsence] = {}
    for path in progress(sorted(set(paths)), "media"):
        try:
            found[path] = media.probe(path).duration
        except media.MediaAbsence as absence:
            log.info("%s", absence)
            found[path], faults[path] = None, absence
    return found, faults


def some_usable(paths: Collection[Path], faults: Mapping[Path, media.MediaAbsence], corpus: str) -> None:
    """Log how many of the media of a corpus cannot be used; raises PipelineError if not one can.

    faults: as of `probed`.
    """
    own = [faults[path] for path in paths if path in faults]
    reasons = dict(Counter(absence.reason for absence in own))
    if len(own) == len(paths):
        example = f"The first: {own[0]}." if own else ""
        raise PipelineError(
            f"corpus.folder: no usable media: not one of {len(paths)} files of the corpus {corpus} can be "
            f"opened ({reasons}). {example} Check that the videos are unpacked below the folder."
        )
    if own:
        log.info("media: %d of %d files cannot be used: %s", len(own), len(paths), reasons)


def table(rows: Sequence[Mapping], words: bool = False) -> pl.DataFrame:
    """Rows as a manifest without shards; a key that a row lacks is null. words: with the columns of WORDS.

    Raises PipelineError for a name that is not UTF-8, which no table can hold.
    """
    for row in rows:
        for key in ("media", "dialogue"):
            name = str(row[key])
            if not is_text(name):
                raise PipelineError(
                    f"{printable(name)}: the name is not UTF-8, and no table can hold it. Rename the file or "
                    "folder."
                )
    schema = ROWS | WORDS if words else ROWS
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)
