"""`config.yaml`, its overlays and docs/config.md say what the settings say."""

import re

import pytest
import yaml
from workflow import ROOT

from pipeline import config_page
from pipeline.config import Config, merged, read_config
from pipeline.settings import schema

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


def test_both_files_are_in_step_with_the_settings():
    shown = (ROOT / "config.yaml").read_text()
    assert config_page.as_yaml(shown) == shown, "config.yaml: run `make config`"
    page = (ROOT / "docs" / "config.md").read_text()
    assert config_page.as_page() == page, "docs/config.md: run `make config`"


def test_the_page_shows_every_key():
    page = config_page.as_page()
    for key in schema.keys(Config()):
        assert f"`{key.name}`" in page
