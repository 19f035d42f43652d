"""Labels of a corpus are text wherever people read them, whatever characters they hold."""

import csv
import io
import re

import matplotlib.pyplot as plt
import pytest

from pipeline.reporting.markup import Table, as_csv, markdown, page
from pipeline.reporting.style import drawing, save

ODD = ("a|b", "x\ny", "<img src=x>", "$\\frac$", '=HYPERLINK("x")')


@pytest.mark.fault(
    "labels", "a label `a|b` or with a line break", "it is escaped in Markdown, HTML and LaTeX"
)
@pytest.mark.fault("labels", "a label that is HTML (`<img ...>`)", "it is escaped in Markdown and HTML")
def test_labels_of_a_corpus_are_no_markup():
    table = Table("Odd", ["", *ODD], ["", *[""] * len(ODD)], [[name, *ODD] for name in ODD], [])
    lines = [line for line in markdown(table, []).splitlines() if line.startswith("|")]
    cells = [len(re.findall(r"(?<!\\)\|", line)) for line in lines]
    assert cells == [len(ODD) + 2] * (len(ODD) + 2)
    assert "<img" not in markdown(table, []) and "<img" not in page(table, [])
    read = list(csv.reader(io.StringIO(as_csv(table))))
    assert read[0] == ["variant", *ODD[:-1], f"'{ODD[-1]}"] and read[-1][0] == f"'{ODD[-1]}"


@pytest.mark.fault(
    "labels", "a label with a dollar (`$`), which figures could take for a formula", "drawn as it is"
)
def test_a_dollar_in_a_label_is_drawn(tmp_path):
    with drawing(tmp_path, None) as target:
        figure, axes = plt.subplots()
        axes.set_title("$\\frac$")
        save(figure, target, "odd")
    assert (tmp_path / "odd.png").is_file()
