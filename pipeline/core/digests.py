"""Digests of files and of small facts; with nothing to load, for the job graph needs them, too."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pipeline.core.disk import refusals_named


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal text; raises PipelineError if this account may not read it."""
    with refusals_named(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a folder by its name, without hidden ones: Snakemake leaves its stamp there."""
    files = (path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))
    return {path.name: file_digest(path) for path in files}


def facts_digest(facts: Mapping) -> str:
    """SHA-256 of a JSON-able mapping, independent of key order."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
