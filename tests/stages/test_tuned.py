"""What searches found is an overlay that sets it, fold by fold, and nothing else."""

from pathlib import Path

import pytest
import yaml
from workflow import ROOT, write_overlay

from pipeline import search, tuned
from pipeline.config import Config, read_files
from pipeline.core.errors import PipelineError

BASE = ROOT / "config.yaml"
RATE = "training.learning_rate"
# the best values, by fold and variant
FOUND = {
    "one": {
        "corekd": {"objective.nce": 0.123456789012345, "objective.views.fixed_share": 0.7, RATE: 1e-05},
        "csa": {"objective.references": "cross_fitted"},
    },
    "two": {"corekd": {"objective.nce": 0.25, RATE: 0.003, "network.hidden": 32}, "csa": {RATE: 0.003}},
}


def searched(folder: Path, found: dict) -> list[Path]:
    """The files that the search writes, as if these values had been best in the second of two trials."""
    files = []
    for fold, variants in found.items():
        for variant, values in variants.items():
            params = search.Params(
                space={key: ["", value] for key, value in values.items()}, trials=2, seeds=[3, 4]
            )
            rows = [
                {"number": 0, "values": {key: "" for key in values}, "val_complete": 0.4, "validation": 0.5},
                {"number": 1, "values": values, "val_complete": 0.5, "validation": 0.625},
            ]
            files.append(folder / fold / "search" / f"{variant}.json")
            search.finish(params, rows, trials=files[-1].with_suffix(".parquet"), best=files[-1])
    return files


def overlay(folder: Path, found: dict) -> Path:
    path = folder / "tuned.yaml"
    tuned.run(tuned.Params(run="mine"), searches=searched(folder, found), overlay=path)
    return path


def test_values_go_to_their_variant_or_to_their_fold(tmp_path):
    text = overlay(tmp_path, FOUND).read_text()
    assert yaml.safe_load(text) == {
        "by_fold": {
            "one": {
                "variants": {
                    "corekd": {"nce": 0.123456789012345, "views": {"fixed_share": 0.7}},
                    "csa": {"references": "cross_fitted"},
                },
                "training": {"learning_rate": 1e-05},
            },
            "two": {
                "variants": {"corekd": {"nce": 0.25}},
                "training": {"learning_rate": 0.003},
                "network": {"hidden": 32},
            },
        }
    }
    heading = [line for line in text.splitlines() if line.startswith("#")]
    assert "of the run mine " in heading[0]
    assert "# one, csa: trial 2 of 2, seeds [3, 4], validation 0.6250 (as it was: 0.5000)" in heading


def test_the_overlay_sets_just_what_was_found(tmp_path):
    settings = {
        "corpus": {"name": "features", "folder": "there", "folds": ["one", "two", "three"]},
        "objective": {"nce": 0.4},
        "by_fold": {"one": {"training": {"epochs": 7, "learning_rate": 0.1}}, "three": {"teacher": {}}},
    }
    mine = write_overlay(tmp_path, settings)
    before, after = read_files([BASE, mine]), read_files([BASE, mine, overlay(tmp_path, FOUND)])

    def said(config: Config, fold: str, variant: str) -> dict[str, object]:
        """All that a student is trained by, by dotted key."""
        own = config.of_fold(fold)
        sections = {
            "objective": own.objective_of(variant),
            "training": own.training,
            "network": own.network_of(variant),
            "teacher": own.teacher,
        }
        return dict(flat({name: section.model_dump() for name, section in sections.items()}))

    for fold in ("one", "two", "three"):
        in_fold = {key: value for found in FOUND.get(fold, {}).values() for key, value in found.items()}
        shared = {key: value for key, value in in_fold.items() if not key.startswith("objective.")}
        for variant in before.variants:
            wanted = shared | FOUND.get(fold, {}).get(variant, {})
            assert said(after, fold, variant) == said(before, fold, variant) | wanted, (fold, variant)
    assert after.model_dump(exclude={"by_fold"}) == before.model_dump(exclude={"by_fold"})


def flat(values: dict, path: str = ""):
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{path}{key}.")
        else:
            yield path + key, value


@pytest.mark.parametrize("key", [RATE, "network.hidden", "network.structured.chain"])
def test_two_variants_cannot_choose_otherwise_for_one_fold(tmp_path, key):
    found = {"one": {"corekd": {key: "a"}, "csa": {key: "b"}}, "two": {"corekd": {key: "b"}}}
    with pytest.raises(PipelineError, match=rf"'{key}': in fold one 'a' was best for corekd and 'b' for csa"):
        overlay(tmp_path, found)
    assert not (tmp_path / "tuned.yaml").exists()
    found["one"]["csa"][key] = "a"
    assert "two" in overlay(tmp_path, found).read_text()
