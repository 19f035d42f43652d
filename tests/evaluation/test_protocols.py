"""What protocols show; and one more of them is a module and a line, as docs/new-protocol.md says."""

import importlib.util
import sys
from ast import literal_eval

import numpy as np
import polars as pl
import pytest
import torch
from documents import edits
from protocol_fakes import LABELS, fake_predictions, write_dataset, write_network, write_protocol
from workflow import ROOT

from models.batch import Batch
from models.conditions import COMPLETE, Condition
from models.masks import fixed_mask
from models.modalities import MODALITIES
from pipeline import evaluate, explorer, figures, reliability, scores, states, tables
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.core.registries import protocols
from pipeline.evaluation import families
from pipeline.evaluation.passes import viewed
from pipeline.evaluation.protocol import Frozen, View
from pipeline.reruns.codehash import closure
from pipeline.settings.report import ReportSettings
from pipeline.training.dialogues import Dataset


@pytest.fixture
def fold(tmp_path):
    write_dataset(tmp_path / "main" / "dataset", dialogues=15)
    write_protocol(tmp_path / "main", draws=2)
    return tmp_path / "main"


def frozen_of(fold) -> Frozen:
    shown, pairs = (fold / "protocol" / name for name in ("masks.safetensors", "conflicts.parquet"))
    return Frozen.load(fold / "dataset", shown, pairs)


def test_views_are_those_of_the_method(fold):
    frozen = frozen_of(fold)
    has = torch.from_numpy(frozen.available)
    masks = artefacts.load_tensors(fold / "protocol" / "masks.safetensors")
    found = list(families.views(frozen))
    assert found[0].condition == COMPLETE and (found[0].shown == frozen.available).all()
    for view in found:
        assert not (view.shown & ~frozen.available).any() and not view.features
        if view.condition.shown:
            assert (view.shown == fixed_mask(has, view.condition.shown).numpy()).all()
        if view.condition.rate:
            assert (view.shown == masks[str(Condition.random(view.condition.rate, view.draw))]).all()
    assert len({(view.condition, view.draw) for view in found}) == 1 + 6 + len(masks)
    asked = {(swaps.condition.swapped, swaps.condition.kind) for swaps in families.swaps(frozen)}
    assert len(asked) == 9


def test_every_registered_protocol_is_found_by_its_family():
    assert [protocol.family for protocol in families.registered()] == list(protocols.PROTOCOLS)
    with pytest.raises(PipelineError, match="no protocol of the family 'odd'"):
        families.heading(Condition("odd", kind="x"))


def test_masks_of_another_dataset_are_an_error(fold):
    path = fold / "protocol" / "masks.safetensors"
    short = {name: mask[1:] for name, mask in artefacts.load_tensors(path).items()}
    artefacts.save_tensors(path, short)
    with pytest.raises(PipelineError, match=r"masks.safetensors: random/0.2/0 has shape"):
        frozen_of(fold)
    artefacts.save_tensors(path, {"fixed": short["random/0.2/0"]})
    with pytest.raises(PipelineError, match=r"masks.safetensors"):
        frozen_of(fold)


@torch.no_grad()
def test_a_view_reads_its_own_features_where_the_corpus_has_the_slot(fold):
    data, frozen = Dataset.load(fold / "dataset"), frozen_of(fold)
    test = Batch.cat(data.batches(["test"], 64))
    other = np.full_like(frozen.features("audio"), 3.0)
    view = View(Condition("loud", kind="x"), 0, np.ones_like(frozen.available), {"audio": other})
    seen = viewed(test, view, torch.tensor([True, True, False]))
    assert torch.equal(seen.available[..., :2], test.available[..., :2]) and not seen.available[..., 2].any()
    assert (seen.features["audio"] == 3).all()
    assert torch.equal(seen.features["text"], test.features["text"])


def test_the_code_of_every_protocol_stands_behind_the_stages_that_tell_conditions_apart():
    """rules/common.smk adds the modules where it finds the registry behind a stage."""
    told = {path.stem for path in (ROOT / "pipeline").glob("*.py") if path.stem != "__init__"}
    told = {name for name in told if protocols.__name__ in closure(f"pipeline.{name}")}
    wanted = {"evaluate", "simple", "states", "ceilings", "scores", "tables", "figures", "across"}
    wanted |= {"explorer", "export"}
    assert wanted | {"confusion", "reliability", "projection"} <= told
    assert not told & {"teacher", "student", "references", "masks", "conflicts", "dataset"}


@pytest.fixture
def followed(monkeypatch, tmp_path):
    """The module and the line of the page, taken into this process."""
    (path, none, module), (registry, (where, name), line) = edits(ROOT / "docs" / "new-protocol.md")
    assert none is None and where == "end of" and registry.replace("/", ".") == f"{protocols.__name__}.py"
    (written,) = literal_eval(f"{{{line}}}").items()
    assert written[1].replace(".", "/") + ".py" == path
    (tmp_path / "own.py").write_text(module)
    spec = importlib.util.spec_from_file_location(written[1], tmp_path / "own.py")
    own = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(own)
    monkeypatch.setitem(sys.modules, written[1], own)
    monkeypatch.setitem(getattr(protocols, name), *written)
    for cached in (families.registered, families.headlines):
        cached.cache_clear()
    yield own.PROTOCOL
    monkeypatch.undo()
    for cached in (families.registered, families.headlines):
        cached.cache_clear()


def test_the_protocol_of_the_page_hangs_a_channel(followed, fold):
    frozen = frozen_of(fold)
    views = {view.condition.kind: view for view in followed.views(frozen)}
    for kind, modality in (("picture", "visual"), ("sound", "audio")):
        column, own = MODALITIES.index(modality), frozen.features(modality)
        for part in frozen.utterances.partition_by("dialogue"):
            rows = part["row"].to_list()
            for place, row in enumerate(rows):
                source = rows[min(place, (len(rows) - 1) // 2)]
                assert (views[kind].features[modality][row] == own[source]).all()
                assert views[kind].shown[row, column] == frozen.available[source, column]


def test_a_further_family_has_a_line_of_its_own(followed):
    names = ("stuck/sound", "random/0.5", "complete", "conflict/a/same", "fixed/t", "stuck/picture")
    lines = [[str(one) for one in line] for line in families.lines(map(Condition.parse, names))]
    own = ["stuck/sound", "stuck/picture"]
    assert lines == [["complete", "fixed/t"], ["random/0.5"], ["conflict/a/same"], own]
    assert families.heading(Condition.parse("stuck/mean")) == "stuck mean"
    assert len(families.headlines()) == 3


@pytest.mark.slow
def test_the_protocol_of_the_page_is_predicted_scored_and_shown(followed, fold, tmp_path):
    dataset, results = fold / "dataset", tmp_path / "results"
    drawn = {"masks": fold / "protocol" / "masks.safetensors"}
    pairs = fold / "protocol" / "conflicts.parquet"
    paths = []
    for variant in ("teacher", "corekd"):
        network = fold / variant / "0"
        write_network(network, len(LABELS))
        paths.append(fold / "predictions" / variant / "0.parquet")
        evaluate.run(
            evaluate.Params(device="cpu"),
            dataset=dataset,
            **drawn,
            conflicts=pairs,
            weights=network / "weights.safetensors",
            epochs=network / "epochs.safetensors",
            predictions=paths[-1],
        )
    said = artefacts.load_table(paths[0])
    conditions = said["condition"].unique(maintain_order=True).to_list()
    assert {"stuck/picture", "stuck/sound"} <= set(conditions) and conditions[0] == "complete"
    clean, picture = (
        said.filter(condition=name, checkpoint="selected")["probabilities"].to_list()
        for name in ("complete", "stuck/picture")
    )
    assert len(clean) == len(picture) and clean != picture

    # a ceiling has no row under conditions whose features are not the corpus's
    ceiling = fake_predictions(fold, ("ceiling", 0), 0.9).with_columns(variant=pl.lit("readable_ceiling"))
    artefacts.save_table(fold / "ceilings.parquet", ceiling)
    read = {"dataset": [dataset], "conflicts": [pairs], "predictions": paths}
    judged = {name: results / f"{name}.parquet" for name in ("scores", "comparisons")}
    report = ReportSettings(resamples=300)
    scores.run(
        scores.Params(report=report),
        **read,
        masks=[drawn["masks"]],
        simple=[],
        ceilings=[fold / "ceilings.parquet"],
        **judged,
    )
    table = artefacts.load_table(judged["scores"])
    own = table.filter(pl.col("condition").is_in(["stuck/picture", "stuck/sound", "stuck/mean"]))
    rows = set(own.filter(metric="accuracy")["variant"])
    assert rows == {"teacher", "corekd", "majority", "prior_sampling"}
    both = own.filter(variant="corekd", checkpoint="selected", metric="weighted_f1")
    means = dict(both.select("condition", "value").iter_rows())
    assert means["stuck/mean"] == pytest.approx((means["stuck/picture"] + means["stuck/sound"]) / 2)

    names = artefacts.load_table(dataset / "utterances.parquet", ["utterance"])
    spans = {"start": pl.lit(0.0), "end": pl.lit(1.0), "text": pl.lit("word")}
    artefacts.save_table(tmp_path / "manifest.parquet", names.with_columns(**spans))
    manifest = {"manifest": tmp_path / "manifest.parquet"}
    facts = dataset / "facts.json"
    tables.run(
        tables.Params(report=report),
        **judged,
        facts=facts,
        dataset=[dataset],
        masks=[drawn["masks"]],
        **manifest,
        folder=results / "tables",
    )
    page = (results / "tables" / "stuck.md").read_text()
    assert "P6: a channel hangs" in page and "stuck picture" in page and "stuck sound" in page
    assert "stuck" not in (results / "tables" / "main.md").read_text()
    figures.run(figures.Params(report=report), **judged, facts=facts, folder=results / "protocol")
    reliability.run(reliability.Params(), **read, folder=results / "reliability")
    assert (results / "reliability" / "stuck.svg").is_file()
    template = ROOT / "pipeline" / "reporting" / "explorer.html"
    explorer.run(
        explorer.Params(),
        **read,
        masks=[drawn["masks"]],
        **manifest,
        template=template,
        page=results / "explorer.html",
    )
    text = (results / "explorer.html").read_text()
    assert "P6: stuck picture" in text and "The picture hangs from the middle" in text
    made = {"states": fold / "states.parquet", "facts": fold / "states.json"}
    weights = [fold / variant / "0" / "weights.safetensors" for variant in ("teacher", "corekd")]
    states.run(
        states.Params(device="cpu"),
        dataset=dataset,
        **drawn,
        teacher=weights[0],
        students=weights[1:],
        **made,
    )
    assert "stuck/sound" in artefacts.load_table(made["states"])["condition"]
