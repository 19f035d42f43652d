"""Given, recognised, mistaken and no words side by side: encoded, asked of networks, and in one table."""

import fixture_encoders
import numpy as np
import polars as pl
import pytest
import scored_run
from protocol_fakes import DIMENSIONS, LABELS, write_dataset, write_network, write_protocol
from workflow import ROOT, SMALL, copy_project, snakemake, write_overlay

from models.conditions import COMPLETE, Condition
from pipeline import degraded_text, evaluate, explorer, scores, tables, text, unreliable, word_sources
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.core.origins import STAMP
from pipeline.evaluation.results import Results
from pipeline.extraction.degraded import DegradedTable
from pipeline.settings.config import Config
from pipeline.settings.unreliable import UnreliableSettings
from pipeline.training.normalisation import fit

GIVEN = ("I never said that at all", "Well - what did you say then?", "Nothing", None, "Yes, you did.")
# one word left out; one changed and one added; too unsure; heard where nothing is given; nothing
HEARD = ("I never said at all", "well what did you pay then now", "Nothing", "Hm", None)
SURE = (0.9, 0.8, 0.2, 0.9, None)
ALL = ("given", "recognised", "misheard", "none")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A shard of two dialogues, one of them tested, what a recogniser hears of it, and an encoder."""
    folder = tmp_path_factory.mktemp("words")
    fixture_encoders.place(folder)
    rows = [
        {"dialogue": dialogue, "utterance": f"{dialogue}{place}", "text": words}
        for dialogue in ("a", "b")
        for place, words in enumerate(GIVEN)
    ]
    artefacts.save_table(folder / "0.parquet", pl.DataFrame(rows))
    told = pl.DataFrame(rows[: len(GIVEN)]).with_columns(
        text=pl.Series(HEARD), words_confidence=pl.Series(SURE, dtype=pl.Float32), words=pl.lit("recognised")
    )
    artefacts.save_table(folder / "heard.parquet", told)
    artefacts.save_table(
        folder / "splits.parquet", pl.DataFrame({"dialogue": ["a", "b"], "split": ["test", "train"]})
    )
    name = fixture_encoders.NAMES["text"].replace("/", "--")
    (folder / "encoder").symlink_to(folder / "weights" / name / fixture_encoders.REVISION)
    return folder


def common(world):
    return {
        "shard": world / "0.parquet",
        "encoder": world / "encoder",
        "splits": [world / "splits.parquet"],
    }


def encoded(world, out, **settings):
    """The features by condition, and the index, of the tested dialogue."""
    paths = {"features": out / "f.safetensors", "index": out / "f.parquet"}
    params = word_sources.Params(
        **{"device": "cpu", "words": ALL, "unreliable": UnreliableSettings(errors=(0.5,)), **settings}
    )
    word_sources.run(params, heard=[world / "heard.parquet"], **common(world), **paths)
    return artefacts.load_tensors(paths["features"]), artefacts.load_table(paths["index"])


def test_every_source_is_encoded_and_its_word_error_rate_is_known(world, tmp_path):
    arrays, index = encoded(world, tmp_path)
    names = ["words/given", "words/recognised", "words/misheard/0.5", "words/none"]
    assert index["condition"].unique(maintain_order=True).to_list() == names
    by_name = {name: index.filter(condition=name) for name in names}
    heard = by_name["words/recognised"]
    assert heard["reason"].to_list() == [None, None, "asr_unsure", None, "no_text"]
    # of 6 words one is lost; of 6 (a dash is none) one is changed and one added; the unsure one is right
    assert heard["realised"].to_list() == pytest.approx([1 / 6, 2 / 6, 0, None, 1])
    assert heard["of"].to_list() == [6, 6, 1, None, 3]
    assert by_name["words/given"]["realised"].to_list() == [0, 0, 0, None, 0]
    assert by_name["words/none"]["reason"].to_list() == ["no_text"] * 5
    assert by_name["words/none"]["realised"].null_count() == 5
    # given words are what the stage text makes of them, and mistaken ones are those of P5
    plain = {name: tmp_path / f"plain.{name}" for name in ("safetensors", "parquet")}
    text.run(
        text.Params(device="cpu"),
        shard=world / "0.parquet",
        encoder=world / "encoder",
        features=plain["safetensors"],
        index=plain["parquet"],
    )
    clean = artefacts.load_tensors(plain["safetensors"])["pooled"][:5]
    assert np.allclose(arrays["words/given"], clean, atol=1e-5)
    assert np.allclose(arrays["words/recognised"][2:3], 0) and not arrays["words/none"].any()
    degraded_text.run(
        degraded_text.Params(device="cpu", unreliable=UnreliableSettings(kinds=("misheard",), errors=(0.5,))),
        shard=world / "0.parquet",
        splits=[world / "splits.parquet"],
        encoder=world / "encoder",
        features=plain["safetensors"],
        index=plain["parquet"],
    )
    p5 = artefacts.load_tensors(plain["safetensors"])["unreliable/misheard/0.5"]
    assert np.allclose(arrays["words/misheard/0.5"], p5, atol=1e-5)


def test_given_words_are_always_there_and_others_only_if_asked_for(world, tmp_path):
    _, index = encoded(world, tmp_path, words=("none",))
    assert index["condition"].unique(maintain_order=True).to_list() == ["words/given", "words/none"]


@pytest.mark.fault("artefacts", "recognised words are compared, and there are none", "names what makes them")
def test_recognised_words_that_are_not_there_are_an_error(world, tmp_path):
    out = {"features": tmp_path / "f.safetensors", "index": tmp_path / "f.parquet"}
    for own in ({"words": ("recognised",)}, {"text": "recognised"}):
        with pytest.raises(PipelineError, match=r"--heard names none.* the stage recognised"):
            word_sources.run(word_sources.Params(device="cpu", **own), **common(world), **out)


@pytest.mark.fault("config", "other words of a corpus whose features are given", "refused before any job")
def test_given_features_have_no_other_words():
    with pytest.raises(ValueError, match=r"protocol\.words: other words go through the encoder"):
        Config.model_validate(
            {"corpus": {"name": "features", "folder": "x"}, "protocol": {"words": ["none"]}}
        )


def lay_out(fold):
    """Other words of a fold in two shards: the dataset's own, some that are moved, and none."""
    rng = np.random.default_rng(5)
    table = artefacts.load_table(fold / "dataset" / "utterances.parquet")
    arrays = artefacts.load_tensors(fold / "dataset" / "features.safetensors")
    for name, width in DIMENSIONS.items():
        arrays |= fit(rng.standard_normal((40, width)).astype(np.float32), np.ones(40, bool)).arrays(name)
    artefacts.save_tensors(fold / "dataset" / "features.safetensors", arrays)
    raw = arrays["text"] * arrays["text_scale"] + arrays["text_mean"]
    test = table.filter(pl.col("split") == "test")
    conditions = [Condition("words", kind=kind) for kind in ("given", "recognised", "none")]
    paths = []
    for shard in range(2):
        own = test.filter(pl.int_range(pl.len()) % 2 == shard)
        part = DegradedTable(own["utterance"].to_list(), conditions, DIMENSIONS["text"])
        for row, name in own.select("row", "utterance").iter_rows():
            for condition, moved in zip(conditions, (0, 3, None), strict=True):
                if moved is None or not arrays["available"][row, 0]:
                    part.absent_under(condition, name, "no_text")
                    continue
                part.parts[condition].add(name, (raw[[row]] + moved).astype(np.float32))
                # two utterances in three have one word that is right, the others three of which one is wrong
                part.realised[condition][name] = (row % 3 == 0) / 3 if moved else 0.0
                part.of[condition][name] = 3 if row % 3 == 0 else 1
        paths.append(fold / "words" / f"{shard}.safetensors")
        part.save(paths[-1], paths[-1].with_suffix(".parquet"))
    made = fold / "protocol" / "unreliable.safetensors"
    unreliable.run(
        unreliable.Params(),
        dataset=fold / "dataset",
        **{"text": [], "audio": [], "visual": []},
        words=paths,
        features=made,
        levels=made.with_suffix(".parquet"),
    )
    return made


@pytest.mark.slow
def test_the_same_networks_are_asked_and_stand_side_by_side(tmp_path):
    fold = tmp_path / "main"
    dataset = write_dataset(fold / "dataset", dialogues=30)
    drawn = dict(zip(("masks", "conflicts"), write_protocol(fold), strict=True))
    made = lay_out(fold)
    predictions = []
    for variant in ("teacher", "corekd"):
        write_network(fold / variant / "0", len(LABELS))
        predictions.append(fold / "predictions" / variant / "0.parquet")
        evaluate.run(
            evaluate.Params(device="cpu", oracle=False),
            dataset=dataset,
            **drawn,
            unreliable=[made],
            weights=fold / variant / "0" / "weights.safetensors",
            epochs=fold / variant / "0" / "epochs.safetensors",
            predictions=predictions[-1],
        )
    said = artefacts.load_table(predictions[1])

    def answers(name):
        return np.array(said.filter(condition=name).sort("row")["probabilities"].to_list())

    # the given words are the complete view, and none is the view without text
    assert np.allclose(answers("words/given"), answers("complete"), atol=1e-5)
    assert np.array_equal(answers("words/none"), answers("fixed/av"))
    assert not np.allclose(answers("words/recognised"), answers("complete"), atol=1e-3)

    results = tmp_path / "results"
    judged = {name: results / f"{name}.parquet" for name in ("scores", "comparisons")}
    many = {name: [path] for name, path in {"dataset": dataset, **drawn, "unreliable": made}.items()}
    report = scored_run.REPORT
    scores.run(
        scores.Params(report=report), **many, predictions=predictions, simple=[], ceilings=[], **judged
    )
    read = Results(*(artefacts.load_table(path) for path in judged.values()))
    metric = report.main("classification")
    heard, none = Condition("words", kind="recognised"), Condition("words", kind="none")
    for condition, other in ((heard, COMPLETE), (none, COMPLETE)):
        gap = read.difference("corekd", "given", condition, metric)
        scored = [read.score("corekd", one, metric).mean for one in (condition, other)]
        assert gap.mean == pytest.approx(scored[0] - scored[1], abs=1e-6) and gap.low <= gap.mean <= gap.high
    # words are counted, not utterances
    test = artefacts.load_table(dataset / "utterances.parquet").filter(split="test")
    there = (
        artefacts.load_tensors(dataset / "features.safetensors")["available"][test["row"].to_numpy(), 0] > 0
    )
    long = (test["row"].to_numpy() % 3 == 0)[there]
    assert read.realised(heard) == pytest.approx(long.sum() / np.where(long, 3, 1).sum())
    assert read.realised(none) is None
    assert (read.read(heard), read.read(none)) == (pytest.approx(there.mean()), 0)
    # their mean says nothing, so it is nowhere
    assert not [name for name in read.conditions if str(name) == "words/mean"]
    assert "words/mean" not in set(read.comparisons["condition"])

    spans = {"start": pl.lit(0.0), "end": pl.lit(1.0), "text": pl.lit("word")}
    manifest = tmp_path / "manifest.parquet"
    names = artefacts.load_table(dataset / "utterances.parquet", ["utterance"])
    artefacts.save_table(manifest, names.with_columns(**spans))
    tables.run(
        tables.Params(report=report),
        facts=dataset / "facts.json",
        **judged,
        dataset=[dataset],
        masks=many["masks"],
        manifest=manifest,
        folder=results / "tables",
    )
    page = (results / "tables" / "words.md").read_text().splitlines()
    rows = [line.split("|")[1].strip() for line in page if line.startswith("|")]
    assert [row for row in rows[2:] if row] == [
        *("given", "recognised", "– minus given", "none", "– minus given"),
    ]
    assert "no recogniser" not in "\n".join(page)
    assert not (results / "tables" / "unreliable.md").exists()
    assert "words" not in (results / "tables" / "metrics.csv").read_text()
    explorer.run(
        explorer.Params(),
        **many,
        predictions=predictions,
        manifest=manifest,
        template=ROOT / "pipeline" / "reporting" / "explorer.html",
        page=results / "explorer.html",
    )
    shown = (results / "explorer.html").read_text()
    assert "words: recognised" in shown and "Measured, on average: word error rate" in shown


@pytest.mark.long
def test_one_run_on_the_embedded_corpus_has_the_table(tmp_path):
    folder = copy_project(tmp_path / "project")
    words = {"protocol": {"words": ["given", "misheard", "none"]}, "unreliable": {"errors": [0.3]}}
    trained = {"compare": ["modality_dropout"], "report": {"resamples": 300, "reference": "modality_dropout"}}
    write_overlay(folder, SMALL | words | trained)
    target = f"runs/small/results/tables/{STAMP}"
    snakemake(folder, "--cores", "2", target, "--configfile", "small.json")
    page = (folder / "runs/small/results/tables/words.md").read_text()
    assert "| misheard 0.3 |" in page and "misheard is no recogniser: a stated confusion model" in page
    scored = pl.read_parquet(folder / "runs/small/results/scores.parquet")
    for variant in ("teacher", "modality_dropout"):
        values = scored.filter(variant=variant, checkpoint="selected", metric="weighted_f1")
        by_seed = {
            name: values.filter(condition=name).sort("seed")["value"].to_list()
            for name in ("complete", "words/given", "fixed/av", "words/none", "words/misheard/0.3")
        }
        assert by_seed["words/given"] == pytest.approx(by_seed["complete"], abs=1e-6)
        assert by_seed["words/none"] == pytest.approx(by_seed["fixed/av"], abs=1e-6)
        assert len(by_seed["words/misheard/0.3"]) == 2
