"""The configuration is judged before any job, and every fault names its key."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline.config import Config, merged, read_config
from pipeline.errors import PipelineError

ROOT = Path(__file__).resolve().parent.parent
OVERLAYS = sorted((ROOT / "config").glob("*.yaml"))


def _base() -> dict:
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def test_config_yaml_shows_every_key_and_its_default():
    shown = read_config(_base())
    apart = {"variants", "compare"}
    assert shown.model_dump(exclude=apart) == Config().model_dump(exclude=apart)

    def keys(model: dict, given: dict, path: str = ""):
        for key, value in model.items():
            assert key in given, f"config.yaml does not show {path}{key}"
            if isinstance(value, dict) and key not in ("variants", "files"):
                keys(value, given[key], f"{path}{key}.")

    keys(shown.model_dump(mode="json"), _base())


def test_every_key_of_config_yaml_has_a_comment():
    lines = (ROOT / "config.yaml").read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"\s*\w+:", line):
            above = lines[number - 1].strip() if number else ""
            assert "#" in line or above.startswith("#"), (
                f"config.yaml line {number + 1} has no comment: {line}"
            )


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_every_overlay_is_valid_and_has_a_run_of_its_own(overlay):
    given = yaml.safe_load(overlay.read_text())
    config = read_config(merged(_base(), given))
    assert config.run != _base()["run"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sedes": [1]}, r"'sedes'.*'seeds'"),
        ({"training": {"epochss": 3}}, r"'training.epochss'.*'epochs'"),
        ({"device": "gpu"}, r"'device'.*'auto', 'cpu' or 'cuda'.*'gpu'"),
        ({"seeds": [1, 1]}, r"'seeds'.*twice"),
        ({"compare": ["nobody"]}, r"no variant 'nobody'"),
        ({"run": "../elsewhere"}, r"'run'.*pattern"),
        ({"variants": {"corekd": {"fuzed": 1}}}, r"fuzed"),
        ({"embedded": {"process": {"dialogues": -1}}}, r"embedded.process.dialogues"),
    ],
)
def test_a_wrong_key_type_or_value_is_named(change, said):
    with pytest.raises(PipelineError) as error:
        read_config(merged(_base(), change))
    assert re.search(said, str(error.value), re.S), str(error.value)
    assert len(str(error.value).splitlines()) <= 3


@pytest.mark.slow
def test_snakemake_stops_before_any_job(tmp_path):
    overlay = tmp_path / "wrong.yaml"
    overlay.write_text("sedes: [1]\n")
    done = subprocess.run(
        ["snakemake", "-n", "--configfile", str(overlay)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "Did you mean 'seeds'?" in done.stderr + done.stdout
