"""Every corpus end to end: its fixture tree through features, teacher, student and tables, by Snakemake."""

from pathlib import Path

import fixture_encoders
import fixture_trees as trees
import numpy as np
import polars as pl
import pytest
from films import write
from spoken import CLEAR, RATE, TINY, place_recogniser, speech, word_errors
from workflow import copy_project, snakemake, write_overlay

from pipeline.core import artefacts
from pipeline.core.origins import STAMP

pytestmark = pytest.mark.slow

RUN = {
    "run": "small",
    "seeds": [0],
    "compare": ["corekd"],
    "encoders": fixture_encoders.SETTINGS,
    "faces": {"min_face": 24, "rate": 2, "choice": "largest"},
    "training": {"epochs": 2, "batch": 4},
    "report": {"resamples": 150},
}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("encoders")
    fixture_encoders.place(folder)
    return folder / "weights"


TABLES = f"runs/small/results/tables/{STAMP}"


def through(folder: Path, encoders: Path, corpus: dict, *targets: str, **more: dict) -> Path:
    """Run the whole road on one corpus, or up to the targets; the folder of the run.

    The pages beside the tables differ by task, folds and media: one run of each kind draws them.
    """
    project = copy_project(folder / "project")
    (project / "weights").symlink_to(encoders)
    write_overlay(project, RUN | {"corpus": {"counts": "report", "shards": 1} | corpus} | more)
    snakemake(project, "--cores", "2", *targets, "--configfile", "small.json")
    return project / "runs" / "small"


def check_results(run: Path, fold: str = "main") -> dict:
    """Tables and scores are there and finite; returns the dataset's facts."""
    assert list((run / "results" / "tables").glob("*.md"))
    scores = pl.read_parquet(run / "results" / "scores.parquet")
    assert {"teacher", "corekd"} <= set(scores["variant"])
    for variant in ("teacher", "corekd"):
        complete = scores.filter(variant=variant, condition="complete", fold=fold)
        assert complete.height
        assert complete["value"].is_finite().all(), complete
        assert complete["value"].null_count() == 0
    return artefacts.load_json(run / fold / "dataset" / "facts.json")


def reasons(run: Path, modality: str, fold: str = "main") -> set[str]:
    table = artefacts.load_table(run / fold / "dataset" / "utterances.parquet")
    return set(table[f"reason_{modality}"].drop_nulls())


def test_iemocap(tmp_path, encoders):
    trees.iemocap(tmp_path)
    corpus = {"name": "iemocap", "folder": str(tmp_path / "IEMOCAP_full_release"), "validation": 0.3}
    run = through(tmp_path, encoders, corpus | {"folds": ["session2", "session5"]})
    facts = check_results(run, "session2")
    assert facts["labels"] == ["happy", "sad", "neutral", "angry"]
    # the first video of session 3 is missing: sound and picture of three turns, in whichever split they are
    for fold in ("session2", "session5"):
        absent = check_results(run, fold)["absent"]
        assert sum(counts["audio"].get("file_missing", 0) for counts in absent.values()) == 3
        assert absent["test"]["audio"] == absent["test"]["visual"] == {}


def test_meld(tmp_path, encoders):
    trees.meld(tmp_path / "meld", dialogues=3)
    corpus = {"name": "meld", "folder": str(tmp_path / "meld"), "meld": {"longest": 2.5}}
    facts = check_results(run := through(tmp_path, encoders, corpus, TABLES))
    assert facts["absent"]["train"]["audio"] == {"file_missing": 1, "undecodable": 1}
    assert facts["absent"]["val"]["audio"] == {"wrong_cut": 1}
    assert reasons(run, "visual") == {"file_missing", "undecodable", "wrong_cut", "no_face"}
    assert facts["absent"]["train"]["text"] == {}


def test_mosei(tmp_path, encoders):
    base = trees.mosei(tmp_path / "mosei")
    corpus = {"name": "mosei", "folder": str(base), "mosei": {"folds": trees.pinned(base / "folds.json")}}
    facts = check_results(run := through(tmp_path, encoders, corpus))
    assert facts["task"] == "regression"
    assert facts["absent"]["test"]["audio"] == {"file_missing": 3}
    assert pl.read_parquet(run / "main" / "dataset" / "utterances.parquet")["dialogue"].is_unique().all()


def test_folder(tmp_path, encoders):
    base = trees.own_folder(tmp_path / "videos", dialogues=8)
    trees.write_clip(base / "mute.mp4", sound=False)
    trees.write_text(base / "mute.csv", trees.CUES)
    unreliable = {"kinds": ["babble", "mouth", "misheard", "timing"], "snr": [5], "strengths": [3]}
    corpus = {"name": "folder", "folder": str(base)}
    run = through(
        tmp_path,
        encoders,
        corpus,
        *(TABLES, "runs/small/results/explorer.html"),
        unreliable=unreliable | {"errors": [0.5], "shifts": [0.2], "examples": 1},
        compare=["corekd", "corekd_trust"],
        report={"resamples": 250},  # enough to tell two variants apart
    )
    assert check_results(run)["labels"] == ["anger", "joy"]
    assert "no_audio_track" in reasons(run, "audio")
    # unreliable media: what was measured of the real files stands in the table
    levels = artefacts.load_table(run / "main" / "protocol" / "unreliable.parquet")
    test = artefacts.load_table(run / "main" / "dataset" / "utterances.parquet").filter(split="test")
    assert levels.height == 4 * test.height
    heard = levels.filter(pl.col("condition") == "unreliable/babble/5", pl.col("available"))
    assert heard.height and heard["realised"].to_list() == pytest.approx([5.0] * heard.height, abs=0.1)
    page = (run / "results" / "tables" / "unreliable.md").read_text()
    assert all(name in page for name in ("babble 5", "mouth 3", "misheard 0.5", "timing 0.2"))
    assert "followed" in page
    harm = (run / "results" / "tables" / "unreliable_harm.md").read_text()
    assert "CoRe-KD trust" in harm and "– minus CoRe-KD" in harm
    # what the page plays, shows and says of one of them
    ((name, own),) = artefacts.load_json(run / "results" / "examples.json").items()
    row = test.row(by_predicate=pl.col("utterance") == name, named=True)
    assert own.keys() == {one for one in ("text", "audio", "visual") if row[f"reason_{one}"] is None}
    sound = {"complete", "unreliable/babble/5", "unreliable/timing/0.2"}
    assert own["text"]["complete"] and set(own.get("audio", sound)) == sound
    assert f'"{name}": {{"' in (run / "results" / "explorer.html").read_text()


def test_features(tmp_path, encoders):
    count = 48
    index = "utterance,dialogue,label\n" + "".join(
        f"u{n},d{n // 4},{'yes' if n % 3 else 'no'}\n" for n in range(count)
    )
    draw = np.random.default_rng(0)
    arrays = {
        "text": {"pooled": draw.normal(size=(count, 5))},
        "audio": {"pooled": draw.normal(size=(count, 3)), "available": np.arange(count) % 5 > 0},
    }
    base = trees.features(tmp_path / "given", index, arrays)
    run = through(tmp_path, encoders, {"name": "features", "folder": str(base)})
    facts = check_results(run)
    assert facts["dimensions"] == {"text": 5, "audio": 3, "visual": 1}
    assert reasons(run, "audio") == reasons(run, "visual") == {"not_given"}


def through_spoken(folder, encoders, *targets, **more):
    """A folder of three films, one of them without a transcript, up to the targets, and where sentences are.

    The transcripts of the others are all wrong. Recognised words are read, and a time table labels them.
    """
    wave, spans = speech(CLEAR[:2])
    (folder / "own").mkdir()
    splits = {"bare": "train", "more": "val", "talk": "test"}
    for name in splits:
        write(folder / f"own/{name}.mp4", 2, wave, RATE)
    cues = "".join(f"{start},{end},Ann,Wrong\n" for start, end in spans)
    for name in ("more", "talk"):
        trees.write_text(folder / f"own/{name}.csv", f"start,end,speaker,text\n{cues}")
    edge, end = (spans[0][1] + spans[1][0]) / 2, len(wave) / RATE
    rows = [f"{name},0,{edge},joy,{own}\n{name},{edge},{end},anger,{own}\n" for name, own in splits.items()]
    trees.write_text(folder / "own/labels.csv", "file,start,end,label,split\n" + "".join(rows))
    (folder / "weights").mkdir()
    for placed in encoders.iterdir():
        (folder / "weights" / placed.name).symlink_to(placed)
    place_recogniser(folder)
    own = {"untranscribed": "recognised", "time_table": "labels.csv"}
    run = through(
        folder,
        folder / "weights",
        {"name": "folder", "folder": str(folder / "own"), "text": "recognised", "own": own},
        *targets,
        protocol={"words": ["given", "recognised", "none"]},
        recognition={"weights": {"name": TINY.name, "revision": TINY.revision, "files": {"model.bin": ""}}},
        device="cpu",
        **more,
    )
    return run, spans


def test_words_may_be_recognised_with_and_without_a_transcript(tmp_path, encoders):
    targets = [f"runs/small/features/{name}/0.parquet" for name in ("text", "words")]
    run, spans = through_spoken(tmp_path, encoders, *targets)
    rows = artefacts.load_table(run / "manifest.parquet")
    assert rows["words"].to_list() == ["recognised"] * 2 + ["given"] * 4
    assert rows["text"].to_list()[2:] == ["Wrong"] * 4
    assert rows["start"].to_list()[:2] == pytest.approx([start for start, _ in spans], abs=0.25)
    # nobody knows the times of sentences that are yet to be recognised: a table labels stretches
    assert rows["label"].to_list() == [1, 0] * 3 and rows["split"].to_list()[::2] == ["train", "val", "test"]
    told = artefacts.load_table(run / "recognised/0.parquet")
    said = [rows["text"][:2], told["text"][2:4], told["text"][4:]]
    assert all(word_errors(" ".join(CLEAR[:2]), " ".join(texts)) <= 0.1 for texts in said)
    assert artefacts.load_table(run / "features/text/0.parquet")["available"].all()
    index = artefacts.load_table(run / "features/words/0.parquet")
    rates = index.group_by("condition").agg(pl.col("realised").mean(), pl.col("available").mean())
    found = {name: (rate, share) for name, rate, share in rates.iter_rows()}
    assert found["words/given"] == (0, 1) and found["words/none"] == (None, 0)
    # the one given word of each sentence is wrong, and so are some seven that are heard
    assert found["words/recognised"][0] >= 5 and found["words/recognised"][1] == 1


@pytest.mark.long
def test_given_recognised_and_no_words_of_real_speech_stand_in_one_table(tmp_path, encoders):
    report = {"resamples": 150, "reference": "modality_dropout"}
    heard = {"kinds": ["heard"], "heard": [60, -10]}
    more = {"compare": ["modality_dropout"], "report": report, "unreliable": heard}
    run, _ = through_spoken(tmp_path, encoders, TABLES, **more)
    scores = pl.read_parquet(run / "results/scores.parquet").filter(checkpoint="selected")
    realised = scores.filter(metric="realised")
    rates = dict(realised.select("condition", "value").iter_rows())
    assert rates["words/given"] == 0 and rates["words/recognised"] >= 5
    own = scores.filter(variant="modality_dropout", metric="accuracy")
    scored = dict(own.select("condition", "value").iter_rows())
    # recognised words are what it has learnt from
    assert scored["words/recognised"] == scored["complete"]
    page = (run / "results/tables/words.md").read_text()
    assert all(f"| {name} |" in page for name in ("given", "recognised", "none"))
    # P5 by the same recogniser: with hardly any noise it hears what it did, under much noise next to nothing
    degraded = pl.read_parquet(run / "main/protocol/unreliable.parquet")
    wrong = dict(degraded.group_by("condition").agg(pl.col("realised").mean()).iter_rows())
    assert wrong["unreliable/heard/60"] < 0.2
    assert wrong["unreliable/heard/-10"] > 0.6
