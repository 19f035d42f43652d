"""Adapter of features that were extracted elsewhere: an index table, and one array file a modality.

The folder holds `index.parquet` or `index.csv` (one row an utterance: `utterance`, `dialogue`; optional
`position`, `speaker`, `text`, `label`, `score`, `group`, `split`), and per modality `text.safetensors` or
`text.npz` (and so on): `pooled` (U, D) in the order of the index, optional `available` (U,). A modality
without a file is absent everywhere. Columns `split_<fold>` make folds of those names.
See docs/corpora/features.md.
"""

import logging
import zlib
from collections.abc import Sequence
from math import prod
from pathlib import Path
from zipfile import BadZipFile, ZipFile, is_zipfile

import numpy as np
import polars as pl

from models.modalities import MODALITIES
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.core.origins import OWN
from pipeline.corpora import reading, tables
from pipeline.corpora.drawing import given_or_drawn
from pipeline.corpora.rows import Corpus, own_splits
from pipeline.settings.corpus import CorpusSettings

log = logging.getLogger("pipeline")

ARRAYS = (".safetensors", ".npz")
FOLD = "split_"
ROW = " row"  # a column of ours for the number of the row
MOST_BYTES = 2**36  # of one array: 64 GiB, more than a corpus has; a small archive can unpack to any size


def one_of(folder: Path, stem: str, suffixes: Sequence[str]) -> Path | None:
    """The file of this stem, None if there is none; raises PipelineError if there are two."""
    found = [folder / f"{stem}{suffix}" for suffix in suffixes if (folder / f"{stem}{suffix}").is_file()]
    if len(found) > 1:
        raise PipelineError(f"{found[0]} and {found[1]}: which of them? Keep one.")
    return found[0] if found else None


def index(folder: Path) -> tuple[Path, pl.DataFrame]:
    """The index table and its path; `position` is added where it is missing (order within the dialogue).

    Raises PipelineError if there is no index, or it lacks a column, repeats an utterance or has an empty id.
    """
    path = one_of(folder, "index", (".parquet", ".csv"))
    if path is None:
        raise PipelineError(
            f"{folder}: there is no index.parquet or index.csv. "
            "docs/corpora/features.md shows how to write one."
        )
    needed = ("utterance", "dialogue")
    if path.suffix == ".csv":
        table = tables.read_csv(path, needed, ROW)
    else:
        table = tables.read_parquet(path, needed).drop(ROW, strict=False).with_row_index(ROW, 2)
    table = table.with_columns(_words(path, table, name) for name in needed)
    for row, utterance, dialogue in table.select(ROW, *needed).iter_rows():
        if not utterance or not dialogue:
            raise PipelineError(f"{path}, row {row}: utterance and dialogue must not be empty.")
    twice = table.filter(pl.col("utterance").is_duplicated())
    if twice.height:
        raise PipelineError(
            f"{path}, rows {twice[ROW][0]} and {twice.filter(utterance=twice['utterance'][0])[ROW][1]}: the "
            f"utterance {twice['utterance'][0]!r} occurs twice. Give each its own name."
        )
    if "position" not in table.columns:
        table = table.with_columns(position=pl.int_range(pl.len()).over("dialogue"))
    return path, table


def _words(path: Path, table: pl.DataFrame, name: str) -> pl.Series:
    """A column of text without blanks around; what is empty or `nan` (logged) is null.

    Raises PipelineError for a column of another kind.
    """
    values = tables.as_text(path, table, name)
    lost = sum(value in reading.NAN for value in values)
    if lost:
        log.info("%s, column %s: %d cell(s) are nan, which counts as empty", path, name, lost)
    return pl.Series(name, [reading.cell(value) for value in values], pl.String)


def _labels(path: Path, table: pl.DataFrame, named: Sequence[str]) -> tuple[tuple[str, ...], pl.Series]:
    """Label names, and the index of each row's label (null: unlabelled).

    Whole numbers in a Parquet index are indices into `named`; everything else is a name.
    """
    if "label" not in table.columns:
        return tuple(named), pl.Series("label", [None] * table.height, pl.Int32)
    column = table["label"]
    if named and (column.dtype.is_integer() or _counts(column)):
        for row, value in zip(table[ROW], column, strict=True):
            # of a column with gaps other programs make fractions, and NaN of the gaps
            if value is not None and (value < 0 or value >= len(named)):
                raise PipelineError(
                    f"{path}, row {row}: unknown label {value}; corpus.features.labels has "
                    f"{len(named)} names."
                )
        whole = column.fill_nan(None) if column.dtype.is_float() else column
        return tuple(named), whole.cast(pl.Int32)
    names = _words(path, table, "label")
    labels = tuple(named) or tuple(sorted(set(names.drop_nulls())))
    for row, name in zip(table[ROW], names, strict=True):
        if name is not None:
            reading.known_label(name, labels, f"{path}, row {row}")
    places = {name: place for place, name in enumerate(labels)}
    return labels, pl.Series("label", [places.get(name) for name in names], pl.Int32)


def _counts(column: pl.Series) -> bool:
    """Whether a column of fractions holds whole numbers, as other programs write those with gaps."""
    return column.dtype.is_float() and bool((column.fill_nan(None).drop_nulls() % 1 == 0).all())


def _numbers(path: Path, table: pl.DataFrame, name: str) -> list[float | None]:
    """A column of numbers, from CSV text or as it is; empty cells and NaN are None.

    Raises PipelineError naming the row of another cell, or a column of another kind.
    """
    values = table[name]
    if values.dtype == pl.String:
        cells = zip(table[ROW], map(reading.cell, values), strict=True)
        return [
            None if cell is None else reading.number(cell, f"{path}, row {row}, column {name}")
            for row, cell in cells
        ]
    if not (values.dtype.is_numeric() or values.dtype == pl.Null):
        raise PipelineError(
            f"{path}, column {name}: numbers are expected, not {values.dtype}. Write it anew."
        )
    return values.cast(pl.Float64).fill_nan(None).to_list()


def _positions(path: Path, table: pl.DataFrame) -> list[int]:
    """The column of positions; raises PipelineError naming the row of one that is no whole number from 0."""
    values = _numbers(path, table, "position")
    for row, value in zip(table[ROW], values, strict=True):
        if value is None or not value.is_integer() or not 0 <= value <= reading.MOST:
            raise PipelineError(
                f"{path}, row {row}, column position: {'empty' if value is None else value}, but the "
                "place of an utterance in its dialogue is a whole number from 0. Mend it, or leave the "
                "column out: then the order of the rows counts."
            )
    return [int(value) for value in values if value is not None]


def _scores(path: Path, table: pl.DataFrame) -> list[float | None]:
    """The column of scores; raises PipelineError for one outside their range."""
    values = _numbers(path, table, "score")
    for row, value in zip(table[ROW], values, strict=True):
        if value is not None:
            reading.score(value, f"{path}, row {row}, column score")
    return values


def folds(table: pl.DataFrame) -> tuple[str, ...]:
    """The folds of an index: `main`, or one for each column split_<fold>."""
    names = tuple(name.removeprefix(FOLD) for name in table.columns if name.startswith(FOLD))
    return names or ("main",)


def _check_sizes(path: Path) -> None:
    """Raise ValueError if an array of an .npz declares another size than the archive holds of it."""
    with ZipFile(path) as archive:
        for entry in archive.infolist():
            if not entry.filename.endswith(".npy"):
                continue
            with archive.open(entry) as file:
                version = np.lib.format.read_magic(file)
                read = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }
                if version not in read:
                    continue
                shape, _, kind = read[version](file)
                declared, held = prod(shape) * kind.itemsize, entry.file_size - file.tell()
            if not kind.hasobject and declared != held:
                raise ValueError(
                    f"{entry.filename} declares {shape} of {kind}, {declared} bytes, and holds {held}"
                )
            if held > MOST_BYTES:
                raise ValueError(f"{entry.filename} declares {shape} of {kind}, more than {MOST_BYTES} bytes")


def _archive(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz; raises PipelineError if it is none, is damaged, or would need pickle."""
    try:
        if is_zipfile(path):
            _check_sizes(path)
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise ValueError("a single array, as numpy.save writes it")
        with file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, MemoryError, RuntimeError, BadZipFile, zlib.error) as error:
        raise PipelineError(
            f"{path}: cannot be read as .npz without pickle ({error}). Write it by numpy.savez with "
            "plain number arrays."
        ) from error


def arrays(folder: Path, modality: str) -> tuple[Path, dict[str, np.ndarray]] | None:
    """`pooled` float (U, D) and, if given, `available` (U,) of a modality; None if it has no file.

    Raises PipelineError if the file is damaged, holds no `pooled`, or would need pickle.
    """
    path = one_of(folder, modality, ARRAYS)
    if path is None:
        return None
    found = artefacts.load_tensors(path, source=OWN) if path.suffix == ".safetensors" else _archive(path)
    pooled = found.get("pooled")
    if pooled is None or pooled.ndim != 2 or pooled.dtype.kind not in "fiu" or not pooled.shape[1]:
        shape = "nothing" if pooled is None else f"{pooled.dtype} {pooled.shape}"
        raise PipelineError(
            f"{path}: expected numbers named `pooled` of the shape (utterances, features), found {shape}; "
            f"the file holds {sorted(found)}. Write it anew."
        )
    return path, found


def read(settings: CorpusSettings, parts: Sequence[Path]) -> Corpus:
    """All utterances of the index; media, start and end stand for no file (nothing is decoded).

    Raises PipelineError for a faulty index, or if a modality's rows are not as many as the index's.
    """
    own = settings.features
    folder = reading.root(settings)
    path, table = index(folder)
    given = {modality: arrays(folder, modality) for modality in MODALITIES}
    if not any(given.values()):
        raise PipelineError(
            f"{folder}: no modality has a file. Write text, audio or visual .safetensors or .npz there."
        )
    for found in given.values():
        if found and len(found[1]["pooled"]) != table.height:
            raise PipelineError(
                f"{found[0]}: {len(found[1]['pooled'])} rows, {path} has {table.height}. They must agree in "
                "number and order."
            )
    labels, label = _labels(path, table, own.labels) if own.task == "classification" else ((), None)
    position = _positions(path, table)
    columns = {
        name: _words(path, table, name) if name in table.columns else None
        for name in ("speaker", "text", "group", "split")
    }
    score = None
    if own.task == "regression" and "score" in table.columns:
        score = _scores(path, table)
    rows = [
        {
            "corpus": "features",
            "dialogue": table["dialogue"][row],
            "position": position[row],
            "utterance": table["utterance"][row],
            "label": None if label is None else label[row],
            "score": None if score is None else score[row],
            "media": path.as_posix(),
            "start": float(position[row]),
            "end": float(position[row] + 1),
        }
        | {name: None if column is None else column[row] for name, column in columns.items()}
        for row in range(table.height)
    ]
    for row in rows:
        row["speaker"] = row["speaker"] or row["dialogue"]
    return Corpus(reading.table(rows), labels, own.task, folds(table), timed=False)


def splits(rows: pl.DataFrame, settings: CorpusSettings, fold: str) -> pl.DataFrame:
    """The splits of the column split_<fold>; without such columns the fold `main`, given or drawn.

    Raises PipelineError for an unknown fold, or a dialogue in two splits of a fold.
    """
    path, table = index(reading.root(settings))
    if fold not in folds(table):
        raise PipelineError(
            f"config, key corpus.folds: {path} has the folds {', '.join(folds(table))}, not {fold!r}."
        )
    column = f"{FOLD}{fold}"
    if column not in table.columns:
        return given_or_drawn(rows, settings, settings.features.test)
    split = table.select("dialogue", split=_words(path, table, column)).unique(maintain_order=True)
    twice = split.filter(pl.col("dialogue").is_duplicated())
    if twice.height:
        raise PipelineError(
            f"{path}, column {column}: dialogue {twice['dialogue'][0]!r} lies in more than one split. Give "
            "all its rows the same."
        )
    return own_splits(split, settings.validation, settings.seed)
