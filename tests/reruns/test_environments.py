"""The environments of the stage groups: in step with the lock, complete, and no larger than they need be."""

import re

import pytest
import yaml
from workflow import ROOT, copy_project, dry_run, write_overlay

from pipeline.core.errors import PipelineError
from pipeline.core.registries.choices import CHOICES
from pipeline.core.registries.detectors import DETECTORS
from pipeline.core.registries.encoders import ENCODERS
from pipeline.core.registries.networks import NETWORKS
from pipeline.core.registries.protocols import PROTOCOLS
from pipeline.core.registries.speakers import SPEAKERS
from pipeline.reruns import codehash
from pipeline.reruns import pins as environments

RULES = "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
BLOCKS = re.split(r"^ *(?=(?:rule|checkpoint) \w+:)", RULES, flags=re.M)[1:]


def entries(group: str) -> dict[str, str]:
    """Version by name of an environment as it lies in envs/."""
    read = yaml.safe_load((ROOT / "envs" / f"{group}.yaml").read_text())
    return dict(line.split("==") for line in read["dependencies"][-1]["pip"])


@pytest.mark.parametrize("group", environments.GROUPS)
def test_the_environments_are_those_of_the_lock(group):
    assert (ROOT / "envs" / f"{group}.yaml").read_text() == environments.environment(group), (
        "run `python -m pipeline.environments` (`make lock` does)"
    )


def test_no_environment_lies_about_that_no_group_has():
    assert {path.stem for path in (ROOT / "envs").iterdir()} == set(environments.GROUPS)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split(":")[0])
def test_every_rule_names_the_environment_of_its_stage(block):
    module = re.search(r"python -m (pipeline\.\w+)", block).group(1)
    named = f'"../envs/{environments.group_of(module)}.yaml"'
    if module == "pipeline.faces":
        named = 'f"../envs/{FACES_GROUP}.yaml"'
    assert f"conda:\n{named}" in re.sub(r"\n +", "\n", block)
    made = re.findall(r'made_by\(\s*"([\w.]+)"', block)
    assert set(made) == {module}


def test_faces_find_what_they_need_beside_the_encoder_that_they_may_ask():
    """The rule takes the encoders' environment where tracks are linked by the face encoder."""
    assert set(environments.needed("faces")) < set(environments.needed("encoders"))


@pytest.mark.parametrize("group", environments.GROUPS)
def test_what_is_installed_here_is_what_the_group_pins(group):
    from importlib.metadata import version

    for line in environments.pins(group).values():
        name, pinned = line.split("==")
        assert version(name) == pinned


def test_groups_have_what_they_import_and_what_that_needs_and_no_more():
    assert {"torch", "sympy", "scikit-learn", "joblib"} <= set(entries("training"))
    assert {"matplotlib", "pillow"} <= set(entries("results"))
    assert "torch" not in entries("rendering")
    for group in set(environments.GROUPS) - {"results"}:
        assert "matplotlib" not in entries(group)
    for group in ("training", "results", "rendering"):
        assert not {"transformers", "facenet-pytorch"} & set(entries(group))


LOCK = """\
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:00
    # via
    #   -r requirements.in
    #   scipy
numpy==2.5.5 ; python_full_version >= '3.12' \\
    --hash=sha256:01
    # via
    #   -r requirements.in
    #   scipy
plotting==1.0 \\
    --hash=sha256:02
    # via -r requirements.in
scipy==1.17.1 \\
    --hash=sha256:03
    # via -r requirements.in
"""


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A lock of three packages and a group of one stage that imports what is said."""

    def lock(*imports: str):
        monkeypatch.setattr(environments, "third_party", lambda *modules: imports)
        path = tmp_path / "requirements.lock"
        path.write_text(LOCK)
        return path

    return lock


def test_needs_are_followed_and_markers_decide(small):
    path = small("scipy")
    assert [entry.version for entry in environments.needed("training", path)] == ["2.4.6", "2.5.5", "1.17.1"]
    text = environments.environment("training", path)
    assert "numpy==2.4.6" in text
    assert "2.5.5" not in text
    assert "plotting" not in text


def test_an_import_that_the_lock_lacks_is_an_error(small):
    with pytest.raises(PipelineError, match=r"training import pandas.*requirements\.in"):
        environments.needed("training", small("pandas"))


def test_a_stage_without_a_group_is_an_error():
    with pytest.raises(ValueError, match=r"pipeline\.nowhere"):
        environments.group_of("pipeline.nowhere")


def test_every_stage_stands_in_one_group():
    grouped = [module for modules in environments.GROUPS.values() for module in modules]
    # what the registries name is loaded by several groups, and is no stage
    loaded = {
        *ENCODERS.values(),
        *SPEAKERS.values(),
        *DETECTORS.values(),
        *CHOICES.values(),
        *NETWORKS.values(),
        *PROTOCOLS.values(),
    }
    stages = [module for module in grouped if module not in loaded]
    assert len(stages) == len(set(stages))
    for path in (codehash.ROOT / "pipeline").glob("*.py"):
        if "stage.main(" in path.read_text() and path.stem != "stage":
            assert f"pipeline.{path.stem}" in grouped


def test_the_weights_of_a_learned_choice_are_fetched_first(tmp_path):
    folder = copy_project(tmp_path)
    assert "rule chooser" not in dry_run(folder, "--until", "faces")
    faces = {"choice": "light_asd", "motion_rate": 30}
    write_overlay(folder, {"faces": faces})
    said = dry_run(folder, "--configfile", "small.json", "--until", "faces")
    assert "rule chooser" in said
    assert "--chooser runs/embedded/chooser" in said
