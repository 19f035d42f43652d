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


FEATURES = {"corpus": {"name": "features", "folder": "there", "folds": ["one", "two"]}}


def of_folds(**sections: dict) -> Config:
    """The configuration of a corpus with the folds `one` and `two`."""
    return read_config(merged(merged(_base(), FEATURES), sections))


def test_a_fold_is_trained_by_its_own_settings_and_others_by_those_of_the_run():
    own = {"training": {"epochs": 3}, "teacher": {"auxiliary": 0.1}, "network": {"hidden": 32}}
    run, plain = of_folds(by_fold={"one": own}), of_folds()
    one = run.of_fold("one")
    assert (one.training.epochs, one.teacher.auxiliary, one.network_of("teacher").hidden) == (3, 0.1, 32)
    assert one.training.model_copy(update={"epochs": plain.training.epochs}) == plain.training
    assert run.of_fold("two").model_dump(exclude={"by_fold"}) == plain.model_dump(exclude={"by_fold"})
    assert run.training == plain.training


def test_the_nearest_to_a_variant_and_fold_wins():
    given = {
        "objective": {"temperature": 2.0, "margin": 0.1, "views": {"fixed_share": 0.5, "rates": [0.5]}},
        "variants": {"csa": {"temperature": 3.0, "views": {"fixed_share": 0.6}}},
        "by_fold": {
            "one": {
                "objective": {"temperature": 4.0, "margin": 0.2},
                "variants": {"csa": {"temperature": 5.0, "views": {"rates": [0.1]}}},
            }
        },
    }

    def told(fold: str, variant: str) -> tuple[float, float]:
        objective = of_folds(**given).of_fold(fold).objective_of(variant)
        return objective.temperature, objective.margin

    assert told("two", "corekd") == (2.0, 0.1)
    assert told("two", "csa") == (3.0, 0.1)
    assert told("one", "corekd") == (4.0, 0.2)
    assert told("one", "csa") == (5.0, 0.2)
    del given["by_fold"]["one"]["variants"]["csa"]["temperature"]
    assert told("one", "csa") == (3.0, 0.2)
    views = of_folds(**given).of_fold("one").objective_of("csa").views
    assert (views.fixed_share, views.rates) == (0.6, (0.1,))


def test_a_fold_may_have_a_network_of_its_own():
    run = of_folds(
        by_fold={
            "one": {"network": {"structured": {"chain": "pairs"}}},
            "two": {"network": {"name": "attention"}},
        },
        variants={"csa": {"network": "attention"}},
    )
    one = run.of_fold("one")
    assert [one.network_of(name).name for name in ("teacher", "corekd", "csa")] == [
        *("structured", "structured", "attention")
    ]
    assert one.network_of("corekd").structured.chain == "pairs"
    assert run.of_fold("two").network_of("corekd").name == "attention"
