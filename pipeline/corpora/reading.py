"""What the adapters of corpora on disk share: finding, decoding and checking their files."""

import codecs
import io
import logging
import re
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import polars as pl

from pipeline.core import artefacts, media
from pipeline.core.disk import is_text, printable
from pipeline.core.errors import PipelineError
from pipeline.core.progress import progress
from pipeline.corpora.listing import located
from pipeline.corpora.rows import ROWS
from pipeline.settings.corpora import FileSettings
from pipeline.settings.corpus import CorpusSettings

K = TypeVar("K", bound=Hashable)
log = logging.getLogger("pipeline")

C1 = re.compile("[\x80-\x9f]")


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


def repaired(text: str) -> str:
    """cp1252 characters that were decoded as C1 controls (0x85, 0x91 and so on), made right."""

    def mend(found: re.Match[str]) -> str:
        # five bytes mean nothing in cp1252; such a control character stays
        return found.group().encode("latin-1").decode("cp1252", errors="ignore") or found.group()

    return C1.sub(mend, text)


def read_text(path: Path) -> str:
    """A text file as UTF-8, as UTF-16 where its first bytes say so, or else as cp1252 (logged).

    C1 controls are repaired. Raises PipelineError if there is no such file, or half a character of UTF-16.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise PipelineError(
            f"{path}: cannot be read ({error}). Check that the corpus is complete."
        ) from error
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return repaired(_utf16(raw, path))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        log.info("%s: not UTF-8; read as cp1252", path)
        # latin-1 maps every byte; `repaired` turns its controls into cp1252
        text = raw.decode("latin-1")
    return repaired(text)


def _utf16(raw: bytes, path: Path) -> str:
    try:
        return raw.decode("utf-16")
    except UnicodeDecodeError as error:
        raise PipelineError(
            f"{path}: begins as UTF-16 and is none ({error}). Save it anew, as UTF-8."
        ) from error


def read_csv(path: Path, columns: Collection[str], row: str = "") -> pl.DataFrame:
    """All columns of a CSV file as text (empty cells null); with `row`, a column of that name counts lines.

    Raises PipelineError if it is no CSV, or lacks one of `columns`.
    """
    try:
        # the header is line 1, so the first row is 2
        table = pl.read_csv(
            io.BytesIO(read_text(path).encode()),
            infer_schema=False,
            row_index_name=row or None,
            row_index_offset=2,
        )
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise PipelineError(f"{path}: cannot be read as CSV ({error}). Check the file.") from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise PipelineError(
            f"{path}: no column {missing[0]!r}; it has {', '.join(table.columns)}. Check that this is the "
            "right file, or mend its header."
        )
    return table


def seconds(text: str | None, where: str) -> float:
    """`hh:mm:ss,ms` (or `.ms`, or without hours) in seconds; raises PipelineError naming `where`."""
    found = re.fullmatch(r"\s*(?:(\d+):)?(\d+):(\d+(?:[.,]\d+)?)\s*", text or "")
    if not found:
        raise PipelineError(f"{where}: {text!r} is not a time like 00:01:02,345. Mend it in the file.")
    hours, minutes, rest = found.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes) + float(rest.replace(",", "."))


def number(text: str | None, where: str) -> float:
    """A finite number; raises PipelineError naming `where`."""
    if text is None or not re.fullmatch(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", text):
        raise PipelineError(f"{where}: {text!r} is not a number. Mend it in the file.")
    return float(text)


def score(value: float, where: str) -> float:
    """A score of a regression corpus; raises PipelineError naming `where` outside -3..3."""
    if not -3.0 <= value <= 3.0:
        raise PipelineError(f"{where}: {value:g} is not within -3..3. Bring all scores to that range.")
    return value


def known_label(name: str, labels: Collection[str], where: str) -> str:
    """The label name; raises PipelineError naming `where` if it is not one of `labels`."""
    if name not in labels:
        raise PipelineError(
            f"{where}: unknown label {name!r}; known are {', '.join(labels)}. Mend the file, or the labels "
            "in the config."
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
    found: dict[Path, float | None] = {}
    reasons: dict[str, int] = {}
    first = None
    for path in progress(sorted(set(paths)), "media"):
        try:
            found[path] = media.probe(path).duration
        except media.MediaAbsence as absence:
            log.info("%s", absence)
            found[path] = None
            reasons[absence.reason] = reasons.get(absence.reason, 0) + 1
            first = first or absence
    if all(duration is None for duration in found.values()):
        example = f"The first: {first}." if first else ""
        raise PipelineError(
            f"corpus.folder: no usable media: not one of {len(found)} files of the corpus {corpus} can be "
            f"opened ({reasons}). {example} Check that the videos are unpacked below the folder."
        )
    if reasons:
        log.info("media: %d of %d files cannot be used: %s", sum(reasons.values()), len(found), reasons)
    return found


def table(rows: Sequence[Mapping]) -> pl.DataFrame:
    """Rows as a manifest without shards; a key that a row lacks is null.

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
    return pl.DataFrame([{name: row.get(name) for name in ROWS} for row in rows], schema=ROWS)
