"""docs/faults.md says what the tests of faults say of themselves."""

import subprocess
import sys
from pathlib import Path

import faults_page
from faults_page import AREAS, FOUND, PAGE, Row, as_page


def test_the_page_is_that_of_the_tests(pytestconfig):
    found = pytestconfig.stash.get(FOUND, None)
    if found is None:
        # only some of the tests were collected
        command = [sys.executable, str(Path(faults_page.__file__)), "--print"]
        page = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    else:
        page = as_page(found)
    assert page == PAGE.read_text(encoding="utf-8"), "docs/faults.md: run `make faults`"


def test_a_kind_that_two_tests_make_is_counted_once_and_no_cell_is_broken():
    row = Row("disk", "a|b", "it\nends", "tests/x.py::test_y", True)
    page = as_page([row, row._replace(test="tests/x.py::test_z")])
    assert ": 1 kinds" in page and "| a\\|b | it ends | `tests/x.py` `test_y` *long* |" in page
    assert page.count("## ") == 1 and f"## {AREAS['disk']}" in page
