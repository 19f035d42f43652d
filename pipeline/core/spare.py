"""The names of temporary files: by them a writer that was killed is told from one that is at work."""

import hashlib
import os
import platform
import re
import shutil
from contextlib import suppress
from pathlib import Path

HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:4]


def prefix(beginning: str) -> str:
    """How a temporary name of this process begins: `beginning`, then machine and process."""
    return f"{beginning}{HOST}.{os.getpid()}-"


def sweep(folder: Path, beginning: str) -> None:
    """Delete what processes of this machine that are gone (SIGKILL) left in a folder under such names."""
    form = re.compile(rf"{re.escape(beginning)}{HOST}\.(\d+)-")
    with suppress(OSError):
        for name in os.listdir(folder):
            found = form.match(name)
            if found and not _runs(int(found[1])):
                left = folder / name
                if left.is_dir() and not left.is_symlink():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    try:
        told = Path(f"/proc/{process}/stat").read_bytes()
    except OSError:
        return platform.system() != "Linux"
    # killed, and not yet seen by its parent: it writes no more, though its number is taken
    return told.rpartition(b")")[2].split()[0] != b"Z"
