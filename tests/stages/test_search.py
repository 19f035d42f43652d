"""The search tunes on validation, can be interrupted, and records what it tried."""

import pytest
import yaml
from trained_world import SMALL, World
from workflow import ROOT, copy_project, planned, snakemake, write_overlay
from workflow import SMALL as SMALL_RUN

from pipeline import search
from pipeline.config import merged, read_config
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.reruns.partial import PartialFolder
from pipeline.settings.objective import ObjectiveSettings
from pipeline.settings.search import SearchSettings, networks_tried

SPACE = {
    "objective.prediction": {"low": 0.0, "high": 2.0},
    "objective.references": ["in_sample", "cross_fitted"],
    "training.learning_rate": {"low": 1e-4, "high": 1e-1, "kind": "log"},
    "objective.views.fixed_share": [0.25, 0.5],
}

MODALITY_DROPOUT = {"prediction": 0, "fused": 0, "modality": 0, "nce": 0}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return World(tmp_path_factory.mktemp("searched"))


def params(**changes) -> search.Params:
    return search.Params(**{**SMALL, "space": SPACE, "trials": 4, "random": 2, **changes})


def run(world: World, name: str, **changes) -> dict:
    folder = world.root / name
    folder.mkdir(exist_ok=True)
    search.run(
        params(**changes),
        dataset=world.dataset,
        masks=world.masks,
        references=list(world.references.values()),
        teacher=[],
        trials=folder / "trials.parquet",
        best=folder / "best.json",
    )
    trials = artefacts.load_table(folder / "trials.parquet")
    return {"trials": trials, "best": artefacts.load_json(folder / "best.json"), "folder": folder}


@pytest.fixture(scope="module")
def searched(world) -> dict:
    return run(world, "once")


def test_the_first_trial_is_what_the_config_says(searched):
    first = searched["trials"].row(0, named=True)
    present = search.present(params())
    assert {key: first[key] for key in present} == present
    assert searched["best"]["start"]["values"] == present


def test_the_best_is_the_highest_validation_score_of_the_table(searched):
    trials, best = searched["trials"], searched["best"]["best"]
    assert len(trials) == 4
    assert best["validation"] == trials["validation"].max() >= trials["validation"][0]
    row = trials.row(best["number"], named=True)
    assert {key: row[key] for key in SPACE} == best["values"]
    assert set(searched["best"]["space"]) == set(SPACE)


def test_every_trial_lies_in_its_space(searched):
    trials = searched["trials"]
    assert trials["objective.prediction"].is_between(0, 2).all()
    assert trials["training.learning_rate"].is_between(1e-4, 1e-1).all()
    assert set(trials["objective.references"]) <= {"in_sample", "cross_fitted"}
    assert trials["objective.prediction"].n_unique() > 1


def test_a_trial_scores_what_the_student_stage_scores(world, searched):
    """The record is worth nothing if training the best settings gives another score."""
    best = searched["best"]["best"]
    chosen = search.with_values(params(), best["values"])
    paths = world.train_student(
        "chosen",
        chosen.objective.model_dump(mode="json"),
        training=chosen.training.model_dump(mode="json"),
    )
    history = artefacts.load_table(paths["history"]).filter("selected")
    assert history["validation"][0] == pytest.approx(best["validation"], abs=1e-12)


class Interrupted(Exception):
    pass


def test_an_interrupted_search_ends_with_the_same_trials(world, searched, monkeypatch):
    train, calls = search.train, []

    def stop_at_the_third(*arguments, **names):
        calls.append(1)
        if len(calls) == 3:
            raise Interrupted
        return train(*arguments, **names)

    monkeypatch.setattr(search, "train", stop_at_the_third)
    with pytest.raises(Interrupted):
        run(world, "broken")
    monkeypatch.setattr(search, "train", train)
    resumed = run(world, "broken")
    assert resumed["trials"].equals(searched["trials"])
    assert not list(resumed["folder"].glob(".*"))


def test_a_trial_is_the_mean_over_its_seeds(world):
    alone = {"space": {"objective.views.fixed_share": [0.5, 1.0]}, "trials": 1, "objective": MODALITY_DROPOUT}
    each = [run(world, f"seed{seed}", seeds=[seed], **alone)["best"]["best"] for seed in (0, 1)]
    both = run(world, "both", seeds=[0, 1], **alone)["best"]["best"]
    assert each[0]["validation"] != each[1]["validation"]
    assert both["validation"] == pytest.approx((each[0]["validation"] + each[1]["validation"]) / 2)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"objective.predicition": [0, 1]}, "no setting 'objective.predicition'"),
        ({"objective.prediction": {"low": 2, "high": 3}}, "present value 1.0 lies outside"),
        ({"objective.distance": ["mse", "smooth_l1"]}, "present value 'cosine' lies outside"),
        ({"objective.distance": {"low": 2, "high": 3}}, "present value 'cosine' lies outside"),
        ({"training.patience": [3, 5]}, "'training.patience': its present value is null"),
    ],
)
def test_a_wrong_space_names_its_key(world, space, said):
    with pytest.raises(PipelineError, match=said):
        search.search(params(space=space), dict, PartialFolder(world.root / "x", "digest"))


def test_a_value_that_no_setting_allows_names_its_key():
    with pytest.raises(PipelineError, match=r"network\.dropout.*tried 7"):
        search.with_values(params(), {"network.dropout": 7})


def test_a_term_that_the_network_cannot_train_names_the_searched_key():
    with pytest.raises(PipelineError, match=r"'objective\.reconstruction': .*network: imputation"):
        search.with_values(params(), {"objective.reconstruction": 0.5})


def test_the_networks_that_a_search_may_train():
    objective = ObjectiveSettings()
    assert networks_tried("attention", objective, {}) == ["attention"]
    own = objective.model_copy(update={"network": "imputation"})
    assert networks_tried("attention", own, {}) == ["imputation"]
    both = {"objective.network": ["", "imputation"]}
    assert networks_tried("attention", objective, both) == ["attention", "imputation"]


@pytest.mark.parametrize(
    ("spaces", "said"),
    [
        ({"corekd": {}}, "empty space"),
        ({"corekd": {"prediction": [0, 1]}}, "does not begin with"),
        ({"corekd": {"objective.prediction": [1]}}, "two choices"),
        ({"corekd": {"objective.prediction": {"low": 2, "high": 1}}}, "must lie below"),
        ({"corekd": {"objective.prediction": {"low": 0, "high": 1, "kind": "log"}}}, "above 0"),
    ],
)
def test_the_settings_refuse_a_space_that_searches_nothing(spaces, said):
    with pytest.raises(ValueError, match=said):
        SearchSettings(spaces=spaces)


@pytest.mark.slow
def test_searches_are_planned_with_what_their_trials_read(tmp_path):
    """References are made only for a variant whose trials may read them, of each kind that they may read."""
    folder = copy_project(tmp_path / "project")
    spaces = {
        "corekd": {"objective.references": ["in_sample", "cross_fitted"]},
        "modality_dropout": {"objective.views.fixed_share": [0.25, 0.5]},
    }
    overlay = write_overlay(folder, {**SMALL_RUN, "search": {"spaces": spaces, "seeds": [3]}})
    jobs = planned(folder, "--configfile", str(overlay), "--cores", "1", "searches")
    assert (jobs["search"], jobs["tuned"]) == (2, 1)
    assert (jobs["teacher"], jobs["held_out_teacher"], jobs["references"]) == (1, 4, 2)
    assert "student" not in jobs
    none = {"spaces": {"modality_dropout": spaces["modality_dropout"]}}
    overlay = write_overlay(folder, {**SMALL_RUN, "search": none})
    jobs = planned(folder, "--configfile", str(overlay), "--cores", "1", "searches")
    assert "teacher" not in jobs
    refused = snakemake(folder, "-n", "searches", check=False)
    assert refused.returncode != 0
    assert "'search.spaces': it names no variant" in refused.stdout + refused.stderr


RECORDS = sorted((ROOT / "config" / "searches").glob("*.json"))


def recorded(record) -> list[tuple[str, str, dict]]:
    """Fold, variant and search of a record: by variant, or of each of its parts by fold and variant."""
    facts = artefacts.load_json(record)
    if "searches" in facts:
        return [("main", variant, found) for variant, found in facts["searches"].items()]
    parts = [facts[part]["searches"] for part in ("training", "objectives") if part in facts]
    return [
        (fold, variant, found)
        for part in parts
        for fold, own in part.items()
        for variant, found in own.items()
    ]


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_an_overlay_says_what_its_recorded_search_found(record):
    """config/searches/<overlay>.json holds the searches that the overlay's values come from."""
    base = yaml.safe_load((ROOT / "config.yaml").read_text())
    overlay = yaml.safe_load((ROOT / "config" / f"{record.stem}.yaml").read_text())
    run = read_config(merged(base, overlay))
    searches = recorded(record)
    assert {variant for _, variant, _ in searches} >= set(run.search.spaces)
    assert {fold for fold, _, _ in searches} == set(run.corpus.folds)
    for fold, variant, found in searches:
        config = run.of_fold(fold)
        best = max(found["trials"], key=lambda trial: (round(trial["validation"], 4), -trial["number"]))
        assert best["values"] == found["best"]["values"]
        objective = {"objective": config.objective_of(variant)}
        sections = {**objective, "training": config.training, "network": config.network}
        for key, value in best["values"].items():
            section, *path = key.split(".")
            said = sections[section]
            for part in path:
                said = getattr(said, part)
            near = pytest.approx(value, rel=0.01) if isinstance(value, float) else value
            assert said == near, f"{fold}, {variant}: {key}"
