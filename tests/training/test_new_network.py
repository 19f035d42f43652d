"""The new network and the new loss term of the docs, followed word by word: trained, exported, loaded."""

import shutil
import subprocess
import sys
from pathlib import Path

import fixture_trees as trees
import numpy as np
import pytest
from documents import commands, follow
from workflow import ROOT, copy_project, planned, snakemake, write_overlay

from pipeline.core import artefacts
from pipeline.core.origins import STAMP

pytestmark = pytest.mark.slow
PAGES = [ROOT / "docs" / name for name in ("new-network.md", "new-term.md")]
SMALL = {
    "run": "small",
    "seeds": [0],
    "compare": ["corekd", "logistic", "united"],
    "corpus": {"name": "features", "folder": "given", "shards": 1},
    "training": {"epochs": 2},
    "report": {"oracle": False, "resamples": 400},
    "export": {"variants": ["logistic", "united"]},
}
OVERLAYS = ("--configfile", "config/logistic.yaml", "config/united.yaml", "small.json")
MODELS = [f"runs/small/model/{name}/0" for name in SMALL["export"]["variants"]]
STAMPS = [f"{model}/{STAMP}" for model in MODELS]


def python(project: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project in which both pages were followed and all is trained, on 48 given utterances."""
    folder = copy_project(tmp_path_factory.mktemp("networks") / "project")
    for page in PAGES:
        follow(page, folder)
    index = "utterance,dialogue,label\n" + "".join(
        f"u{n},d{n // 4},{'yes' if n % 3 else 'no'}\n" for n in range(48)
    )
    draw = np.random.default_rng(0)
    arrays = {name: {"pooled": draw.normal(size=(48, 3))} for name in ("text", "audio", "visual")}
    trees.features(folder / "given", index, arrays)
    write_overlay(folder, SMALL)
    snakemake(folder, "--cores", "2", *STAMPS, *OVERLAYS)
    return folder


def test_what_was_trained_has_its_network_and_its_term(project):
    names = {"teacher": "structured", "student/logistic": "logistic", "student/united": "structured"}
    for folder, name in names.items():
        trained = project / "runs/small/main" / folder / "0"
        assert artefacts.load_metadata(trained / "weights.safetensors")["network"] == name
        columns = artefacts.load_table(trained / "history.parquet").columns
        assert ("unity" in columns) == (folder == "student/united")


def test_the_exported_network_loads_and_predicts(project):
    code = (
        "import numpy as np, sys\n"
        "from pipeline.model import load\n"
        "model = load(sys.argv[1])\n"
        "features = {name: np.ones((4, 3), np.float32) for name in ('text', 'audio', 'visual')}\n"
        "available = np.eye(4, 3, dtype=bool)\n"
        "values = model.predict(features, available)\n"
        "assert values.shape == (4, 2) and np.allclose(values.sum(1), 1)\n"
        "print(type(model.network).__module__)\n"
    )
    assert python(project, "-c", code, MODELS[0]).strip() == "models.networks.logistic"
    assert python(project, "-c", code, MODELS[1]).strip() == "models.networks.structured"


def test_the_answers_begin_at_how_frequent_the_classes_are(project):
    """What `begin` counts is the training split's: a network that learns nothing says the prior."""
    code = (
        "import torch\n"
        "from pathlib import Path\n"
        "from pipeline.settings.network import NetworkSettings\n"
        "from pipeline.training.dialogues import Dataset\n"
        "from pipeline.training.loop import build_network\n"
        "data = Dataset.load(Path('runs/small/main/dataset'))\n"
        "network = build_network(data, NetworkSettings(name='logistic'), 0)\n"
        "count = torch.bincount(data.label[data.rows(['train'])], minlength=2) + 1\n"
        "assert torch.allclose(network.head.bias.softmax(0), count / count.sum())\n"
        "again = build_network(data, NetworkSettings(name='logistic'), 0).state_dict()\n"
        "assert all(torch.equal(value, again[name]) for name, value in network.state_dict().items())\n"
    )
    python(project, "-c", code)


def test_an_edit_of_the_network_or_of_its_own_keys_reruns_its_students_alone(project):
    assert planned(project, *OVERLAYS, "--", *STAMPS) == {}
    added = SMALL | {"network": {"logistic": {"added": 2.0}}}
    write_overlay(project, added)
    found = planned(project, *OVERLAYS, "--", *STAMPS)
    assert {rule: found.get(rule, 0) for rule in ("teacher", "references", "student", "evaluate")} == {
        "teacher": 0,
        "references": 0,
        "student": 1,
        "evaluate": 1,
    }
    write_overlay(project, SMALL)
    module = project / "models/networks/logistic.py"
    before = module.read_text()
    module.write_text(before + "\nEDITED = 1\n")
    assert planned(project, *OVERLAYS, "--", *STAMPS) == found
    module.write_text(before)


def test_a_key_of_its_own_reaches_the_network(project):
    """As the page says: a field of the name in `Shape`."""
    module = project / "models/networks/logistic.py"
    before = module.read_text()
    field = "    feature_dropout: float = 0.3\n"
    assert field in before and "+ 1\n" in before
    module.write_text(before.replace(field, field + "    added: float = 1.0\n"))
    code = (
        "from pipeline.settings.network import NetworkSettings\n"
        "from pipeline.training.networks import build\n"
        "settings = NetworkSettings(logistic={'added': 2.5})\n"
        "widths = dict.fromkeys(('text', 'audio', 'visual'), 3)\n"
        "print(build('logistic', widths, 2, settings.keys_of('logistic')).shape.added)\n"
    )
    try:
        assert python(project, "-c", code).strip() == "2.5"
    finally:
        module.write_text(before)


def test_the_checks_that_the_pages_name_pass(project):
    shutil.copytree(ROOT / "tests", project / "tests", dirs_exist_ok=True)
    shutil.copy(ROOT / "pyproject.toml", project)
    named = [line for page in PAGES for line in commands(page) if line.startswith("pytest ")]
    assert len(named) == len(PAGES)
    for line in named:
        said = python(project, "-m", *line.split(), "-p", "no:cacheprovider")
        assert "no tests ran" not in said
    (project / "docs").mkdir(exist_ok=True)
    python(project, "-m", "pipeline.config_page")
    page = (project / "docs" / "config.md").read_text() + (project / "config.yaml").read_text()
    assert "`network.logistic.added`" in page
    assert "  unity: 0.0  # weight of the modalities' agreement with the whole" in page
