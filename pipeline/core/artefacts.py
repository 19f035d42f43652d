"""The one door for what the pipeline writes: safetensors for arrays, Parquet for tables, JSON for facts.

Every writer fills a temporary name in the folder of its target and renames it, so that a reader (or a
second writer after an unlock) never sees half a file, and holds a checksum that every reader checks
(core/seals.py). The contents are described in docs/artefacts.md.
"""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from pipeline.core import seals, spare
from pipeline.core.digests import facts_digest, file_digest  # noqa: F401
from pipeline.core.disk import refusals_named
from pipeline.core.errors import PipelineError
from pipeline.core.origins import Source, source_of

# what polars raises where its own code fails, as on some damaged files; it is no Exception
PANIC: type[BaseException] = pl.exceptions.PanicException


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends without error.

    Raises PipelineError if the file system refuses it (full, read-only, ...).
    """
    with refusals_named(path):
        yield from _replacing(Path(path))


def _replacing(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    spare.sweep(path.parent, f".{path.stem}-")
    beginning = spare.prefix(f".{path.stem}-")
    handle, name = tempfile.mkstemp(prefix=beginning, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp gives 0600; an artefact is as readable as any other file of the user
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        _to_disk(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Wait until a file is on its disk: else a crash of the machine may leave its new name on nothing."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; it takes the place of `path` when the block ends.

    Raises PipelineError if the file system refuses it (full, read-only, a file of that name), OSError if
    another writer puts a folder there again and again.
    """
    # a link stays a link to the new folder
    with refusals_named(path):
        yield from _replacing_folder(Path(path).resolve())


def _replacing_folder(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    spare.sweep(path.parent, f".{path.name}-")
    temporary = Path(tempfile.mkdtemp(prefix=spare.prefix(f".{path.name}-"), dir=path.parent))
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o777 & ~mask)
        for left in reversed(range(5)):
            try:
                _exchange(temporary, path)
                break
            except OSError as error:
                # a second writer was quicker: its folder is the old one now
                if not left or error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _exchange(folder: Path, path: Path) -> None:
    """Rename `folder` to `path`; a folder of that name is renamed first, and deleted once it is replaced."""
    aside = folder.with_name(f"{folder.name}-old")
    if path.is_dir():
        with suppress(FileNotFoundError):
            os.replace(path, aside)
    try:
        os.replace(folder, path)
    except OSError:
        if aside.exists() and not path.exists():
            os.replace(aside, path)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def save_tensors(
    path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named arrays as one safetensors file; `metadata` holds strings only."""
    # not ascontiguousarray, which turns a scalar into a vector
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    with replacing(path) as temporary:
        save_file(arrays, str(temporary), metadata={**(metadata or {}), seals.KEY: seals.EMPTY})
        _sort_header(temporary)
        seals.seal(temporary)


def _sort_header(path: Path) -> None:
    """Put the metadata in the order of its keys: safetensors writes them in another order each time."""
    with open(path, "r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        if "__metadata__" in header:
            header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) > size:
            raise ValueError(f"{path}: the header grew from {size} to {len(text)} bytes")
        file.seek(8)
        file.write(text.ljust(size))


def load_tensors(
    path: Path, names: Sequence[str] | None = None, *, source: Source | None = None
) -> dict[str, np.ndarray]:
    """Read named arrays (all, or just `names`).

    source: where the file comes from, if its place does not tell.
    Raises PipelineError if the file is missing, damaged, or lacks a name.
    """
    path, source = Path(path), source or source_of(path)
    with _readable(path, "safetensors", source), safe_open(str(path), framework="numpy") as file:
        known = set(file.keys())
        wanted = sorted(known) if names is None else list(names)
        missing = [name for name in wanted if name not in known]
        if missing:
            raise PipelineError(
                f"{path}: no array named {missing[0]!r}; it holds {sorted(known)[:8]}. {source.mend}"
            )
        return {name: file.get_tensor(name) for name in wanted}


def load_metadata(path: Path, *, source: Source | None = None) -> dict[str, str]:
    """The string metadata of a safetensors file; raises PipelineError if it is missing or damaged."""
    path, source = Path(path), source or source_of(path)
    with _readable(path, "safetensors", source), safe_open(str(path), framework="numpy") as file:
        return {name: text for name, text in (file.metadata() or {}).items() if name != seals.KEY}


@contextmanager
def _readable(path: Path, kind: str, source: Source) -> Iterator[None]:
    """Check a file before the block reads it; raises PipelineError if either fails."""
    try:
        seals.check(path, source)
        yield
    except (OSError, ValueError, TypeError, SafetensorError, pl.exceptions.PolarsError, PANIC) as error:
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise PipelineError(f"{path}: cannot be read as {kind} ({said}). {source.mend}") from error


def save_table(path: Path, table: pl.DataFrame) -> None:
    """Write a table as Parquet."""
    with replacing(path) as temporary:
        table.write_parquet(
            temporary, compression="zstd", statistics=False, metadata={seals.KEY: seals.EMPTY}
        )
        seals.seal(temporary)


def load_table(
    path: Path,
    columns: Sequence[str] | Mapping[str, Any] | None = None,
    *,
    source: Source | None = None,
) -> pl.DataFrame:
    """Read a Parquet table (all columns, or just `columns`; of these polars types, if they are given).

    source: where the file comes from, if its place does not tell. Raises PipelineError if the file is
    missing, damaged, or lacks a column, or one has another type.
    """
    path, source = Path(path), source or source_of(path)
    with _readable(path, "Parquet", source):
        table = pl.read_parquet(path)
    if columns is None:
        return table
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise PipelineError(f"{path}: no column {missing[0]!r}; it has {table.columns}. {source.mend}")
    if isinstance(columns, Mapping):
        for name, kind in columns.items():
            if table.schema[name] not in (kind, pl.Null):
                raise PipelineError(
                    f"{path}, column {name}: {table.schema[name]}, expected {kind}. {source.mend}"
                )
        table = table.cast({name: kind for name, kind in columns.items() if table.schema[name] == pl.Null})
    return table.select(*columns)


def save_json(path: Path, facts: Mapping, *, seal: bool = True) -> None:
    """Write small facts as JSON, keys sorted, numbers finite; `seal` false: without a checksum among them."""
    with replacing(path) as temporary:
        temporary.write_text(
            json.dumps(
                seals.sealed_facts(facts) if seal else facts,
                indent=1,
                sort_keys=True,
                ensure_ascii=False,
                allow_nan=False,
            )
            + "\n",
            encoding="utf-8",
        )


def load_json(path: Path, keys: Sequence[str] = (), *, source: Source | None = None) -> dict:
    """Read a JSON object; `source`: where the file comes from, if its place does not tell.

    Raises PipelineError if the file is missing, damaged, or lacks one of `keys`.
    """
    path, source = Path(path), source or source_of(path)
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts, dict):
            raise ValueError(f"an object is expected, not {type(facts).__name__}")
    except (OSError, ValueError, RecursionError) as error:
        raise PipelineError(f"{path}: cannot be read as JSON ({error}). {source.mend}") from error
    facts = seals.opened_facts(facts, path, source)
    missing = [key for key in keys if key not in facts]
    if missing:
        raise PipelineError(f"{path}: no key {missing[0]!r}; it has {sorted(facts)[:12]}. {source.mend}")
    return facts


def save_text(path: Path, text: str) -> None:
    """Write a text file (Markdown, CSV, LaTeX)."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def counts(path: Path) -> str:
    """What an artefact holds, in a few words: rows, shapes or files, and its size."""
    if path.is_dir():
        files = [file for file in path.rglob("*") if file.is_file()]
        return f"{len(files)} files, {_size(sum(file.stat().st_size for file in files))}"
    size = _size(path.stat().st_size)
    if path.suffix == ".parquet":
        return f"{pl.scan_parquet(path).select(pl.len()).collect().item()} rows, {size}"
    if path.suffix == ".safetensors":
        with safe_open(str(path), framework="numpy") as file:
            shapes = {name: "x".join(map(str, file.get_slice(name).get_shape())) for name in file.keys()}  # noqa: SIM118
        shown = ", ".join(f"{name} {shape or 'scalar'}" for name, shape in sorted(shapes.items())[:4])
        more = f" and {len(shapes) - 4} more" if len(shapes) > 4 else ""
        return f"{shown}{more}, {size}"
    return size


def _size(count: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
