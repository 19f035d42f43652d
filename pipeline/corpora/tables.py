"""Tables as people have them: CSV and Parquet, each fault named with its row."""

import csv
import io
import logging
from collections.abc import Collection, Sequence
from pathlib import Path

import polars as pl

from pipeline.core.errors import PipelineError
from pipeline.corpora.decoding import read_text

log = logging.getLogger("pipeline")

MEND = "Check that this is the right file, or mend its header."


def read_csv(path: Path, columns: Collection[str], row: str = "") -> pl.DataFrame:
    """All columns of a CSV file as text (empty cells null); with `row`, a column of that name counts rows.

    The header is row 1. Rows that are blank throughout are left out and logged. Raises PipelineError if the
    file is no CSV, lacks one of `columns`, has a column twice, or a row of another number of cells.
    """
    # not by polars, which renames a column that stands twice and fills a row that is too short
    header, rows = _parsed(path)
    header = [name.strip() for name in header]
    _check_header(path, header, columns)
    kept: list[list[str]] = []
    numbers: list[int] = []
    blank = 0
    for number, cells in rows:
        if not any(cell.strip() for cell in cells):
            blank += 1
            continue
        if len(cells) != len(header):
            raise PipelineError(
                f"{path}, row {number}: {len(cells)} cells, the header has {len(header)}. Mend the row; a "
                "cell with a comma in it stands in double quotes."
            )
        kept.append(cells)
        numbers.append(number)
    if blank:
        log.info("%s: %d blank row(s) are left out", path, blank)
    table = {
        name: pl.Series(name, [cells[place] or None for cells in kept], pl.String)
        for place, name in enumerate(header)
        # what a program writes as its own row numbers has no name
        if name
    }
    count = {row: pl.Series(row, numbers, pl.UInt32)} if row else {}
    return pl.DataFrame(count | table)


def _parsed(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and every other row with its number."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    rows: list[tuple[int, list[str]]] = []
    begins = 1
    try:
        for number, cells in enumerate(reader, 1):
            rows.append((number, cells))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise PipelineError(
            f"{path}, row {len(rows) + 1}, which begins at line {begins}: cannot be read as CSV ({error}). "
            "Mend it there; a quotation mark within a cell is written twice."
        ) from error
    if not rows or not any(cell.strip() for cell in rows[0][1]):
        raise PipelineError(f"{path}: cannot be read as CSV (it has no header in its first row). {MEND}")
    return rows[0][1], rows[1:]


def _check_header(path: Path, header: Sequence[str], columns: Collection[str]) -> None:
    """Raise PipelineError for a column that stands twice, or one of `columns` that is not there."""
    for place, name in enumerate(header):
        if name and name in header[:place]:
            raise PipelineError(
                f"{path}: the column {name!r} stands twice, as number {header.index(name) + 1} and "
                f"{place + 1}. Remove or rename one of them."
            )
    check_columns(path, header, columns)


def check_columns(path: Path, header: Sequence[str], columns: Collection[str]) -> None:
    """Raise PipelineError naming the first of `columns` that a table lacks."""
    missing = [name for name in columns if name not in header]
    if not missing:
        return
    apart = next((mark for mark in ";\t|" if len(header) == 1 and mark in header[0]), None)
    hint = f"Its cells are set apart by {apart!r}: save it with commas." if apart else MEND
    raise PipelineError(f"{path}: no column {missing[0]!r}; it has {', '.join(header)}. {hint}")


def read_parquet(path: Path, columns: Collection[str]) -> pl.DataFrame:
    """A Parquet table of the user's; raises PipelineError if it is none or lacks one of `columns`."""
    try:
        table = pl.read_parquet(path)
    # a panic is what polars raises where its own code fails, as on some damaged files
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise PipelineError(
            f"{path}: cannot be read as Parquet ({error}). It is a file of yours: write it anew."
        ) from error
    check_columns(path, table.columns, columns)
    return table


def as_text(path: Path, table: pl.DataFrame, name: str) -> pl.Series:
    """A column as text; raises PipelineError for one that is no text, such as lists."""
    try:
        return table[name].cast(pl.String)
    except pl.exceptions.PolarsError as error:
        raise PipelineError(
            f"{path}, column {name}: text is expected, not {table[name].dtype}. Write it anew."
        ) from error
