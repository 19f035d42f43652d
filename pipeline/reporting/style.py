"""What every figure shares: colours, fonts, and how a figure is written."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.typing import RcKeyType

from pipeline.evaluation.results import DIAGNOSTIC, MARK
from pipeline.reporting.pages import writing_pages

# colours that colour-blind readers can tell apart (after Okabe and Ito); markers tell variants apart as well
COLOURS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"),
    *("#8C6D31", "#7F7F7F", "#5E3C99", "#9ACD32", "#00868B", "#B22222"),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h")
CEILING_STYLES = {"readable_ceiling": ("#222222", "--"), "cue_ceiling": ("#777777", ":")}
DARK, GREY = "#222222", "#666666"
STYLE: dict[RcKeyType, Any] = {
    "svg.hashsalt": "figures",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    # a label of a corpus may hold a dollar, which is no formula
    "text.parse_math": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.titlesize": 10,
}
# without date or version of the writer, so that the same numbers give the same bytes
WRITERS = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}
# writing a PDF tells of every font table
logging.getLogger("fontTools").setLevel(logging.WARNING)
CAPTION = "This project's own implementation; not the paper's numbers."


@contextmanager
def drawing(folder: Path, shown: Path | None) -> Iterator[Path]:
    """The project's style, and `writing_pages` for all that is drawn."""
    with matplotlib.rc_context(STYLE), writing_pages(folder, shown) as target:
        yield target


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write one figure as SVG and PDF for print and PNG for a quick look, and close it."""
    caption = figure.supxlabel(CAPTION, fontsize=6.5, color=GREY, x=0.01, ha="left")
    # worked out once, not again for each format; with no engine at all nothing is drawn twice
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
    if any(isinstance(text, Text) and MARK in text.get_text() for text in figure.findobj(Text)):
        caption.set_text(f"{CAPTION} {DIAGNOSTIC}")
    figure.set_layout_engine(None)
    for suffix, metadata in WRITERS.items():
        figure.savefig(folder / f"{name}.{suffix}", dpi=150, metadata=metadata)
    plt.close(figure)


def looks(names: Sequence[str]) -> dict[str, dict]:
    """Colour and marker of each trained variant; `names` in the run's order, so that all figures agree."""
    return {
        name: {
            "color": COLOURS[place % len(COLOURS)],
            "marker": MARKERS[(place + place // len(COLOURS)) % len(MARKERS)],
        }
        for place, name in enumerate(names)
    }


def hatch(number: int) -> str | None:
    """Colours repeat after a round; hatching tells the second from the first."""
    return "///" if number >= len(COLOURS) else None


def beside(axes: Axes) -> None:
    """The legend to the right of the plot, where it covers nothing."""
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
