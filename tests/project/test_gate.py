"""The gate: pre-commit does what `make check` does, and the linter's findings are accepted one by one."""

import re
import runpy
import shutil
import subprocess
import sys

import pytest
import yaml
from workflow import ROOT, copy_project

LINT = runpy.run_path(str(ROOT / ".ci" / "lint.py"))
SAID = """\
Lints for snakefile /x/rules/one.smk:
    * Absolute path "/dev" in line 64:
      Do not define absolute paths
      Also see:
      https://example.org

Lints for rule two (line 3, /x/rules/one.smk):
    * No log directive defined:
      Without a log directive
"""


def test_pre_commit_has_the_commands_of_make_check():
    told = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", told, re.M)[1].split("\n\t")
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [hook["entry"] for repo in hooks for hook in repo["hooks"]] == [line.strip() for line in recipe]


def test_continuous_integration_checks_before_it_tests():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert 0 < script.index("\nmake check\n") < script.index("\nexec make test\n")


def test_findings_are_read_without_their_line():
    assert LINT["findings"](SAID) == {
        ("/x/rules/one.smk", 'Absolute path "/dev"'),
        ("two", "No log directive defined"),
    }


# what two files of rules say, and the name that both give; None: no name is given twice
TWICE = {
    "an assignment": ("KEPT = 1\n", "if True:\n    KEPT, OTHER = 2, 3\n", "KEPT"),
    "functions": (
        "def told():\n    own = 1\n",
        "if True:\n    def told(wildcards):\n        own = 2\n",
        "told",
    ),
    "a loop": ("for part in range(2):\n    pass\n", "part = 1\n", "part"),
    "imports of two things": ("from re import match\n", "from fnmatch import fnmatch as match\n", "match"),
    "an import and a name": ("import os.path\n", "os = 1\n", "os"),
    "rules": ('rule one:\n    output: "a"\n', 'checkpoint one:\n    output: "b"\n', "rule one"),
    "one import": ("from re import match\n", "if True:\n    from re import match\n", None),
    "names of their own": ("ONE = [part for part in 'ab']\n", "TWO = {part: 1 for part in 'ab'}\n", None),
    "a rule and a name": ('rule one:\n    output: "a"\n', "one = 1\n", None),
}


@pytest.mark.parametrize(("first", "second", "name"), TWICE.values(), ids=TWICE)
def test_a_name_that_two_files_of_rules_give_is_found(tmp_path, first, second, name):
    files = [tmp_path / "one.smk", tmp_path / "two.smk"]
    for path, text in zip(files, (first, second), strict=True):
        # one file may give a name twice
        path.write_text(f"{text}MINE_{path.stem} = 1\nMINE_{path.stem} = 2\n")
    found = LINT["clashes"](files)
    if name is None:
        assert found == []
    else:
        (line,) = found
        assert line.startswith(f"one.smk and two.smk: both give {name},")


@pytest.mark.slow
def test_a_new_finding_and_an_accepted_one_that_is_gone_are_told(tmp_path):
    project = copy_project(tmp_path)
    shutil.copytree(ROOT / ".ci", project / ".ci")
    rules = project / "rules" / "common.smk"
    rules.write_text(rules.read_text().replace('replace("/", "--")', 'replace("+", "--")'))
    with (project / "rules" / "report.smk").open("a") as file:
        file.write("\n\nSHARDS = []\n")
        file.write(
            '\n\nrule silent:\n    output:\n        "silent.txt",\n    shell:\n        "touch {output}"\n'
        )
    done = subprocess.run(
        [sys.executable, ".ci/lint.py"], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "silent: No log directive defined" in done.stderr
    assert "nothing is found like rules/common.smk" in done.stderr
    assert "common.smk and report.smk: both give SHARDS" in done.stderr
