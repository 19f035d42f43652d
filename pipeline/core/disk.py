"""What a file system refuses, said in one paragraph, and what lies at a path that is no file."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.errors import PipelineError

AGAIN = "What is made so far stays; run the same command again."
# by errno: what it means, and how to mend it
REFUSALS = {
    errno.ENOSPC: ("the disk is full", f"Make room, or move the folder to another disk. {AGAIN}"),
    errno.EDQUOT: ("the quota of this account is used up", f"Make room, or ask for more. {AGAIN}"),
    errno.EFBIG: (
        "the file may not become so large",
        f"Raise the limit (ulimit -f), or change the disk. {AGAIN}",
    ),
    errno.EROFS: ("the file system is read-only", "Work in a folder that can be written."),
    errno.EACCES: ("this account may not", "Give it the right (chmod, chown), or name another path."),
    errno.EPERM: ("this account may not", "Give it the right (chmod, chown), or name another path."),
    errno.EIO: ("the disk, or the connection to it, failed", f"Look at the machine's log. {AGAIN}"),
    errno.ESTALE: ("the connection to the disk was lost", AGAIN),
    errno.ENAMETOOLONG: ("the name is too long", "Give it a shorter one."),
    errno.EMFILE: ("too many files are open", f"Raise the limit (ulimit -n). {AGAIN}"),
    errno.ENFILE: ("too many files are open on this machine", AGAIN),
    errno.ENOMEM: ("there is no memory left", f"Run fewer jobs at once. {AGAIN}"),
    errno.ENOTDIR: ("a file stands where a folder is needed", "Move it away, or name another path."),
    errno.EISDIR: ("a folder stands where a file is needed", "Move it away, or name another path."),
    errno.EEXIST: ("a file stands where a folder is needed", "Move it away, or name another path."),
    errno.ELOOP: ("its links lead in a circle", "Mend the link."),
}
FILE, FOLDER = "a file", "a folder"
KINDS = {
    stat.S_IFDIR: FOLDER,
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFREG: FILE,
}


def refused(error: Exception, path: Path | str | None = None) -> PipelineError | None:
    """The paragraph for what a file system refused; None if the error is of another kind.

    path: what was being written; an error that names another file (and none of its temporary ones) is said of
    that. Libraries that are not written in Python tell the number of the error in their text.
    """
    number = getattr(error, "errno", None)
    if number not in REFUSALS:
        found = re.search(r"\(os error (\d+)\)", str(error))
        number = int(found[1]) if found else None
    if number not in REFUSALS:
        return None
    what, mend = REFUSALS[number]
    named = getattr(error, "filename", None)
    where = path if named is None or (path is not None and _temporary(named, path)) else named
    shown = "the disk" if where is None else printable(where)
    return PipelineError(f"{shown}: {what} ({os.strerror(number)}). {mend}")


def _temporary(name: str | bytes, path: Path | str) -> bool:
    """Whether a file is a hidden one beside `path`, or lies in a hidden folder there."""
    try:
        inner = Path(os.fsdecode(name)).relative_to(Path(path).parent)
    except ValueError:
        return False
    return any(part.startswith(".") for part in inner.parts)


@contextmanager
def refusals_named(path: Path) -> Iterator[None]:
    """Within the block, what a file system refuses becomes a PipelineError that names `path`."""
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:
        if fault := refused(error, path):
            raise fault from error
        raise


def kind(path: Path, *, strict: bool = False) -> str:
    """What lies at a path, in words: `a file`, `a folder`, `a pipe`, `nothing`, ...

    strict: raise OSError where it may not be looked at.
    """
    try:
        return KINDS.get(stat.S_IFMT(os.stat(path).st_mode), "no file")
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return f"a link to {os.readlink(path)}, which is not there" if os.path.islink(path) else "nothing"
    except OSError as error:
        if strict and error.errno != errno.ELOOP:
            raise
        return f"nothing that can be looked at ({error.strerror})"


def printable(path: Path | str) -> str:
    """A path as text of UTF-8; bytes of a name that are none are written as `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8; one that the system gives in other bytes cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
