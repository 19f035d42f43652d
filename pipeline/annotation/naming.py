"""The name of the folder of a video's annotations; with nothing to load, for the job graph needs it."""

import hashlib
import re
from pathlib import Path

LONGEST = 100  # bytes; a file system takes 255, and temporary names are longer than what they stand for


def folder_name(video: str) -> str:
    """A name of one folder, made from that of the video.

    It holds letters (of any script), digits, `_`, dots and dashes, and never begins with a dot, so it is no
    way up, and not hidden. A long one is cut, and ends with a digest of the whole.
    """
    stem = Path(video).stem
    name = re.sub(r"^\.+|[^\w.-]", lambda found: "_" * len(found[0]), stem) or "none"
    if len(name.encode()) <= LONGEST:
        return name
    digest = hashlib.sha256(stem.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{name.encode()[: LONGEST - 9].decode(errors='ignore')}-{digest}"
