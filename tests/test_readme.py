"""README and docs stay true: their commands are run, their links lead somewhere."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from workflow import ROOT, copy_project, snakemake

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(page: Path) -> list[str]:
    """The shell lines of a page, without their comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.partition(" #")[0].strip() for line in lines if line.strip() and not line.startswith("#")]


ALL = sorted({command for page in PAGES for command in commands(page)})
WORKFLOW = [command for command in ALL if command.startswith("snakemake")]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("readme"))
    for overlay in (folder / "config").glob("*.yaml"):
        corpus = yaml.safe_load(overlay.read_text()).get("corpus", {})
        (folder / corpus.get("folder", "data")).mkdir(parents=True, exist_ok=True)
    return folder


def test_the_readme_has_its_two_commands():
    assert {"make run", "make test"} <= set(commands(ROOT / "README.md"))
    for target in ("run", "test"):
        plan = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True)
        assert "snakemake --cores" in plan.stdout if target == "run" else "pytest" in plan.stdout


@pytest.mark.slow
@pytest.mark.parametrize("command", [line for line in WORKFLOW if "workflow-profile" not in line])
def test_every_snakemake_command_can_be_planned(project, command):
    arguments = shlex.split(command)[1:]
    if needs := [part for part in arguments if part.startswith("config/") and not (project / part).exists()]:
        pytest.fail(f"{command}: {needs[0]} does not exist")
    done = snakemake(project, *arguments, "-n", check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-3000:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_path_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
    # mine.py is what a reader is shown how to add
    for path in re.findall(r"`((?:config|docs|rules|profiles|pipeline|models|tests)/[\w./-]+\.\w+)`", text):
        assert (ROOT / path).exists() or path.endswith("mine.py"), f"{page.name} names {path}"
