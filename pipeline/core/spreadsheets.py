"""CSV as people open it: no cell is a formula, for a spreadsheet would run what a file merely says."""

import re
from typing import Any

import polars as pl

# what a spreadsheet takes for the beginning of a formula; a number is none, with its interval neither
FORMULA = r"^[=+\-@\t\r]"
DIGITS = r"[+\-]?[0-9]+(\.[0-9]+)?"
NUMBER = rf"^{DIGITS}( \[{DIGITS}, {DIGITS}\])?$"


def harmless(text: str) -> str:
    """The text, with an apostrophe before it if a spreadsheet would take it for a formula."""
    return f"'{text}" if re.search(FORMULA, text) and not re.search(NUMBER, text) else text


def as_csv(table: pl.DataFrame, **how: Any) -> str:
    """A table as CSV, its texts (names of columns, too) as `harmless`; `how`: as of `DataFrame.write_csv`."""
    text = pl.selectors.string()
    plain = table.with_columns(
        pl.when(text.str.contains(NUMBER)).then(text).otherwise(text.str.replace(FORMULA, "'$0"))
    )
    return plain.rename({name: harmless(name) for name in plain.columns}).write_csv(**how)
