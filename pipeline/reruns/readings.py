"""What was read out of the code, kept by each file's contents, so that the next command need not read it.

Reading all of the code takes a third of a second, and each job of a cluster would do it twice. A file that is
edited has other contents, and so another key; one that is lost or broken is made again.
"""

import json
import os
from pathlib import Path
from typing import NamedTuple


class Reading(NamedTuple):
    """Of one module: every dotted name that it may import, and the digest of what it means."""

    names: tuple[str, ...]
    digest: str


class Readings:
    """Readings by their key; kept in a file from `open` on."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._found: dict[str, Reading] = {}
        self._used: dict[str, Reading] = {}

    def open(self, path: Path) -> None:
        """Take what the file holds; one that is not there or cannot be understood holds nothing."""
        self._path = path
        try:
            held = json.loads(path.read_bytes())
            self._found = {key: Reading(tuple(names), digest) for key, (names, digest) in held.items()}
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            self._found = {}

    def get(self, key: str) -> Reading | None:
        """The reading of this key, if there is one."""
        reading = self._found.get(key)
        if reading is not None:
            self._used[key] = reading
        return reading

    def put(self, key: str, reading: Reading) -> None:
        """Add a reading."""
        self._used[key] = reading

    def save(self) -> None:
        """Write what was used, if some of it is new; where nobody may write, each command reads anew."""
        if self._path is None or self._used.keys() <= self._found.keys():
            return
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps(self._used))
            os.replace(new, self._path)
        except PermissionError:
            return
        self._found |= self._used
