"""Text files as people have them: their encoding, and their lines."""

import codecs
import logging
import re
from pathlib import Path

from pipeline.core.errors import PipelineError

log = logging.getLogger("pipeline")

C1 = re.compile("[\x80-\x9f]")
WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def repaired(text: str) -> str:
    """cp1252 characters that were decoded as C1 controls (0x85, 0x91 and so on), made right."""

    def mend(found: re.Match[str]) -> str:
        # five bytes mean nothing in cp1252; such a control character stays
        return found.group().encode("latin-1").decode("cp1252", errors="ignore") or found.group()

    return C1.sub(mend, text)


def read_text(path: Path) -> str:
    """A text file as UTF-8, as UTF-16 or UTF-32 where its first bytes say so, or else as cp1252 (logged).

    Bytes that are no UTF-8 in a file that otherwise is are read as cp1252, one by one, and logged. C1
    controls are repaired. Raises PipelineError if the file cannot be read, or holds half a character of
    UTF-16 or 32.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise PipelineError(
            f"{path}: cannot be read ({error}). Check that the corpus is complete, and that the file may be "
            "read."
        ) from error
    for mark, encoding in WIDE:
        if raw.startswith(mark):
            return repaired(_wide(raw, encoding, path))
    try:
        return repaired(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return repaired(_mixed(raw, path, error.start))


def _wide(raw: bytes, encoding: str, path: Path) -> str:
    name = encoding.upper()
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise PipelineError(
            f"{path}: begins as {name} and is none ({error}). Save it anew, as UTF-8."
        ) from error


def _mixed(raw: bytes, path: Path, first: int) -> str:
    """Bytes that are not UTF-8 throughout; the first that is not stands at `first`.

    Controls of latin-1 stand for cp1252 (`repaired`).
    """
    marked = raw.startswith(codecs.BOM_UTF8)
    # a byte that does not fit becomes a lone surrogate
    text = raw.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="surrogateescape")
    stray = sum("\udc80" <= letter <= "\udcff" for letter in text)
    fitting = sum(letter > "\x7f" for letter in text) - stray
    if not marked and fitting < stray:
        log.info("%s: not UTF-8; read as cp1252", path)
        return raw.decode("latin-1")
    line = raw.count(b"\n", 0, first) + 1
    log.info("%s, line %d: %d byte(s) of the file are not UTF-8; these are read as cp1252", path, line, stray)
    return "".join(chr(ord(one) - 0xDC00) if "\udc80" <= one <= "\udcff" else one for one in text)


def lines(text: str) -> list[str]:
    """The lines of a text, without their ends.

    Not those of `str.splitlines`, which also cuts at U+2028, U+001C and other characters within a line.
    """
    return re.split(r"\r\n|\r|\n", text)
