"""A file's sound for the stages that recognise speech: spooled, so that a long film needs no more memory."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pipeline.core import media
from pipeline.settings.media import MediaSettings


@contextmanager
def heard(path: Path, reading: MediaSettings) -> Iterator[np.ndarray]:
    """The sound of a file, float32 (samples,), 16 kHz; it lies on disk and is there within the block alone.

    Raises MediaAbsence as `media.hear` does.
    """
    with tempfile.TemporaryDirectory() as spare:
        yield media.hear(path, Path(spare) / "sound", track=reading.track, most=reading.megabytes).samples
