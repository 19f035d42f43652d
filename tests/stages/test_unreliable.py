"""P5 from degraded features to tables: laid out by fold, asked of networks, scored beside the other views."""

import numpy as np
import polars as pl
import pytest
import scored_run
from browser import open_browser, severe
from protocol_fakes import DIMENSIONS, LABELS, write_dataset, write_network, write_protocol
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait
from workflow import ROOT

from models.conditions import COMPLETE, Condition
from models.modalities import MODALITIES
from pipeline import evaluate, explorer, figures, scores, simple, tables, unreliable
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.evaluation import families
from pipeline.evaluation.degraded import letter, missing
from pipeline.evaluation.protocol import Frozen
from pipeline.evaluation.results import Results
from pipeline.extraction.degraded import DegradedTable, asked
from pipeline.reporting.embedded_media import jpeg, opus
from pipeline.reporting.explorer_page import level_of
from pipeline.settings.unreliable import UnreliableSettings
from pipeline.training.normalisation import fit

SETTINGS = UnreliableSettings(
    kinds=("noise", "mouth", "misheard", "heard"), snr=(10, 0), strengths=(1, 3), errors=(0.3,), heard=(5,)
)
NAMES = [
    *("unreliable/noise/10", "unreliable/noise/0"),
    *("unreliable/mouth/1", "unreliable/mouth/3", "unreliable/misheard/0.3", "unreliable/heard/5"),
]


def write_degraded(fold, dataset_rng=5, moved=2.0, absent=True):
    """Degraded features of a fold in two shards: those of the dataset, moved further at each level."""
    rng = np.random.default_rng(dataset_rng)
    table = artefacts.load_table(fold / "dataset" / "utterances.parquet")
    arrays = artefacts.load_tensors(fold / "dataset" / "features.safetensors")
    for name, width in DIMENSIONS.items():
        seen = rng.standard_normal((40, width)).astype(np.float32)
        arrays |= fit(seen, np.ones(40, bool)).arrays(name)
    artefacts.save_tensors(fold / "dataset" / "features.safetensors", arrays)
    test = table.filter(pl.col("split") == "test")
    paths, raw = {name: [] for name in MODALITIES}, {}
    for name in MODALITIES:
        conditions = asked(SETTINGS, name)
        for shard in range(2):
            own = test["utterance"].to_list()[shard::2][::-1]  # in another order than the dataset's
            part = DegradedTable(own, list(conditions), DIMENSIONS[name])
            for place, condition in enumerate(conditions):
                for utterance in own:
                    if absent and utterance == test["utterance"][1]:
                        part.parts[condition].absent(utterance, "silent")
                        continue
                    vector = rng.standard_normal((1, DIMENSIONS[name])) + moved * (place + 1)
                    raw[str(condition), utterance] = vector[0].astype(np.float32)
                    part.parts[condition].add(utterance, vector.astype(np.float32))
                    part.realised[condition][utterance] = 1.0 + place
            path = fold / "degraded" / name / f"{shard}.safetensors"
            part.save(path, path.with_suffix(".parquet"))
            paths[name].append(path)
    return paths, raw


def lay_out(fold, paths):
    made = fold / "protocol" / "unreliable.safetensors"
    unreliable.run(
        unreliable.Params(),
        dataset=fold / "dataset",
        **paths,
        features=made,
        levels=made.with_suffix(".parquet"),
    )
    return made


@pytest.fixture
def fold(tmp_path):
    write_dataset(tmp_path / "main" / "dataset", dialogues=15)
    write_protocol(tmp_path / "main", draws=1)
    return tmp_path / "main"


def as_it_is(made, dataset):
    """Let the mildest noise be none: the features of the dataset."""
    arrays, facts = artefacts.load_tensors(made), artefacts.load_metadata(made)
    known = artefacts.load_tensors(dataset / "features.safetensors")
    arrays[NAMES[0]] = known["audio"][arrays["rows"]]
    arrays["available"][0] = known["available"][arrays["rows"], MODALITIES.index("audio")]
    artefacts.save_tensors(made, arrays, facts)


def frozen_of(fold, *made) -> Frozen:
    shown, pairs = (fold / "protocol" / name for name in ("masks.safetensors", "conflicts.parquet"))
    return Frozen.load(fold / "dataset", shown, pairs, *made)


def test_without_degraded_media_there_is_no_condition_of_them(fold):
    assert not any(view.condition.family == "unreliable" for view in families.views(frozen_of(fold)))


def test_nothing_is_asked_for_by_default():
    assert not any(asked(UnreliableSettings(), name) for name in MODALITIES)
    found = [str(name) for modality in ("audio", "visual", "text") for name in asked(SETTINGS, modality)]
    assert found == NAMES


def test_a_view_changes_one_modality_of_the_test_split_alone(fold):
    paths, raw = write_degraded(fold)
    frozen = frozen_of(fold, lay_out(fold, paths))
    views = [view for view in families.views(frozen) if view.condition.family == "unreliable"]
    assert [str(view.condition) for view in views] == NAMES
    known = artefacts.load_tensors(fold / "dataset" / "features.safetensors")
    table = artefacts.load_table(fold / "dataset" / "utterances.parquet")
    test = (table["split"] == "test").to_numpy()
    lost = table["utterance"].to_list().index(table.filter(split="test")["utterance"][1])
    for view in views:
        (modality,) = view.features
        column = MODALITIES.index(modality)
        assert letter(view.condition) == modality[0] and len(view.features) == 1
        features = view.features[modality]
        assert np.array_equal(features[~test], known[modality][~test])
        others = [place for place in range(3) if place != column]
        assert np.array_equal(view.shown[:, others], frozen.available[:, others])
        wanted = frozen.available[:, column].copy()
        wanted[lost] = False
        assert np.array_equal(view.shown[:, column], wanted) and not features[lost].any()
        for row in np.flatnonzero(test):
            vector = raw.get((str(view.condition), table["utterance"][int(row)]))
            if vector is not None:
                mean, scale = known[f"{modality}_mean"], known[f"{modality}_scale"]
                assert np.allclose(features[row], (vector - mean) / scale, atol=1e-5)
        with pytest.raises(KeyError):
            view.features[MODALITIES[others[0]]]
    levels = artefacts.load_table(fold / "protocol" / "unreliable.parquet")
    assert levels["condition"].unique(maintain_order=True).to_list() == NAMES
    assert levels.filter(pl.col("reason") == "silent")["row"].unique().to_list() == [lost]
    assert dict(zip(NAMES, frozen.degraded.realised.values(), strict=True))["unreliable/noise/0"] == 2.0


def test_the_missing_view_of_a_condition_lacks_its_modality():
    wanted = {"noise": "tv", "mouth": "at", "misheard": "av", "timing": "tv"}
    for kind, letters in wanted.items():
        assert missing(Condition("unreliable", kind=kind, level="1")) == Condition.fixed(letters)


@pytest.mark.fault(
    "artefacts", "degraded features of other utterances or of other encoders", "an error names the files"
)
def test_features_that_do_not_fit_are_an_error(fold):
    paths, _ = write_degraded(fold)
    with pytest.raises(PipelineError, match=r"noise/10 lacks a test utterance"):
        lay_out(fold, paths | {"audio": paths["audio"][:1]})
    with pytest.raises(PipelineError, match=r"degraded.audio: a shard has no features of unreliable/noise/0"):
        path = paths["audio"][1]
        arrays, facts = artefacts.load_tensors(path), artefacts.load_metadata(path)
        arrays.pop("unreliable/noise/0")
        artefacts.save_tensors(path, arrays, facts)
        lay_out(fold, paths)
    with pytest.raises(
        PipelineError, match=r"3 features, the dataset has 4\. Rerun the stage degraded_audio"
    ):
        lay_out(fold, paths | {"audio": paths["visual"]})


@pytest.mark.fault(
    "artefacts", "unreliable.safetensors of another dataset", "an error names the file and its stage"
)
def test_degraded_features_of_another_dataset_are_an_error(fold):
    paths, _ = write_degraded(fold)
    made = lay_out(fold, paths)
    write_dataset(fold / "dataset", dialogues=18)
    write_protocol(fold)
    with pytest.raises(PipelineError, match=r"unreliable.safetensors: its rows are not those"):
        frozen_of(fold, made)


@pytest.mark.parametrize(
    ("known", "said"),
    [([1e-11, 2e-11], "0"), ([-3e-12], "0"), ([0.0282], "0.0282"), ([21.951, 21.953], "22")],
)
def test_measured_levels_are_said_in_three_digits(known, said):
    assert level_of(known) == said


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_it_is_predicted_scored_and_shown(tmp_path, task):
    fold = tmp_path / "main"
    dataset = write_dataset(fold / "dataset", dialogues=30, task=task)
    drawn = dict(zip(("masks", "conflicts"), write_protocol(fold), strict=True))
    paths, _ = write_degraded(fold, moved=0.0)
    made = lay_out(fold, paths)
    as_it_is(made, dataset)
    predictions = []
    for seed, variant in enumerate(("teacher", "corekd")):
        network = fold / variant / "0"
        write_network(network, len(LABELS) if task == "classification" else 1)
        predictions.append(fold / "predictions" / variant / "0.parquet")
        evaluate.run(
            evaluate.Params(device="cpu"),
            dataset=dataset,
            **drawn,
            unreliable=[made],
            weights=network / "weights.safetensors",
            epochs=network / "epochs.safetensors",
            predictions=predictions[seed],
        )
    simple.run(simple.Params(), dataset=dataset, **drawn, unreliable=[made], simple=fold / "simple.parquet")
    for path in (*predictions, fold / "simple.parquet"):
        assert set(NAMES) <= set(artefacts.load_table(path)["condition"])

    results = tmp_path / "results"
    judged = {name: results / f"{name}.parquet" for name in ("scores", "comparisons")}
    many = {name: [path] for name, path in {"dataset": dataset, **drawn, "unreliable": made}.items()}
    report = scored_run.REPORT
    scores.run(
        scores.Params(report=report),
        **many,
        predictions=predictions,
        simple=[fold / "simple.parquet"],
        ceilings=[],
        **judged,
    )
    read = Results(*(artefacts.load_table(path) for path in judged.values()))
    metric = report.main(task)
    noisy = Condition.parse("unreliable/noise/0")
    assert read.realised(noisy) == 2.0
    for other, view in (("complete", COMPLETE), ("missing", Condition.fixed("tv"))):
        gap = read.difference("corekd", other, noisy, metric)
        scored = [read.score("corekd", one, metric).mean for one in (noisy, view)]
        assert gap.mean == pytest.approx(scored[0] - scored[1]) and gap.low <= gap.mean <= gap.high
    mild = read.difference("corekd", "mildest", noisy, metric)
    assert mild.mean == pytest.approx(
        read.score("corekd", noisy, metric).mean
        - read.score("corekd", Condition.parse("unreliable/noise/10"), metric).mean
    )
    mean = Condition.parse("unreliable/mean")
    harms = {name: read.difference(name, "missing", noisy, metric).mean for name in ("corekd", "teacher")}
    less = read.difference("teacher", "reference_harm", noisy, metric)
    assert less.mean == pytest.approx(harms["teacher"] - harms["corekd"])
    assert (
        less.low <= less.mean <= less.high
        and read.difference("corekd", "reference_harm", noisy, metric) is None
    )
    every = [read.difference("corekd", "missing", Condition.parse(name), metric).mean for name in NAMES]
    assert read.difference("corekd", "missing", mean, metric).mean == pytest.approx(np.mean(every))
    own = read.comparisons.filter(pl.col("other").is_in(["missing", "reference_harm"]))
    assert len(own) and own["p"].null_count() == own["p_holm"].null_count() == len(own)
    said = artefacts.load_table(predictions[1]).filter(checkpoint="selected")
    column = "probabilities" if task == "classification" else "score"
    answers = {name: said.filter(condition=name).sort("row") for name in ("complete", "unreliable/noise/0")}
    target = artefacts.load_table(dataset / "utterances.parquet")
    known = target.filter(pl.col("label" if task == "classification" else "score").is_not_null())["row"]
    taken = [
        [
            int(np.argmax(value)) if task == "classification" else value > 0
            for value in table.filter(pl.col("row").is_in(known.to_list()))[column].to_list()
        ]
        for table in answers.values()
    ]
    moved = np.mean([one != other for one, other in zip(*taken, strict=True)])
    assert read.score("corekd", noisy, "changed").mean == pytest.approx(moved)
    assert 0 <= read.score("corekd", noisy, "spoilt").mean <= 1
    follows(read, said, artefacts.load_table(fold / "simple.parquet"), known.to_list())

    names = artefacts.load_table(dataset / "utterances.parquet", ["utterance"])
    spans = {"start": pl.lit(0.0), "end": pl.lit(1.0), "text": pl.lit("word")}
    artefacts.save_table(tmp_path / "manifest.parquet", names.with_columns(**spans))
    shown = {"facts": dataset / "facts.json", **judged}
    manifest = tmp_path / "manifest.parquet"
    tables.run(
        tables.Params(report=report),
        **shown,
        dataset=[dataset],
        masks=many["masks"],
        manifest=manifest,
        folder=results / "tables",
    )
    page = (results / "tables" / "unreliable.md").read_text()
    assert "noise 10" in page and "mouth 3" in page and "SNR (dB), share of pixels" in page
    assert ("ece" in page) == (task == "classification")
    assert "worst level minus the same channel" in (results / "tables" / "unreliable_harm.md").read_text()
    assert "– minus CoRe-KD" in (results / "tables" / "unreliable_harm.md").read_text()
    assert "| mouth" in (results / "tables" / "unreliable_kinds.md").read_text()
    assert "noise" not in (results / "tables" / "bar.md").read_text()
    figures.run(figures.Params(report=report), **shown, folder=results / "protocol")
    assert (results / "protocol" / "unreliable.svg").is_file()
    explorer.run(
        explorer.Params(),
        **many,
        predictions=predictions,
        manifest=manifest,
        template=ROOT / "pipeline" / "reporting" / "explorer.html",
        page=results / "explorer.html",
    )
    text = (results / "explorer.html").read_text()
    assert "P5: noise 10" in text and '"degraded": "a"' in text
    assert "There is pink noise in the sound, at 10 dB. Nothing else is changed. Measured, on average" in text


@pytest.mark.slow
def test_the_page_plays_and_shows_what_was_degraded(tmp_path):
    browser = open_browser()
    try:
        fold = tmp_path / "main"
        dataset = write_dataset(fold / "dataset", dialogues=15)
        drawn = dict(zip(("masks", "conflicts"), write_protocol(fold, draws=1), strict=True))
        made = lay_out(fold, write_degraded(fold)[0])
        write_network(fold / "corekd" / "0", len(LABELS))
        predictions = fold / "predictions" / "corekd" / "0.parquet"
        evaluate.run(
            evaluate.Params(device="cpu", oracle=False),
            dataset=dataset,
            **drawn,
            unreliable=[made],
            weights=fold / "corekd" / "0" / "weights.safetensors",
            epochs=fold / "corekd" / "0" / "epochs.safetensors",
            predictions=predictions,
        )
        table = artefacts.load_table(dataset / "utterances.parquet")
        spans = {"start": pl.lit(0.0), "end": pl.lit(1.0), "text": pl.lit("word")}
        artefacts.save_table(tmp_path / "manifest.parquet", table.select("utterance", **spans))
        last = table.filter(split="test").sort("row")["utterance"][-1]
        tone = np.sin(np.arange(16_000) / 10).astype(np.float32)
        grey = np.full((48, 32, 3), 90, np.uint8)
        own = {
            "audio": {"complete": opus(tone, 16_000), NAMES[1]: opus(0.5 * tone, 16_000)},
            "visual": {"complete": jpeg(grey), NAMES[3]: jpeg(grey[:, :16])},
            "text": {"complete": "what was <said>", NAMES[4]: "watt was <sad>"},
        }
        artefacts.save_json(tmp_path / "examples.json", {last: own})
        page = tmp_path / "explorer.html"
        explorer.run(
            explorer.Params(),
            dataset=[dataset],
            **{name: [path] for name, path in drawn.items()},
            unreliable=[made],
            examples=[tmp_path / "examples.json"],
            predictions=[predictions],
            manifest=tmp_path / "manifest.parquet",
            template=ROOT / "pipeline" / "reporting" / "explorer.html",
            page=page,
        )
        browser.get(page.as_uri())
        wait = WebDriverWait(browser, 120)
        wait.until(lambda one: one.find_elements(By.CSS_SELECTOR, "#utterances tr"))
        place = browser.find_element(By.ID, "media")
        choose = Select(browser.find_element(By.ID, "condition")).select_by_visible_text

        def within(what):
            return place.find_elements(By.CSS_SELECTOR, what)

        assert not within("*")
        choose("P5: noise 0")
        (button,) = within("button")
        assert button.text == last and not within("audio")
        button.click()
        wait.until(lambda one: len(within("audio")) == 2)
        lasts = "return [...document.querySelectorAll('#media audio')].map(one => one.duration)"
        wait.until(lambda one: all(one.execute_script(lasts)))
        assert browser.execute_script(lasts) == pytest.approx([1.0, 1.0], abs=0.05)
        assert last in place.text and "P5: noise 0" in place.text and "as it is" in place.text
        choose("P5: mouth 3")
        sizes = "return [...document.querySelectorAll('#media img')].map(one => one.naturalWidth)"
        wait.until(lambda one: one.execute_script(sizes) == [32, 16])
        choose("P5: misheard 0.3")
        assert [one.text for one in within("q")] == ["what was <said>", "watt was <sad>"]
        choose("P5: heard 5")
        assert [one.text for one in within("q")] == ["what was <said>"] and "no words are read" in place.text
        # of this level nothing is left
        choose("P5: mouth 1")
        assert len(within("img")) == 1 and "nothing is left" in place.text
        choose("P1: complete")
        assert not within("*") and not severe(browser)
    finally:
        browser.quit()


def follows(read, said, without_network, known):
    """What the degraded channel alone is answered with, and the rate at which answers are the same."""
    column = "probabilities" if "probabilities" in said.columns else "score"
    for table, variant in (
        (said, "corekd"),
        (without_network.filter(variant="product_chain"), "product_chain"),
    ):
        taken = {
            name: own.sort("row").with_columns(
                answer=pl.col(column).list.arg_max()
                if column != "score"
                else (pl.col(column) > 0).cast(pl.Int16)
            )
            for (name,), own in table.partition_by("condition", as_dict=True).items()
        }
        assert taken["complete"]["alone"].null_count() == len(taken["complete"])
        # without any noise it is the answer of P2 where that has the channel, and the whole answer as it was
        clean = taken[NAMES[0]]
        told = clean["alone"].is_not_null()
        assert told.any() and clean["answer"].to_list() == taken["complete"]["answer"].to_list()
        assert clean["alone"].filter(told).to_list() == taken["fixed/a"]["answer"].filter(told).to_list()
        rows = pl.col("row").is_in(known)
        both = taken[NAMES[1]].with_columns(whole=taken["complete"]["answer"]).filter(rows)
        apart = both.filter(pl.col("alone") != pl.col("whole"))
        cell = read.cell(variant, Condition.parse(NAMES[1]), "followed")
        if not len(apart):
            assert cell is None
            continue
        assert cell.mean == pytest.approx((apart["answer"] == apart["alone"]).mean())
        if variant == "corekd":
            assert cell.low <= cell.mean <= cell.high


@pytest.mark.fault(
    "config", "unreliable media of a corpus whose features are given", "refused before any job"
)
def test_given_features_have_no_media_to_degrade():
    from pipeline.config import Config

    with pytest.raises(ValueError, match=r"unreliable\.kinds: media are degraded before the encoders"):
        Config.model_validate(
            {"corpus": {"name": "features", "folder": "x"}, "unreliable": {"kinds": ["noise"]}}
        )
