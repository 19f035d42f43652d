"""What a corpus says never runs in a spreadsheet; numbers stay numbers."""

import csv
import io

import polars as pl
import pytest
from fault_cases import cases

from pipeline.core.spreadsheets import as_csv, harmless

ENDS = "the cell of the CSV begins with an apostrophe; other files have it to the letter"
BEGINNINGS = {
    '=HYPERLINK("http://x","y")': "a label or a text that is a formula (`=HYPERLINK(...)`)",
    "+cmd|' /C calc'!A0": "a text that begins with `+`",
    "- Hello": "a text that begins with a dash",
    "@SUM(1)": "a text that begins with `@`",
    "\t=1": "a text that begins with a tab",
}


@pytest.mark.parametrize("text", cases("labels", BEGINNINGS, ENDS))
def test_a_formula_is_text(text):
    table = pl.DataFrame({"text": [text, "a=b", None], text: [1, 2, 3]})
    head, *rows = csv.reader(io.StringIO(as_csv(table)))
    assert head == ["text", harmless(text)] and harmless(text) == f"'{text}"
    assert [row[0] for row in rows] == [f"'{text}", "a=b", ""]


def test_numbers_stay():
    table = pl.DataFrame({"text": ["-1", "+0.1 [-0.2, +0.4]", "0", "-0.5"], "value": [-1.5, 2.0, 0.0, 1.0]})
    back = pl.read_csv(io.StringIO(as_csv(table)))
    assert back["text"].to_list() == ["-1", "+0.1 [-0.2, +0.4]", "0", "-0.5"]
    assert back["value"].to_list() == [
        -1.5,
        2.0,
        0.0,
        1.0,
    ]
