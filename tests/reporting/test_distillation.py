"""What distillation buys, what NCE trades, and that an oracle is told from the methods."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest
import yaml
from matplotlib.text import Text
from scored_run import make, score
from workflow import ROOT

from models.conditions import COMPLETE, Condition
from models.modalities import CHANNELS
from pipeline import across, figures
from pipeline.config import merged, read_config
from pipeline.core import artefacts
from pipeline.evaluation.protocols.conflict import MEAN
from pipeline.evaluation.results import DIAGNOSTIC, Results, title
from pipeline.reporting.comparison_tables import distillation_table
from pipeline.reporting.markup import latex
from pipeline.reporting.style import save
from pipeline.reporting.summary import Context
from pipeline.reporting.trade_curve import trade, weighed
from pipeline.reporting.trade_table import trade_table
from pipeline.settings.config import learnt_from
from pipeline.settings.learnt import over_folds
from pipeline.settings.objective import ObjectiveSettings
from pipeline.settings.report import ReportSettings
from pipeline.tables import every_table

REPORT = ReportSettings(resamples=400)
SKILLS = {"teacher": 0.5, "corekd": 0.9, "csa": 0.7, "modality_dropout": 0.6, "oracle_kd": 0.8}
NONE = {"prediction": 0, "fused": 0, "modality": 0, "nce": 0}
OBJECTIVES = {
    "corekd": {},
    "csa": {"nce": 0},
    "modality_dropout": NONE,
    "oracle_kd": {"references": "oracle", "fused": 0, "modality": 0, "nce": 0},
}
LEARNT = {
    name: learnt_from(ObjectiveSettings(**own), ObjectiveSettings()) for name, own in OBJECTIVES.items()
}


@pytest.fixture(scope="module", params=["classification", "regression"])
def scored(request, tmp_path_factory):
    """Scores and comparisons of a made-up run, and its task."""
    folder = tmp_path_factory.mktemp(request.param)
    return score(folder, make(folder, task=request.param, skills=SKILLS), REPORT), request.param


def context_of(found: dict, task: str) -> Context:
    labels = ("a", "b", "c") if task == "classification" else ()
    metric = REPORT.main(task)
    return Context(Results(**found), metric, labels, "corekd", 0.95, LEARNT)


def facts_of(folder: Path, task: str) -> Path:
    artefacts.save_json(folder / "facts.json", {"task": task})
    return folder / "facts.json"


def test_only_methods_are_tested(scored):
    found, _ = scored
    tested = found["comparisons"].filter(pl.col("p").is_not_null())
    assert set(tested["other"]) == {"teacher", "csa", "modality_dropout"}
    assert tested["p_holm"].null_count() == 0


def test_every_difference_stands_once(scored):
    found, _ = scored
    key = found["comparisons"].select("variant", "other", "condition", "metric")
    assert key.is_unique().all()


def test_what_distillation_buys_is_the_difference_to_students_without_a_teacher(scored):
    found, task = scored
    context = context_of(found, task)
    table = distillation_table(context)
    assert [row[0] for row in table.rows] == ["**CoRe-KD**", "CSA", "oracle KD †"]
    assert table.header[1:9] == [
        *("complete", "fixed/t", "fixed/a", "fixed/v", "fixed/at", "fixed/tv", "fixed/av", "fixed mean")
    ]
    assert table.header[9:] == ["random/0.2", "random/0.5", "random/0.7", "random mean"]
    names = {"complete": "complete", "fixed mean": "fixed/mean", "random mean": "random/mean"}
    for name, row in zip(("corekd", "csa", "oracle_kd"), table.rows, strict=True):
        for head, cell in zip(table.header[1:], row[1:], strict=True):
            own = {"condition": names.get(head, head), "metric": context.metric, "checkpoint": "selected"}
            ours, theirs = (
                found["scores"].filter(variant=one, **own)["value"].mean()
                for one in (name, "modality_dropout")
            )
            assert cell.mean == pytest.approx(ours - theirs)
            assert cell.low <= cell.mean <= cell.high


def test_without_students_that_have_no_teacher_there_is_no_such_table(tmp_path):
    found = score(tmp_path, make(tmp_path))
    context = context_of(found, "classification")
    assert distillation_table(context).rows == []


def test_the_trade_shows_each_swap_and_their_mean_beside_the_complete_view(scored):
    found, task = scored
    context = context_of(found, task)
    table = trade_table(context)
    assert table.header == [
        *("", "weight of NCE", "complete", "bias: a", "bias: v", "bias: av", "bias: mean")
    ]
    rows = {row[0]: row[1:] for row in table.rows}
    weights = {name: row[0] for name, row in rows.items()}
    ceiling = {"readable ceiling": None} if task == "classification" else {}
    assert weights == {
        "teacher": None,
        **{"**CoRe-KD**": "0.5", "CSA": "0", "modality dropout": "0", "oracle KD †": "0"},
        **ceiling,
    }
    bias = found["scores"].filter(variant="csa", metric="donor_bias", checkpoint="selected")
    by_swap = [
        bias.filter(condition=str(Condition.conflict(letters, "different")))["value"].mean()
        for letters in CHANNELS
    ]
    complete, *swaps, mean = rows["CSA"][1:]
    assert complete.mean == pytest.approx(context.results.score("csa", COMPLETE, context.metric).mean)
    assert [cell.mean for cell in swaps] == pytest.approx(by_swap)
    assert mean.mean == pytest.approx(np.mean(by_swap))
    for cell in (complete, *swaps, mean):
        assert cell.low <= cell.mean <= cell.high
    # resamples are paired, so their mean spreads no more than the swaps do on average
    assert mean.high - mean.low <= np.mean([cell.high - cell.low for cell in swaps]) + 1e-9


def test_what_no_swap_changes_has_no_bias(scored):
    """The majority class, and the mean training score, say the same of every view."""
    found, _ = scored
    own = {"variant": "majority", "condition": str(MEAN), "metric": "donor_bias"}
    row = found["comparisons"].filter(pl.col("other").is_null(), **own).row(0, named=True)
    assert row["difference"] == row["low"] == row["high"] == 0


def test_a_corpus_without_swaps_has_neither_table_nor_figure(scored, tmp_path):
    found, task = scored
    without = {
        name: table.filter(~pl.col("condition").str.starts_with("conflict/")) for name, table in found.items()
    }
    tables = dict(every_table(context_of(without, task)))
    assert not tables["trade"].rows and not tables["conflict"].rows and tables["distillation"].rows
    for name, table in without.items():
        artefacts.save_table(tmp_path / f"{name}.parquet", table)
    figures.run(
        figures.Params(report=REPORT, learnt=LEARNT),
        **{name: tmp_path / f"{name}.parquet" for name in without},
        facts=facts_of(tmp_path, task),
        folder=tmp_path / "figures",
    )
    drawn = {path.stem for path in (tmp_path / "figures").glob("[!.]*")}
    assert drawn == {"robustness", "conditions"}


def test_the_line_goes_through_the_weights_of_nce_alone(scored):
    found, task = scored
    results, metric = Results(**found), REPORT.main(task)
    figure = trade(results, metric, LEARNT)
    axes = figure.axes[0]
    line = next(one for one in axes.lines if len(one.get_xdata()) == 2 and one.get_linestyle() == "-")
    factor = 100
    for place, name in enumerate(("csa", "corekd")):
        bias, score = results.score(name, MEAN, "donor_bias"), results.score(name, COMPLETE, metric)
        assert line.get_xdata()[place] == pytest.approx(100 * bias.mean)
        assert line.get_ydata()[place] == pytest.approx(factor * score.mean)
    assert [text.get_text() for text in axes.texts] == ["0", "0.5"]
    said = [text.get_text() for text in axes.get_legend().get_texts()]
    assert ("readable ceiling" in said) == (task == "classification") and "oracle KD †" in said
    plt.close(figure)


def test_weights_are_in_order_and_others_are_points():
    four = learnt_from(ObjectiveSettings(nce=2), ObjectiveSettings())
    other = learnt_from(ObjectiveSettings(nce=1, temperature=1), ObjectiveSettings())
    learnt = {"four": four, "other": other, **LEARNT}
    assert weighed(learnt, dict.fromkeys(learnt)) == ["csa", "corekd", "four"]
    assert weighed(learnt, {"four": None, "csa": None}) == ["csa", "four"]


def test_folds_with_weights_of_their_own_are_told_as_a_range():
    def fold(nce, whole):
        return learnt_from(ObjectiveSettings(nce=nce), ObjectiveSettings(nce=whole))

    both = over_folds([fold(0.4, 0.4), fold(0.1, 0.1), fold(0.4, 0.4)])
    assert both.weight == "0.1 to 0.4" and both.mean == pytest.approx(0.25) and both.only_nce
    assert over_folds([fold(0.4, 0.4)] * 2).weight == "0.4"
    other = learnt_from(ObjectiveSettings(temperature=9), ObjectiveSettings())
    assert not over_folds([fold(0.4, 0.4), other]).only_nce


def test_an_oracle_is_marked_wherever_it_is_shown(scored, tmp_path):
    found, task = scored
    results = Results(**found)
    assert title("oracle_kd") == "oracle KD †" and results.notes == [DIAGNOSTIC]
    table = distillation_table(context_of(found, task))
    assert r"oracle KD $\dagger$" in latex(table, results.notes, "distillation")
    folder = tmp_path / "runs" / "results"
    for name, one in found.items():
        artefacts.save_table(folder / f"{name}.parquet", one)
    files = {name: [folder / f"{name}.parquet"] for name in found}
    across.run(across.Params(report=REPORT), **files, folder=tmp_path / "across")
    assert DIAGNOSTIC in (tmp_path / "across" / "across.md").read_text()
    figures.run(
        figures.Params(report=REPORT, learnt=LEARNT),
        **{name: path for name, (path,) in files.items()},
        facts=facts_of(tmp_path, task),
        folder=tmp_path / "figures",
    )
    assert len(list((tmp_path / "figures").glob("trade.*"))) == 3
    methods = {
        "scores": found["scores"].filter(pl.col("variant") != "oracle_kd"),
        "comparisons": found["comparisons"],
    }
    assert Results(**methods).notes == []


def test_a_figure_that_shows_an_oracle_says_what_it_is(tmp_path):
    for name, marked in (("oracle_kd", True), ("logit_kd", False)):
        figure, axes = plt.subplots()
        axes.plot([0, 1], [0, 1], label=title(name))
        axes.legend()
        save(figure, tmp_path, name)
        assert any(DIAGNOSTIC in text.get_text() for text in figure.findobj(Text)) == marked


def test_the_larger_run_draws_the_line_and_keeps_its_family():
    base, overlay = (ROOT / "config.yaml", ROOT / "config" / "reported.yaml")
    config = read_config(merged(*(yaml.safe_load(path.read_text()) for path in (base, overlay))))
    whole = config.objective_of("corekd")
    learnt = {name: learnt_from(config.objective_of(name), whole) for name in config.compare}
    line = weighed(learnt, learnt)
    assert [learnt[name].mean / whole.nce for name in line] == pytest.approx([0, 0.25, 1, 2, 4], rel=0.01)
    assert not learnt["modality_dropout"].taught and learnt["oracle_kd"].taught
    further = {name for name in config.compare if name.startswith(("corekd_nce_", "oracle_"))}
    assert set(config.report.compared) == {"teacher", *config.compare} - further - {"corekd"}
