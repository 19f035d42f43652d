"""Checksums within artefacts: a SHA-256 of the whole file, its own digits counted as zeros.

It stands in the metadata of safetensors and Parquet files, so that any other reader of these formats can read
them, and as a key of JSON facts. A folder of files in foreign formats (an encoder) has them in a file beside.
"""

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.core.digests import file_digest
from pipeline.core.errors import PipelineError
from pipeline.core.origins import Source

log = logging.getLogger("pipeline")

KEY = "core-kd.checksum"
PREFIX, DIGITS = "sha256:", 64
EMPTY = PREFIX + "0" * DIGITS
BESIDE = "checksums.json"  # in a folder

_VALUE = re.compile(rb"sha256:([0-9a-f]{64})")
_WHOLE = re.compile(rb"core-kd\.checksum.{1,8}?sha256:([0-9a-f]{64})", re.DOTALL)
_BLOCK = 1 << 20
# files that were looked at, by name, time and size: a stage reads some of them twice
_known: set[tuple[str, int, int]] = set()


def damaged(path: Path, source: Source) -> PipelineError:
    """The error of a file that is not as it was written."""
    return PipelineError(
        f"{path}: its checksum does not fit what it holds, so it was damaged, or changed by hand, after it "
        f"was written. {source.mend}"
    )


def seal(path: Path) -> None:
    """Put the checksum of a safetensors or Parquet file in the place of `EMPTY`, the value of `KEY`."""
    with open(path, "r+b") as file:
        place = _digits(file, path.suffix)
        if place is None:
            raise ValueError(f"{path}: no place for its checksum")
        digest = _digest(file, place)
        file.seek(place)
        file.write(digest.encode())


def check(path: Path, source: Source) -> None:
    """Raise PipelineError if a safetensors or Parquet file is not as it was sealed.

    One without a checksum passes with a line in the log, if its source should have written one.
    """
    facts = path.stat()
    key = (str(path.absolute()), facts.st_mtime_ns, facts.st_size)
    if key in _known:
        return
    with open(path, "rb") as file:
        place = _digits(file, path.suffix)
        if place == -1:
            raise damaged(path, source)
        if place is None:
            _tell_unsealed(path, source)
        else:
            file.seek(place)
            if file.read(DIGITS).decode() != _digest(file, place):
                raise damaged(path, source)
    _known.add(key)


def _tell_unsealed(path: Path, source: Source) -> None:
    if source.sealed:
        log.info("%s: no checksum, as of an earlier version; damage to it would not be noticed", path)


def _digits(file: BinaryIO, suffix: str) -> int | None:
    """Where the digits of the checksum stand; None: nowhere; -1: half of it does, so it was damaged."""
    size = file.seek(0, 2)
    if suffix == ".parquet":
        # the metadata is a footer, whose length stands before the last four bytes
        file.seek(max(0, size - 8))
        length = int.from_bytes(file.read(4), "little")
        first = max(0, size - 8 - length)
    else:
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        first = 8
    file.seek(first)
    text = file.read(min(length, size))
    if found := _WHOLE.search(text):
        return first + found.start(1)
    half = KEY.encode() in text or _VALUE.search(text) is not None
    return -1 if half else None


def _digest(file: BinaryIO, place: int) -> str:
    """SHA-256 of the file with zeros from `place` on in the place of the checksum."""
    digest = hashlib.sha256()
    file.seek(0)
    left = place
    while left and (block := file.read(min(_BLOCK, left))):
        digest.update(block)
        left -= len(block)
    digest.update(b"0" * DIGITS)
    file.seek(place + DIGITS)
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def sealed_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """JSON facts with their checksum as one more key."""
    return {**facts, KEY: _facts_digest(facts)}


def _facts_digest(facts: Mapping[str, Any]) -> str:
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return PREFIX + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def opened_facts(facts: dict[str, Any], path: Path, source: Source) -> dict[str, Any]:
    """JSON facts without their checksum; raises PipelineError if it does not fit them."""
    told = facts.pop(KEY, None)
    if told is None:
        if any(
            isinstance(value, str) and _VALUE.fullmatch(value.encode("utf-8", "replace"))
            for value in facts.values()
        ):
            raise damaged(path, source)  # the name of the key was hit
        _tell_unsealed(path, source)
    elif told != _facts_digest(facts):
        raise damaged(path, source)
    return facts


def seal_folder(folder: Path) -> None:
    """Write the checksums of all files of a folder beside them."""
    digests = {
        path.relative_to(folder).as_posix(): file_digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != BESIDE
    }
    text = json.dumps(sealed_facts({"sha256": digests}), indent=1, sort_keys=True)
    (folder / BESIDE).write_text(text + "\n", encoding="utf-8")


def check_folder(folder: Path, source: Source) -> None:
    """Raise PipelineError if a file of a folder is not as it was when the folder was sealed.

    A folder without checksums passes with a line in the log: of an earlier version, or made by hand.
    """
    path = folder / BESIDE
    if not path.is_file():
        log.info(
            "%s: no checksums, as of an earlier version or another program; damage would not be noticed",
            folder,
        )
        return
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        digests = dict(opened_facts(facts, path, source)["sha256"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, source) from error
    for name, digest in digests.items():
        if not (folder / name).is_file():
            raise PipelineError(f"{folder / name}: missing. {source.mend}")
        if file_digest(folder / name) != digest:
            raise damaged(folder / name, source)
