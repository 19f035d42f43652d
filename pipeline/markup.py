"""A table of cells as Markdown and as CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline import artefacts
from pipeline.results import Cell, shown


@dataclass(frozen=True)
class Table:
    """A heading, one unit (metric) a column, rows of texts and cells, and notes of its own."""

    heading: str
    header: Sequence[str]
    units: Sequence[str]
    rows: Sequence[Sequence[Cell | str | None]]
    notes: Sequence[str]


def number(value: float, digits: int) -> str:
    """A plain number with a fixed count of digits."""
    return f"{value:.{digits}f}"


def write(folder: Path, name: str, table: Table, footer: Sequence[str]) -> None:
    """Write `{name}.md` for reading and `{name}.csv` with the unrounded numbers."""
    artefacts.save_text(folder / f"{name}.md", markdown(table, footer))
    artefacts.save_text(folder / f"{name}.csv", as_csv(table))


def markdown(table: Table, footer: Sequence[str]) -> str:
    """The table with its notes and the footer below it."""
    lines = [f"# {table.heading}", ""]
    lines.append("| " + " | ".join(table.header) + " |")
    lines.append("|" + "|".join(["---"] + ["---:"] * (len(table.header) - 1)) + "|")
    for row in table.rows:
        lines.append("| " + " | ".join(_text(c, u) for c, u in zip(row, table.units, strict=True)) + " |")
    lines.append("")
    for note in (*table.notes, *footer):
        lines += [note, ""]
    return "\n".join(lines)


def as_csv(table: Table) -> str:
    """One row a table row; a column of cells gives four: mean, sd, low and high (empty where not known)."""
    cells = [any(isinstance(row[place], Cell) for row in table.rows) for place in range(len(table.header))]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    header: list[str] = []
    for name, many in zip(table.header, cells, strict=True):
        label = name or "variant"
        header += [label, f"{label} sd", f"{label} low", f"{label} high"] if many else [label]
    writer.writerow(header)
    for row in table.rows:
        line: list[str] = []
        for value, many in zip(row, cells, strict=True):
            line += _numbers(value) if many else [str(value or "").strip("*")]
        writer.writerow(line)
    return out.getvalue()


def _numbers(value: Cell | str | None) -> list[str]:
    if not isinstance(value, Cell):
        return [""] * 4
    return ["" if v is None else f"{v:.6g}" for v in (value.mean, value.sd, value.low, value.high)]


def _text(value: Cell | str | None, unit: str) -> str:
    return value if isinstance(value, str) else shown(value, unit)
