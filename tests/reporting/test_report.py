"""Figures, costs and the explorer of made-up predictions: what they count, and that they draw at all."""

import base64
import csv
import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest
from fixture_model import write_model
from protocol_fakes import write_dataset, write_predictions, write_protocol
from scored_run import make, score

from models.conditions import COMPLETE, Condition
from pipeline import confusion, costs, curves, explorer, inventory, projection, reliability, scores
from pipeline.annotation.card import measured
from pipeline.annotation.facts import read_facts
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.evaluation import agreement, calibration
from pipeline.evaluation.answers import load_answers, load_truth
from pipeline.evaluation.results import Cell, Results
from pipeline.reporting import corpus_table, explorer_page
from pipeline.reporting.donor_bias import donor_bias
from pipeline.reporting.markup import Table, latex, page
from pipeline.reporting.robustness import far_off, robustness

TEMPLATE = Path(explorer_page.__file__).with_name("explorer.html")


@pytest.fixture(scope="module", params=["classification", "regression"])
def answers(request, tmp_path_factory) -> dict:
    """Inputs of the stages that read predictions, of a teacher and a student with two seeds."""
    fold = tmp_path_factory.mktemp(request.param) / "main"
    dataset = write_dataset(fold / "dataset", dialogues=15, task=request.param)
    write_protocol(fold)
    files = [
        write_predictions(fold, variant, seed, skill, ("selected", "oracle"))
        for variant, skill in (("teacher", 0.5), ("corekd", 0.9))
        for seed in (0, 1)
    ]
    return {
        "dataset": [dataset],
        "conflicts": [fold / "protocol" / "conflicts.parquet"],
        "predictions": files,
    }


def words(name: str) -> str:
    """What an utterance says: nothing that may be read as markup, or as a mark of the template."""
    return f"<b>words</b> of {name} </script> \u2028 @@SPECS@@"


def manifest_of(dataset, path):
    """A manifest with words and times for the utterances of a made-up dataset."""
    names = artefacts.load_table(dataset / "utterances.parquet")["utterance"].to_list()
    table = pl.DataFrame(
        {
            "utterance": names,
            "text": [words(name) if place else None for place, name in enumerate(names)],
            "start": np.arange(len(names), dtype=float),
            "end": np.arange(len(names)) + 0.5,
        }
    )
    artefacts.save_table(path, table)
    return path


def drawn(folder) -> set[str]:
    """Names of the figures, each of which is there in every format and not empty."""
    found = {path.stem for path in folder.glob("*.svg")}
    for name in found:
        for suffix in ("svg", "pdf", "png"):
            assert (folder / f"{name}.{suffix}").stat().st_size > 1000
    return found


@pytest.mark.slow
def test_confusion_counts_every_answer_once(answers, tmp_path):
    confusion.run(confusion.Params(), **answers, folder=tmp_path / "confusion")
    assert drawn(tmp_path / "confusion") == {"teacher", "corekd"}
    counts = pl.read_csv(tmp_path / "confusion" / "counts.csv", infer_schema_length=None)
    truth = load_truth(answers["dataset"], answers["conflicts"])
    part = counts.filter(pl.col("variant") == "corekd", pl.col("condition") == "complete")
    assert part["count"].sum() == pytest.approx(truth.known.sum())
    right = part.filter(pl.col("true") == pl.col("predicted"))["count"].sum()
    scores = []
    for found in load_answers(answers["predictions"], truth):
        if found.variant == "corekd" and found.checkpoint == "selected":
            said = found.clean[COMPLETE][0][truth.known]
            value = truth.value[truth.known]
            if truth.task == "classification":
                scores.append((said.argmax(axis=1) == value).sum())
            else:
                scores.append((agreement.seven_classes(said[:, 0]) == agreement.seven_classes(value)).sum())
    assert right == pytest.approx(np.mean(scores), abs=0.01)


@pytest.mark.slow
def test_reliability_bins_add_up(answers, tmp_path):
    reliability.run(reliability.Params(), **answers, folder=tmp_path / "reliability")
    assert drawn(tmp_path / "reliability") == {"complete", "fixed", "random"}
    bins = pl.read_csv(tmp_path / "reliability" / "bins.csv")
    truth = load_truth(answers["dataset"], answers["conflicts"])
    sums = bins.group_by("family", "variant").agg(pl.col("count").sum())
    for family, views in (("complete", 1), ("fixed", 6), ("random", 9)):
        for count in sums.filter(pl.col("family") == family)["count"]:
            assert count == pytest.approx(views * truth.known.sum())


def test_calibration_error_is_the_mean_distance_of_its_bins():
    rng = np.random.default_rng(3)
    truth, probabilities = rng.integers(0, 4, 500), rng.dirichlet(np.ones(4), 500)
    count, confidence, right = calibration.reliability(truth, probabilities)
    some = count > 0
    gaps = np.abs(right[some] / count[some] - confidence[some] / count[some])
    assert calibration.calibration_error(truth, probabilities) == pytest.approx(
        np.average(gaps, weights=count[some])
    )


@pytest.mark.slow
def test_curves_of_all_seeds_and_what_they_refuse(tmp_path):
    def history(path, columns, epochs=3):
        values = {name: np.linspace(1, 0.1, epochs) for name in columns}
        chosen = [epoch == epochs - 1 for epoch in range(epochs)]
        table = pl.DataFrame({"epoch": range(1, epochs + 1), **values, "selected": chosen})
        artefacts.save_table(path, table)
        return path

    told = ["complete", "auxiliary", "val_complete", "validation"]
    paths = [history(tmp_path / "teacher" / str(seed) / "history.parquet", told) for seed in (0, 1)]
    told = ["complete", "nce_task", "nce_margin", "val_complete", "val_fixed", "val_random", "validation"]
    paths.append(history(tmp_path / "student" / "corekd" / "0" / "history.parquet", told))
    curves.run(curves.Params(), histories=paths, folder=tmp_path / "out")
    assert drawn(tmp_path / "out") == {"teacher", "corekd", "validation"}
    other = history(tmp_path / "student" / "corekd" / "1" / "history.parquet", told[1:])
    with pytest.raises(PipelineError, match=r"corekd.*differ"):
        curves.run(curves.Params(), histories=[*paths, other], folder=tmp_path / "out")


def test_curves_go_on_with_the_trainings_that_patience_did_not_stop(tmp_path):
    tables = [
        pl.DataFrame({"epoch": range(1, len(values) + 1), "complete": values})
        for values in ([1.0, 2.0], [3.0, 4.0, 5.0])
    ]
    epochs, mean, spread = curves.summary(tables, "complete")
    assert epochs.tolist() == [1, 2, 3]
    assert mean.tolist() == [2, 3, 5]
    assert spread == pytest.approx([2**0.5, 2**0.5, 0])


@pytest.mark.slow
def test_states_and_inventory_are_drawn(answers, tmp_path):
    dataset = answers["dataset"][0]
    rows = artefacts.load_table(dataset / "utterances.parquet").filter(pl.col("split") == "test")["row"]
    rng = np.random.default_rng(1)
    frames = [
        pl.DataFrame({"row": rows}).with_columns(
            variant=pl.lit(variant),
            condition=pl.lit(condition),
            **{name: pl.Series(rng.normal(size=len(rows))) for name in ("x", "y", "cosine")},
        )
        for variant in ("teacher", "corekd")
        for condition in ("complete", "fixed/t", "random/0.5")
    ]
    artefacts.save_table(tmp_path / "0.parquet", pl.concat(frames))
    artefacts.save_json(tmp_path / "0.json", {"explained": [0.5, 0.2], "seed": 0})
    made = {"states": tmp_path / "0.parquet", "facts": tmp_path / "0.json"}
    projection.run(projection.Params(), dataset=dataset, **made, folder=tmp_path / "states")
    assert drawn(tmp_path / "states") == {"corekd", "anchoring"}
    artefacts.save_table(tmp_path / "0.parquet", pl.concat(frames).with_columns(pl.col("row") + 10_000))
    with pytest.raises(PipelineError, match="lacks"):
        projection.run(projection.Params(), dataset=dataset, **made, folder=tmp_path / "states")
    manifest = manifest_of(dataset, tmp_path / "manifest.parquet")
    inventory.run(inventory.Params(), manifest=manifest, dataset=[dataset], folder=tmp_path / "corpus")
    assert drawn(tmp_path / "corpus") == {"targets", "lengths", "absences"}


def test_a_corpus_of_given_features_has_no_seconds(tmp_path):
    dataset = write_dataset(tmp_path / "main" / "dataset")
    manifest = manifest_of(dataset, tmp_path / "manifest.parquet")
    facts = artefacts.load_json(dataset / "facts.json")
    for timed, length in ((True, "0.50"), (False, "–")):
        artefacts.save_json(dataset / "facts.json", facts | {"timed": timed})
        assert all(row[-2] == length for row in corpus_table.census_table(manifest, [dataset]).rows)
    table = artefacts.load_table(dataset / "utterances.parquet").join(
        artefacts.load_table(manifest), on="utterance"
    )
    assert not inventory.lengths(table, "", timed=False).axes[1].patches
    assert inventory.lengths(table, "", timed=True).axes[1].patches


def test_costs_are_those_of_the_benchmark_files(tmp_path):
    head = "s\th:m:s\tmax_rss\tcpu_time\n"
    files = {
        "teacher/main-0.tsv": "10.5\t0:00:10\t800.0\t9.0\n",
        "teacher/main-1.tsv": "20.5\t0:00:20\t900.5\t19.0\n",
        "splits/main.tsv": "0.2\t0:00:00\t-\t0.1\n",
        # not of this run's results
        "costs.tsv": "99\t0:01:39\t9999\t99\n",
        "annotate/talk.tsv": "99\t0:01:39\t9999\t99\n",
        "search/main-corekd.tsv": "99\t0:01:39\t9999\t99\n",
        "tuned.tsv": "99\t0:01:39\t9999\t99\n",
    }
    for name, row in files.items():
        (tmp_path / "benchmarks" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "benchmarks" / name).write_text(head + row)
    costs.run(costs.Params(run="fake"), benchmarks=tmp_path / "benchmarks", folder=tmp_path / "costs")
    assert drawn(tmp_path / "costs") == {"time_and_memory"}
    with open(tmp_path / "costs" / "costs.csv") as file:
        rows = {row[0]: row[1:] for row in csv.reader(file)}
    assert rows["teacher"] == ["2", "31.0", "20.5", "28.0", "900"]
    assert rows["splits"] == ["1", "0.2", "0.2", "0.1", "–"]
    assert rows["all"] == ["3", "31.2", "20.5", "28.1", "900"]
    with pytest.raises(PipelineError, match="no benchmark file"):
        costs.run(costs.Params(), benchmarks=tmp_path / "nothing", folder=tmp_path / "costs")


def test_the_explorer_shows_recognised_words_where_networks_read_them(answers, tmp_path):
    dataset = answers["dataset"][0]
    manifest = manifest_of(dataset, tmp_path / "manifest.parquet")
    names = artefacts.load_table(manifest)["utterance"]
    # in two shards, and of every third utterance no word
    kept = pl.int_range(pl.len()) % 3 > 0
    heard = names.to_frame().with_columns(
        text=pl.when(kept).then(pl.lit("heard ") + pl.col("utterance")),
        words_confidence=pl.when(kept).then(pl.lit(0.876, pl.Float32)),
    )
    paths = [tmp_path / f"{number}.parquet" for number in range(2)]
    for number, path in enumerate(paths):
        artefacts.save_table(path, heard.filter(pl.int_range(pl.len()) % 2 == number))
    truth = load_truth(answers["dataset"], answers["conflicts"])
    told = explorer_page.texts(explorer_page.utterances([dataset], manifest, paths), truth)
    known = dict(heard.select("utterance", "text").iter_rows())
    assert len(told["names"]) and told["text"] == [known[name] for name in told["names"]]
    assert told["recognised"]["given"] == [words(name) for name in told["names"]]
    assert told["recognised"]["sure"] == [None if known[name] is None else 0.88 for name in told["names"]]
    with pytest.raises(PipelineError, match=r"lacks the utterance .* Rerun the stage recognised"):
        explorer_page.utterances([dataset], manifest, paths[:1])


def test_the_explorer_holds_every_answer(answers, tmp_path):
    dataset = answers["dataset"][0]
    explorer.run(
        explorer.Params(run="fake"),
        **answers,
        masks=[dataset.parent / "protocol" / "masks.safetensors"],
        manifest=manifest_of(dataset, tmp_path / "manifest.parquet"),
        template=TEMPLATE,
        page=tmp_path / "explorer.html",
    )
    text = (tmp_path / "explorer.html").read_text(encoding="utf-8")
    assert '"recognised": null' in text
    assert not re.search(r"<[^>]*\b(?:src|href)\s*=|https?:", TEMPLATE.read_text())
    assert not re.search("@@(VEGA|DATA)@@", text)
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    truth = load_truth(answers["dataset"], answers["conflicts"])
    table = artefacts.load_table(dataset / "utterances.parquet").filter(pl.col("split") == "test")
    assert sorted(data["names"]) == sorted(table["utterance"])
    assert all(data["text"][place] == words(name) for place, name in enumerate(data["names"]))
    told = {condition["name"]: condition["told"] for condition in data["conditions"]}
    far = "another label" if truth.task == "classification" else "a distant score"
    assert far in told["conflict/av/different"]
    place_of = {name: place for place, name in enumerate(data["names"])}
    order = np.array([place_of[name] for name in table.sort("row")["utterance"]])
    for found in load_answers(answers["predictions"][:1], truth):
        if found.checkpoint != "selected":
            continue
        said = np.frombuffer(base64.b64decode(data["answers"]["teacher"]["fixed/at"]), np.uint8)
        said = said.reshape(-1, truth.width)[order] / data["top"]
        if truth.task == "classification":
            assert (said.argmax(1) == found.clean[Condition.fixed("at")][0].argmax(1)).all()
        if truth.task == "regression":
            said = data["low"] + said * (data["high"] - data["low"])
        assert np.abs(said - found.clean[Condition.fixed("at")][0]).max() < 0.02
    available = artefacts.load_tensors(dataset / "features.safetensors")["available"]
    digits = np.array(list(data["shown"]["fixed/at"]), int)[order]
    assert (digits == available[table.sort("row")["row"].to_numpy()] @ (1, 2, 0)).all()
    views = artefacts.load_table(answers["conflicts"][0]).filter(
        pl.col("kind") == "same", pl.col("draw") == 0
    )
    utterances = artefacts.load_table(dataset / "utterances.parquet")["utterance"]
    donors = {
        data["names"][place]: data["names"][donor]
        for place, donor in enumerate(data["donors"]["same"])
        if donor >= 0
    }
    assert donors == {
        utterances[row]: utterances[donor] for row, donor in views.select("row", "donor").rows()
    }


def test_the_page_names_the_label_that_the_tables_count():
    values = np.array([[0.3329, 0.3331, 0.334], [0.4998, 0.5002, 0.0], [0.2, 0.2, 0.6], [np.nan] * 3])
    coded = explorer_page._bytes(values, "classification")
    kept = np.frombuffer(base64.b64decode(coded), np.uint8).reshape(-1, 3)
    assert kept[:3].argmax(1).tolist() == [2, 1, 2]
    assert np.abs(kept[:3] / explorer_page.TOP - values[:3]).max() < 1.5 / explorer_page.TOP
    assert (kept[3] == explorer_page.NONE).all()


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_card_and_the_figure_of_the_bias_say_what_they_count(tmp_path, task):
    tables = score(tmp_path, make(tmp_path, folds=("one", "two"), task=task))
    results = Results(tables["scores"], tables["comparisons"])
    regression = task == "regression"
    facts = read_facts(write_model(tmp_path / "model", regression=regression))
    facts = facts.model_copy(update={"fold": "two"})
    own = tables["scores"].filter(variant="corekd", seed=0, fold="two", checkpoint="selected")
    metric = "mae" if regression else "weighted_f1"
    card = measured(facts, results, own, metric)
    row = next(line for line in card.splitlines() if "this model (seed 0, fold two)" in line)
    right = own.filter(condition="conflict/av/different", metric="accuracy")["value"].item()
    assert row.split("|")[-3].strip() == f"{100 * right:.1f}"
    assert "fold two alone" in card and "all folds (one, two)" in card
    assert ("a distant score" in card) == ("accuracy of the sign" in card) == regression
    assert ("another label" in card) != regression
    figure = donor_bias(results)
    said = " ".join(text.get_text() for text in figure.legends[0].get_texts())
    plt.close(figure)
    assert ("distant score" in said) == regression and ("another label" in said) != regression


@pytest.mark.parametrize(
    ("metric", "floor", "change"),
    [("weighted_f1", "majority class: 40.0", "Gain"), ("mae", "mean training score: 0.400", "below 0")],
)
def test_the_robustness_figure_says_what_its_metric_means(metric, floor, change):
    rows = [
        ("main", variant, 0, "selected", condition, metric, 0.4)
        for variant in ("teacher", "corekd", "majority")
        for condition in ("complete", "random/0.5")
    ]
    rows.append(("main", "protocol", None, "selected", "random/0.5", "missing_rate", 0.5))
    none = pl.DataFrame(schema=dict.fromkeys(("variant", "other", "condition", "metric", "low"), pl.String))
    results = Results(
        pl.DataFrame(rows, schema=scores.SCHEMA, orient="row"), none.with_columns(high=pl.col("low"))
    )
    figure = robustness(results, metric)
    titles = [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes]
    plt.close(figure)
    assert floor in titles[0] and change in titles[1]


def test_a_variant_far_off_does_not_flatten_the_figure():
    near = {"corekd": np.array([1.0, 2.0]), "csa": np.array([0.5, 2.5])}
    assert far_off(near | {"text_only": np.array([-20.0, -9.0])}) == ["text_only"]
    assert far_off(near | {"nce": np.array([-1.0, 3.0])}) == []
    assert far_off({"corekd": np.array([1.0, 2.0]), "text_only": np.array([-20.0, -9.0])}) == []


def test_tables_for_print_and_browser_escape_what_they_hold():
    rows = [["**best_one**", Cell(0.5, 0.01, 0.4, 0.6)], ["50 % & <more>", None]]
    table = Table("A_heading", ["", "value_%"], ["", "accuracy"], rows, ["note #1"])
    text = latex(table, ["below ~"], "main")
    assert r"\textbf{best\_one} & 50.0 $\pm$ 1.0 [40.0, 60.0] \\" in text
    assert r"50 \% \& <more> & -- \\" in text and r"\textasciitilde{}" in text
    for name in ("toprule", "midrule", "bottomrule"):
        assert text.count(rf"\{name}") == 1
    made = page(table, [])
    assert "<b>best_one</b>" in made and "50 % &amp; &lt;more&gt;" in made
