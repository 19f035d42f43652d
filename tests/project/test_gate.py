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


@pytest.mark.slow
def test_a_new_finding_and_an_accepted_one_that_is_gone_are_told(tmp_path):
    project = copy_project(tmp_path)
    shutil.copytree(ROOT / ".ci", project / ".ci")
    rules = project / "rules" / "encoders.smk"
    rules.write_text(rules.read_text().replace('replace("/", "--")', 'replace("+", "--")'))
    with (project / "rules" / "report.smk").open("a") as file:
        file.write(
            '\n\nrule silent:\n    output:\n        "silent.txt",\n    shell:\n        "touch {output}"\n'
        )
    done = subprocess.run(
        [sys.executable, ".ci/lint.py"], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "silent: No log directive defined" in done.stderr
    assert "nothing is found like rules/encoders.smk" in done.stderr
