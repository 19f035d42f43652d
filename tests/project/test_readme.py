"""README and docs stay true: their commands are run, their examples followed, their links lead somewhere."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml
from documents import PAGES, commands, edits, examples, follow
from fixture_model import write_model, write_talk
from fixture_trees import write_clip
from workflow import ROOT, copy_project, dry_run, snakemake

from pipeline.core import artefacts


def _plan(command: str) -> tuple[str, ...]:
    """The arguments of a snakemake command that make a difference to its plan."""
    arguments = re.sub(r" (-n|--cores \S+)(?= |$)", "", command)
    return tuple(shlex.split(arguments)[1:])


ALL = sorted({command for page in PAGES for command in commands(page)})
# a report is packed from pages that are there: tests/annotation/test_browser.py packs one
PLANS = sorted(
    {_plan(command) for command in ALL if command.startswith("snakemake") and "--report" not in command}
)
CHECKS = [command for command in ALL if command.startswith("python -m pipeline.config ")]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project in which every page was followed, with an empty folder for each corpus."""
    folder = copy_project(tmp_path_factory.mktemp("readme"))
    for page in PAGES:
        follow(page, folder)
    for overlay in (folder / "config").glob("*.yaml"):
        corpus = yaml.safe_load(overlay.read_text()).get("corpus", {})
        (folder / corpus.get("folder", "data")).mkdir(parents=True, exist_ok=True)
    # what the pages annotate, and with what
    write_talk(folder / "talk.mp4", 2.0, bursts=((0.5, 1.5),))
    shutil.copy(folder / "talk.mp4", folder / "Talk #1.mp4")
    (folder / "talk.srt").write_text("1\n00:00:00,500 --> 00:00:01,500\nWords\n")
    write_model(folder / "runs" / "embedded" / "model" / "corekd" / "0")
    # what the plugin writes of a cluster
    partitions = {"partitions": {"long": {"max_runtime": "7d", "max_mem_mb": 256000, "max_threads": 32}}}
    (folder / "partitions.yaml").write_text(yaml.safe_dump(partitions))
    return folder


def test_the_readme_has_its_two_commands():
    assert {"make run", "make test"} <= set(commands(ROOT / "README.md"))
    for target in ("run", "test"):
        plan = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True)
        assert "snakemake --cores" in plan.stdout if target == "run" else "pytest" in plan.stdout


@pytest.mark.slow
@pytest.mark.parametrize("arguments", PLANS, ids=" ".join)
def test_every_snakemake_command_can_be_planned(project, arguments):
    dry_run(project, *arguments)


@pytest.mark.parametrize("command", CHECKS)
def test_every_check_of_a_configuration_passes(command):
    arguments = [sys.executable, *shlex.split(command)[1:]]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_path_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", prose):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
    # what a reader is shown how to write is not there yet
    own = {name for shown in PAGES for name, place, _ in edits(shown) if place is None}
    for path in re.findall(r"`((?:config|docs|rules|profiles|pipeline|models|tests)/[\w./-]+\.\w+)`", text):
        assert (ROOT / path).exists() or path in own, f"{page.name} names {path}"


def test_every_page_is_reached_from_the_index():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in PAGES:
        if page.parent != ROOT and page.name != "README.md":
            assert f"({page.relative_to(ROOT / 'docs')})" in index, f"docs/README.md does not name {page}"


def test_contributing_names_every_how_to():
    told = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("new-*.md"):
        assert f"(docs/{page.name})" in told


@pytest.mark.slow
def test_the_new_corpus_of_the_docs_is_read(project):
    table = re.search(
        r"^    talk,who.*?\n\n", (ROOT / "docs/new-corpus.md").read_text() + "\n\n", re.S | re.M
    )
    (project / "data/mine/lines.csv").write_text(re.sub(r"^    ", "", table[0].rstrip() + "\n", flags=re.M))
    snakemake(project, "--cores", "1", "runs/mine/manifest.parquet", "--configfile", "config/mine.yaml")
    rows = pl.read_parquet(project / "runs/mine/manifest.parquet")
    assert rows["utterance"].to_list() == ["a_0", "a_1"]
    assert artefacts.load_json(project / "runs/mine/facts.json")["labels"] == ["calm", "tense"]


@pytest.mark.slow
def test_the_new_encoder_of_the_docs_encodes(project):
    made = "runs/log_mel/encoders/audio"
    snakemake(project, "--cores", "1", made, "--configfile", "config/log_mel.yaml")
    sound = write_clip(project / "tone.mp4")
    row = {"utterance": "u", "media": str(sound), "start": 0.0, "end": 1.0, "withheld": None}
    shard = pl.DataFrame([row], schema_overrides={"withheld": pl.String})
    artefacts.save_table(project / "shard.parquet", shard)
    paths = {"shard": "shard.parquet", "encoder": made, "features": "f.safetensors", "index": "i.parquet"}
    flags = [part for name, path in paths.items() for part in (f"--{name}", path)]
    subprocess.run(
        [sys.executable, "-m", "pipeline.audio", "--params", "{}", *flags], cwd=project, check=True
    )
    assert artefacts.load_tensors(project / "f.safetensors")["pooled"].shape == (1, 40)
    assert pl.read_parquet(project / "i.parquet")["available"].all()


@pytest.mark.slow
def test_the_lines_that_load_a_model_annotate_a_video(project):
    lines = {example.text for page in PAGES for example in examples(page) if "import load" in example.text}
    assert len(lines) == 1, "README and docs/annotate.md show the same lines"
    subprocess.run([sys.executable, "-c", lines.pop()], cwd=project, check=True)
    table = pl.read_parquet(project / "annotated" / "annotations.parquet")
    assert table["text"].to_list() == ["Words"]
    shell = [line for page in PAGES for line in commands(page) if "pipeline.annotate" in line]
    subprocess.run(
        [sys.executable, *shlex.split(shell[0].replace("annotated", "again"))[1:]], cwd=project, check=True
    )
    assert pl.read_parquet(project / "again" / "annotations.parquet").equals(table)
