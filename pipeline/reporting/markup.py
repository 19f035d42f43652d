"""A table of cells as Markdown and HTML for reading, LaTeX for print, and CSV with the unrounded numbers."""

import csv
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core import artefacts
from pipeline.core.spreadsheets import harmless
from pipeline.evaluation.results import Cell
from pipeline.reporting.units import shown

LATEX = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    "†": r"$\dagger$",
}
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{heading}</title>
<style>
body {{ font: 14px/1.45 system-ui, sans-serif; margin: 1.2rem; color: #222; background: #fff; }}
h1 {{ font-size: 1.15rem; }}
div.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; border-top: 2px solid #222; border-bottom: 2px solid #222; }}
th {{ border-bottom: 1px solid #222; vertical-align: bottom; }}
th, td {{ padding: .25rem .7rem; text-align: right; white-space: nowrap; }}
td {{ font-variant-numeric: tabular-nums; }}
th:first-child, td:first-child {{ text-align: left; position: sticky; left: 0; background: #fff; }}
tbody tr:hover td {{ background: #eef4fa; }}
p {{ max-width: 60rem; color: #444; font-size: .85rem; }}
</style>
</head>
<body>
<h1>{heading}</h1>
<div class="wide">
<table>
<thead>
{head}
</thead>
<tbody>
{body}
</tbody>
</table>
</div>
{notes}
</body>
</html>
"""


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
    """Write `{name}.md`, `{name}.html`, `{name}.tex` and `{name}.csv`."""
    artefacts.save_text(folder / f"{name}.md", markdown(table, footer))
    artefacts.save_text(folder / f"{name}.html", page(table, footer))
    artefacts.save_text(folder / f"{name}.tex", latex(table, footer, name))
    artefacts.save_text(folder / f"{name}.csv", as_csv(table))


def texts(table: Table) -> list[list[str]]:
    """The cells of every row as they are printed; a text in `**` is meant bold."""

    def text(value: Cell | str | None, unit: str) -> str:
        return value if isinstance(value, str) else shown(value, unit)

    return [[text(*pair) for pair in zip(row, table.units, strict=True)] for row in table.rows]


def cell(text: str) -> str:
    """A text as one cell of a Markdown table: `|` ends none, a line break is a blank, a tag is no markup."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", " ".join(re.split(r"[\r\n]+", text)).replace("|", "\\|"))


def markdown(table: Table, footer: Sequence[str]) -> str:
    """The table with its notes and the footer below it."""
    lines = [f"# {table.heading}", ""]
    lines.append("| " + " | ".join(map(cell, table.header)) + " |")
    lines.append("|" + "|".join(["---"] + ["---:"] * (len(table.header) - 1)) + "|")
    lines += ["| " + " | ".join(map(cell, row)) + " |" for row in texts(table)]
    lines.append("")
    for note in (*table.notes, *footer):
        lines += [note, ""]
    return "\n".join(lines)


def page(table: Table, footer: Sequence[str]) -> str:
    """The table as one HTML page that needs nothing else."""

    def row(tag: str, cells: Sequence[str]) -> str:
        marked = (re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", html.escape(cell)) for cell in cells)
        return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in marked) + "</tr>"

    return PAGE.format(
        heading=html.escape(table.heading),
        head=row("th", table.header),
        body="\n".join(row("td", cells) for cells in texts(table)),
        notes="\n".join(f"<p>{html.escape(note)}</p>" for note in (*table.notes, *footer)),
    )


def latex(table: Table, footer: Sequence[str], name: str) -> str:
    """A float for the packages booktabs and graphicx, with the notes below the table."""

    def row(cells: Sequence[str]) -> str:
        return " & ".join(_latex_text(cell) for cell in cells) + r" \\"

    return "\n".join(
        [
            r"% \usepackage{booktabs, graphicx}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex_text(table.heading)}}}",
            rf"\label{{tab:{name}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}",
            r"\toprule",
            row(table.header),
            r"\midrule",
            *(row(cells) for cells in texts(table)),
            r"\bottomrule",
            r"\end{tabular}}",
            *(rf"\par\footnotesize {_latex_text(note)}" for note in (*table.notes, *footer)),
            r"\end{table}",
            "",
        ]
    )


def _latex_text(text: str) -> str:
    parts = re.split(r"\*\*(.+?)\*\*", text)
    escaped = ["".join(LATEX.get(char, char) for char in part) for part in parts]
    return "".join(rf"\textbf{{{part}}}" if place % 2 else part for place, part in enumerate(escaped))


def as_csv(table: Table) -> str:
    """One row a table row; a column of cells gives four: mean, sd, low and high (empty where not known)."""
    cells = [any(isinstance(row[place], Cell) for row in table.rows) for place in range(len(table.header))]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    header: list[str] = []
    for name, many in zip(table.header, cells, strict=True):
        label = harmless(name) or "variant"
        header += [label, f"{label} sd", f"{label} low", f"{label} high"] if many else [label]
    writer.writerow(header)
    for row in table.rows:
        line: list[str] = []
        for value, many in zip(row, cells, strict=True):
            line += _numbers(value) if many else [harmless(str(value or "").strip("*"))]
        writer.writerow(line)
    return out.getvalue()


def _numbers(value: Cell | str | None) -> list[str]:
    if not isinstance(value, Cell):
        return [""] * 4
    return ["" if v is None else f"{v:.6g}" for v in (value.mean, value.sd, value.low, value.high)]
