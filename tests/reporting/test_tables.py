"""Scores, comparisons, tables and figures of made-up predictions."""

import csv

import polars as pl
import pytest
from protocol_fakes import LABELS, write_dataset
from scored_run import REPORT, make, score

from models.conditions import COMPLETE
from pipeline import across, figures, tables
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.evaluation import agreement
from pipeline.evaluation.answers import load_truth, trivial_answers
from pipeline.evaluation.results import SIMPLE, Results, ordered
from pipeline.reporting.absence_table import absences_table
from pipeline.reporting.comparison_tables import bar_table
from pipeline.reporting.protocol_tables import main_table
from pipeline.reporting.summary import Context, few_seeds
from pipeline.settings.report import ReportSettings


def value(table, **wanted):
    found = table.filter(*(pl.col(name) == key for name, key in wanted.items()))
    assert found.height == 1, wanted
    return found["value"][0]


def test_scores_equal_a_plain_computation(tmp_path):
    files = make(tmp_path)
    table = score(tmp_path, files)["scores"]
    utterances = artefacts.load_table(files["dataset"][0] / "utterances.parquet")
    label = dict(utterances.select("row", "label").drop_nulls().iter_rows())
    said = artefacts.load_table(tmp_path / "main" / "predictions" / "csa" / "1.parquet")
    said = said.filter(pl.col("checkpoint") == "selected")
    own = {"variant": "csa", "seed": 1, "checkpoint": "selected", "metric": "weighted_f1"}
    by_rate = []
    for name in ("random/0.2", "random/0.5", "random/0.7"):
        by_draw = []
        for draw in range(3):
            part = said.filter(pl.col("condition") == name, pl.col("draw") == draw)
            part = part.filter(pl.col("row").is_in(list(label)))
            truth = part["row"].replace_strict(label).to_numpy()
            by_draw.append(agreement.weighted_f1(truth, part["probabilities"].list.arg_max().to_numpy()))
        by_rate.append(sum(by_draw) / 3)
        assert value(table, condition=name, **own) == pytest.approx(by_rate[-1])
    assert value(table, condition="random/mean", **own) == pytest.approx(sum(by_rate) / 3)
    clean = dict(
        said.filter(pl.col("condition") == "complete")
        .select("row", pl.col("probabilities").list.arg_max())
        .iter_rows()
    )
    views = artefacts.load_table(files["conflicts"][0]).filter(pl.col("kind") == "different")
    swapped = said.filter(pl.col("condition") == "conflict/v/different")
    joined = views.join(swapped, on=["draw", "row"])
    donor = (joined["probabilities"].list.arg_max() == joined["reference"]).mean()
    before = (joined["row"].replace_strict(clean) == joined["reference"]).mean()
    own = {"variant": "csa", "seed": 1, "checkpoint": "selected", "condition": "conflict/v/different"}
    assert value(table, metric="donor_rate", **own) == pytest.approx(donor)
    assert value(table, metric="donor_bias", **own) == pytest.approx(donor - before)


def test_comparisons_start_from_the_scores(tmp_path):
    found = score(tmp_path, make(tmp_path))
    table, compared = found["scores"], found["comparisons"]
    own = compared.filter(pl.col("other").is_null(), pl.col("metric") == "weighted_f1")
    for variant, condition, mean, low, high in own.select(
        "variant", "condition", "difference", "low", "high"
    ).iter_rows():
        values = table.filter(
            pl.col("variant") == variant,
            pl.col("condition") == condition,
            pl.col("metric") == "weighted_f1",
            pl.col("checkpoint") == "selected",
        )["value"]
        assert mean == pytest.approx(values.mean()), (variant, condition)
        assert low <= high
    tested = compared.filter(pl.col("p").is_not_null())
    assert set(tested["variant"]) == {"corekd"} and set(tested["other"]) == {"teacher", "csa"}
    assert tested.filter(pl.col("metric") == "weighted_f1").height == 2 * 3
    assert (tested["p_holm"] >= tested["p"]).all()
    assert tested.filter(pl.col("other") == "teacher")["difference"].min() > 0
    assert compared.filter(pl.col("other") == "readable_ceiling").height > 0


def test_every_network_is_held_against_rows_without_one_outside_the_family(tmp_path):
    found = score(tmp_path, make(tmp_path))
    table = found["comparisons"].filter(pl.col("other").is_in(SIMPLE))
    assert table["p"].null_count() == table["p_holm"].null_count() == table.height
    assert set(table["variant"]) == {"teacher", "corekd", "csa"} and set(table["other"]) == set(SIMPLE)
    own = {"variant": "corekd", "other": "product_chain", "condition": "fixed/a", "metric": "weighted_f1"}
    row = table.filter(*(pl.col(name) == key for name, key in own.items())).row(0, named=True)
    means = found["scores"].filter(checkpoint="selected", condition="fixed/a", metric="weighted_f1")
    means = dict(means.group_by("variant").agg(pl.col("value").mean()).iter_rows())
    assert row["difference"] == pytest.approx(means["corekd"] - means["product_chain"])
    assert row["low"] <= row["difference"] <= row["high"]
    results = Results(found["scores"], found["comparisons"])
    context = Context(results, "weighted_f1", ("a", "b", "c"), "corekd", 0.95)
    bar = bar_table(context)
    assert [line[0] for line in bar.rows] == ["teacher", "**CoRe-KD**", "CSA"]
    assert bar.rows[1][bar.header.index("fixed/a")].mean == row["difference"]
    assert ordered(results)[2:5] == list(SIMPLE) and not set(SIMPLE) & set(results.trained)


def test_folds_are_scored_apart_and_pooled(tmp_path):
    table = score(tmp_path, make(tmp_path, folds=("one", "two")))["scores"]
    assert set(table["fold"]) == {"one", "two", "pooled"}
    own = {"variant": "corekd", "seed": 0, "checkpoint": "selected", "condition": "complete"}
    cells = {
        fold: sum(
            value(table, fold=fold, metric=f"confusion/{i}/{j}", **own) for i in range(3) for j in range(3)
        )
        for fold in ("one", "two", "pooled")
    }
    assert cells["one"] + cells["two"] == cells["pooled"]


def test_trivial_rows_know_the_training_labels_only(tmp_path):
    files = make(tmp_path)
    table = score(tmp_path, files)["scores"]
    utterances = artefacts.load_table(files["dataset"][0] / "utterances.parquet").drop_nulls("label")
    most = utterances.filter(pl.col("split") == "train")["label"].mode().sort()
    test = utterances.filter(pl.col("split") == "test")["label"]
    own = {"variant": "majority", "metric": "accuracy"}
    accuracy = value(table, condition="complete", **own)
    assert any(accuracy == pytest.approx((test == label).mean()) for label in most)
    assert value(table, condition="random/mean", **own) == pytest.approx(accuracy)
    assert value(
        table, variant="majority", condition="conflict/av/different", metric="donor_bias"
    ) == pytest.approx(0)


def test_faults_are_said(tmp_path):
    files = make(tmp_path)
    with pytest.raises(PipelineError, match=r"report\.reference"):
        score(tmp_path, files, ReportSettings(resamples=300, reference="nobody"))
    with pytest.raises(PipelineError, match="same seeds"):
        score(tmp_path, {**files, "predictions": files["predictions"][1:]})
    short = artefacts.load_table(files["predictions"][0]).filter(pl.col("condition") != "fixed/t")
    artefacts.save_table(files["predictions"][0], short)
    with pytest.raises(PipelineError, match="seed 1: its conditions"):
        score(tmp_path, files)
    for path in files["predictions"][:2]:
        table = artefacts.load_table(path).filter(pl.col("condition") != "fixed/t")
        artefacts.save_table(path, table)
    with pytest.raises(PipelineError, match=r"predictions of 'corekd'.*not those of 'teacher'.*fixed/t"):
        score(tmp_path, files)


@pytest.mark.parametrize(("resamples", "enough"), [(238, False), (240, True)])
def test_resamples_that_can_decide_nothing_are_refused(tmp_path, resamples, enough):
    """Six tests: the least p after Holm's correction is 6 * 2 / (R + 1), to be below 0.05."""
    files, report = make(tmp_path), ReportSettings(resamples=resamples)
    if enough:
        assert score(tmp_path, files, report)["comparisons"].height
        return
    with pytest.raises(PipelineError, match=r"report\.resamples: with 238 .* Set it to 240 or more"):
        score(tmp_path, files, report)


def test_an_utterance_is_tested_in_one_fold(tmp_path):
    files = make(tmp_path, folds=("main", "session5"))
    for fold in ("main", "session5"):
        path = tmp_path / fold / "dataset" / "utterances.parquet"
        table = artefacts.load_table(path)
        artefacts.save_table(path, table.with_columns(utterance=pl.format("u{}", "row")))
    with pytest.raises(PipelineError, match="'main' and 'session5': both test the utterance 'u") as error:
        score(tmp_path, files)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_trivial_rows_of_a_fold_know_its_own_training_targets(tmp_path, task):
    files = make(tmp_path, folds=("one", "two"), task=task)
    for fold, (train, test) in {"one": (0, 1), "two": (1, 0)}.items():
        path = tmp_path / fold / "dataset" / "utterances.parquet"
        own = pl.when(pl.col("split") == "train").then(train).otherwise(test)
        column = "label" if task == "classification" else "score"
        table = artefacts.load_table(path)
        table = table.with_columns(own.cast(table.schema[column]).alias(column))
        artefacts.save_table(path, table)
    truth = load_truth(files["dataset"], files["conflicts"])
    for answers in trivial_answers(truth, [COMPLETE], [], [0, 1], 3):
        said = answers.clean[COMPLETE][0]
        said = said.argmax(axis=1) if task == "classification" else said[:, 0]
        assert said.tolist() == truth.fold.tolist(), answers.variant


def test_few_seeds_are_said(tmp_path):
    found = score(tmp_path, make(tmp_path))
    two = Results(found["scores"], found["comparisons"])
    assert few_seeds(two) == "2 seed(s): differences hold for these trainings only."
    two.seeds = [0, 1, 2, 3, 4]
    assert few_seeds(two) == ""


def test_without_oracle_epochs_no_note_speaks_of_them(tmp_path):
    found = score(tmp_path, make(tmp_path))
    for scores in (found["scores"], found["scores"].filter(pl.col("checkpoint") != "oracle")):
        results = Results(scores, found["comparisons"])
        main = main_table(Context(results, "weighted_f1", ("a", "b", "c"), "corekd", 0.95))
        told = "ORACLE" in " ".join([*main.header, *main.notes])
        assert told == results.oracle == (scores is found["scores"])


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_tables_and_figures(tmp_path, task):
    files = make(tmp_path, task=task)
    score(tmp_path, files)
    results = tmp_path / "results"
    read = {name: results / f"{name}.parquet" for name in ("scores", "comparisons")}
    facts = files["dataset"][0] / "facts.json"
    params = tables.Params(report=REPORT, run="fake", generator="0123456789abcdef")
    below = {"dataset": files["dataset"], "masks": files["masks"]}
    names = pl.concat(
        artefacts.load_table(path / "utterances.parquet", ["utterance"]) for path in below["dataset"]
    )
    artefacts.save_table(
        tmp_path / "manifest.parquet",
        names.with_columns(start=pl.lit(0.0), end=pl.lit(1.5), text=pl.lit("two words")),
    )
    below["manifest"] = tmp_path / "manifest.parquet"
    tables.run(params, **read, facts=facts, **below, folder=results / "tables")
    digest = artefacts.load_metadata(files["masks"][0])["digest"]
    pages = sorted((results / "tables").glob("*.md"))
    assert len(pages) >= 8
    for page in pages:
        text = page.read_text()
        assert digest[:12] in text and "0123456789ab" in text and "not the paper's" in text
        assert "2 seed(s): differences hold" in text
        rows = list(csv.reader(page.with_suffix(".csv").read_text().splitlines()))
        assert len({len(row) for row in rows}) == 1 and len(rows) > 1
        assert page.with_suffix(".tex").exists() and page.with_suffix(".html").exists()
    census = {row[1]: row for row in csv.reader((results / "tables" / "corpus.csv").read_text().splitlines())}
    test = artefacts.load_table(files["dataset"][0] / "utterances.parquet").filter(pl.col("split") == "test")
    assert census["test"][3] == str(test.height) and census["test"][7] == f"{test.height * 1.5 / 3600:.2f}"
    main = (results / "tables" / "main.md").read_text()
    assert "**CoRe-KD**" in main and "majority" in main and "ORACLE" in main
    printed = (results / "tables" / "summary.txt").read_text()
    assert "fake:" in printed and "2 seed(s): differences hold" in printed
    assert ("true scores of 0 left out" in (results / "tables" / "conflict.md").read_text()) == (
        task == "regression"
    )
    for folder in ("one", "two"):
        figures.run(figures.Params(report=REPORT), **read, facts=facts, folder=results / folder)
    drawn = sorted(path.name for path in (results / "one").glob("[!.]*"))
    assert len(drawn) == 12
    for name in drawn:
        assert (results / "one" / name).read_bytes() == (results / "two" / name).read_bytes(), name


def test_absences_are_counted_by_split_modality_and_reason(tmp_path):
    folder = write_dataset(tmp_path / "main" / "dataset", dialogues=30)
    table = artefacts.load_table(folder / "utterances.parquet")
    available = artefacts.load_tensors(folder / "features.safetensors")["available"]
    rows = {(row[1], row[2]): row for row in absences_table([folder]).rows}
    assert len(rows) == 9
    for (split, modality), row in rows.items():
        inside = (table["split"] == split).to_numpy()
        missing = int((available[inside, ("text", "audio", "visual").index(modality)] == 0).sum())
        assert row[0] == "main" and row[3] == str(inside.sum())
        assert row[4] == f"{100 * missing / inside.sum():.1f}"
        assert row[5] == (f"no_{modality} {missing}" if missing else "none")


def test_one_table_across_runs(tmp_path):
    for name in ("small", "large"):
        score(tmp_path / name, make(tmp_path / name))
    paths = {
        kind: [tmp_path / name / "results" / f"{kind}.parquet" for name in ("small", "large")]
        for kind in ("scores", "comparisons")
    }
    across.run(across.Params(report=REPORT), **paths, folder=tmp_path / "across")
    text = (tmp_path / "across" / "across.md").read_text()
    assert "small: complete" in text and "large: random mean" in text and "**CoRe-KD**" in text
    with pytest.raises(PipelineError, match="same order"):
        across.run(across.Params(), scores=paths["scores"], comparisons=[], folder=tmp_path / "across")


def test_names_of_labels_stand_in_the_class_table(tmp_path):
    files = make(tmp_path)
    found = score(tmp_path, files)["scores"]
    assert {f"f1/{label}" for label in LABELS} <= set(found["metric"])
