"""The stages that degrade media: level 0 is the clean stage's features, and nothing unasked changes."""

import base64
from io import BytesIO

import av
import cv2
import films
import fixture_encoders
import numpy as np
import polars as pl
import pytest

from models.conditions import Condition
from pipeline import audio, degraded_audio, degraded_text, degraded_visual, examples, gauges, text, visual
from pipeline.core import artefacts, media
from pipeline.core.errors import PipelineError
from pipeline.core.registries.degradations import gauges_of
from pipeline.core.registries.gauges import GAUGES, table_name
from pipeline.degradation import picture, sound, words
from pipeline.degradation.drawing import generator
from pipeline.extraction.degraded import DegradedTable
from pipeline.settings.unreliable import UnreliableSettings

SENTENCES = ("I never said that at all", "Well, what did you say then?", "Nothing", None)
KINDS = {"audio": ("noise", "timing", "babble"), "visual": ("mouth", "blur"), "text": ("misheard",)}
STAGES = {"audio": degraded_audio, "visual": degraded_visual, "text": degraded_text}
CLEAN = {"audio": audio, "visual": visual, "text": text}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders")
    fixture_encoders.place(folder)
    return {
        name: folder / "weights" / written.replace("/", "--") / fixture_encoders.REVISION
        for name, written in fixture_encoders.NAMES.items()
    }


def speech(seconds: float, seed: int) -> np.ndarray:
    wave = films.tone(seconds, 16_000, 180.0 + 40 * seed)
    loud = 0.2 + np.abs(np.sin(np.arange(len(wave)) / 3000 + seed))
    return (0.3 * wave * loud).astype(np.float32)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A shard of three dialogues, each a file of two seconds with four utterances; the last one trains."""
    folder = tmp_path_factory.mktemp("shard")
    rows = []
    for number in range(3):
        path = folder / f"d{number}.mp4"
        films.write(path, 50, speech(2.0, number), rate=16_000)
        rows += [
            {
                "dialogue": f"d{number}",
                "utterance": f"d{number}u{place}",
                "text": words,
                "media": str(path),
                "start": place * 0.5,
                "end": place * 0.5 + 0.45,
                "withheld": "wrong_cut" if (number, place) == (1, 2) else None,
            }
            for place, words in enumerate(SENTENCES)
        ]
    shard = folder / "0.parquet"
    types = {"start": pl.Float64, "end": pl.Float64, "withheld": pl.String, "text": pl.String}
    artefacts.save_table(shard, pl.DataFrame(rows, schema_overrides=types))
    splits = {"dialogue": ["d0", "d1", "d2"], "split": ["test", "val", "train"]}
    artefacts.save_table(folder / "a.parquet", pl.DataFrame(splits))
    # in another fold the second dialogue is tested
    artefacts.save_table(folder / "b.parquet", pl.DataFrame(splits | {"split": ["train", "test", "val"]}))
    rng = np.random.default_rng(0)
    counts = [0 if row["utterance"] == "d0u1" else 2 for row in rows]
    owners = [row["utterance"] for row, count in zip(rows, counts, strict=True) for _ in range(count)]
    crops = rng.integers(0, 256, (len(owners), 32, 32, 3), dtype=np.uint8)
    found = pl.DataFrame(
        {
            "utterance": [row["utterance"] for row in rows],
            "reason": [None if count else "no_face" for count in counts],
            "crops": pl.Series(counts, dtype=pl.Int32),
            "score": [0.1 * place if count else None for place, count in enumerate(counts)],
        }
    )
    artefacts.save_table(folder / "faces" / "utterances.parquet", found)
    artefacts.save_table(
        folder / "faces" / "crops.parquet",
        pl.DataFrame({"utterance": owners, "probability": np.linspace(0.5, 1, len(owners))}),
    )
    artefacts.save_tensors(folder / "faces" / "crops.safetensors", {"crops": crops})
    return folder


def degraded(world, encoders, modality, out, splits=("a", "b"), more=None, **settings):
    """Features by condition and utterance, and the index."""
    own = UnreliableSettings(**{"kinds": KINDS[modality], **settings})
    stage = STAGES[modality]
    paths = {"features": out / "f.safetensors", "index": out / "f.parquet"}
    faces = {"faces": world / "faces"} if modality == "visual" else {}
    stage.run(
        stage.Params(device="cpu", unreliable=own),
        shard=world / "0.parquet",
        splits=[world / f"{name}.parquet" for name in splits],
        **faces,
        encoder=encoders[modality],
        **paths,
        **(more or {}),
    )
    found = artefacts.load_tensors(paths["features"])
    own = {name: values for name, values in found.items() if not name.startswith("gauges/")}
    assert {f"gauges/{name}" for name in own} == found.keys() - own.keys()
    return own, artefacts.load_table(paths["index"])


def measured(world, out):
    """By modality and utterance what the stage gauges measures of the clean media."""
    gauges.run(
        gauges.Params(), shard=world / "0.parquet", faces=world / "faces", gauges=out / "gauges.parquet"
    )
    table = artefacts.load_table(out / "gauges.parquet")
    found = {}
    for name, columns in GAUGES.items():
        own = table.select(table_name(name, column) for column in columns)
        rows = own.fill_null(float("nan")).to_numpy()
        found[name] = dict(zip(table["utterance"], rows, strict=True))
    return found


def clean(world, encoders, modality, out):
    stage, faces = CLEAN[modality], {"faces": world / "faces"} if modality == "visual" else {}
    paths = {"features": out / "c.safetensors", "index": out / "c.parquet"}
    stage.run(
        stage.Params(device="cpu"),
        shard=world / "0.parquet",
        **faces,
        encoder=encoders[modality],
        **paths,
    )
    index = artefacts.load_table(paths["index"])
    return dict(
        zip(index["utterance"], artefacts.load_tensors(paths["features"])["pooled"], strict=True)
    ), index


TESTED = [f"d{number}u{place}" for number in range(2) for place in range(4)]


@pytest.mark.parametrize("modality", STAGES)
def test_level_0_is_the_clean_feature_bit_for_bit(world, encoders, modality, tmp_path, monkeypatch):
    none = {"noise": float("inf"), "babble": float("inf")}
    conditions = {
        Condition("unreliable", kind=kind, level="0"): (kind, none.get(kind, 0.0)) for kind in KINDS[modality]
    }
    monkeypatch.setattr(STAGES[modality], "asked", lambda settings, name: conditions)
    # every utterance, so that batches are those of the clean stage
    artefacts.save_table(
        world / "all.parquet", pl.DataFrame({"dialogue": ["d0", "d1", "d2"], "split": ["test"] * 3})
    )
    found, index = degraded(world, encoders, modality, tmp_path, splits=("all",))
    wanted, told = clean(world, encoders, modality, tmp_path)
    for condition in map(str, conditions):
        own = index.filter(condition=condition)
        assert own["utterance"].to_list() == list(wanted)
        assert own["reason"].to_list() == told["reason"].to_list()
        for name, vector in zip(own["utterance"], found[condition], strict=True):
            assert vector.tobytes() == wanted[name].tobytes(), name
    known = measured(world, tmp_path)[modality]
    stored = artefacts.load_tensors(tmp_path / "f.safetensors")
    for condition in conditions:
        for name, vector in zip(known, stored[gauges_of(condition)], strict=True):
            assert np.array_equal(vector, known[name], equal_nan=True), name


def test_what_is_degraded_is_measured_again(world, encoders, tmp_path):
    known = measured(world, tmp_path)
    moved = {("audio", "noise/0", "range"): -1, ("visual", "blur/3", "sharpness"): -1}
    moved |= {("visual", "mouth/3", "flat"): 1, ("text", "misheard/0.9", "words"): -1}
    for (modality, condition, column), sign in moved.items():
        degraded(world, encoders, modality, tmp_path, errors=(0.9,))
        stored = artefacts.load_tensors(tmp_path / "f.safetensors")[f"gauges/unreliable/{condition}"]
        place = GAUGES[modality].index(column)
        gaps = [row[place] - known[modality][name][place] for name, row in zip(TESTED, stored, strict=True)]
        gaps = [gap for gap in gaps if np.isfinite(gap)]
        assert gaps and np.sign(np.mean(gaps)) == sign
    # an absent slot has nothing that was measured
    index = artefacts.load_table(tmp_path / "f.parquet").filter(condition="unreliable/misheard/0.9")
    assert np.isnan(stored[~index["available"].to_numpy()]).all()


@pytest.mark.fault(
    "faces", "reliability of crops of another shard", "an error names the folder and the stage"
)
def test_reliability_is_not_measured_on_other_faces(world, tmp_path):
    rows = artefacts.load_table(world / "0.parquet")[1:]
    artefacts.save_table(tmp_path / "0.parquet", rows)
    with pytest.raises(PipelineError, match=r"faces: not the faces of .*0\.parquet"):
        gauges.run(
            gauges.Params(),
            shard=tmp_path / "0.parquet",
            faces=world / "faces",
            gauges=tmp_path / "gauges.parquet",
        )


@pytest.mark.parametrize("modality", STAGES)
def test_test_utterances_of_any_fold_are_degraded_and_no_other(world, encoders, modality, tmp_path):
    found, index = degraded(world, encoders, modality, tmp_path)
    for name, features in found.items():
        own = index.filter(condition=name)
        assert own["utterance"].to_list() == TESTED and len(features) == 8
        assert not features[~own["available"].to_numpy()].any()
    reasons = dict(index.filter(condition=next(iter(found))).select("utterance", "reason").iter_rows())
    assert reasons["d1u2"] == ("wrong_cut" if modality == "audio" else None)
    assert reasons["d0u1"] == ("no_face" if modality == "visual" else None)
    assert reasons["d0u3"] == ("no_text" if modality == "text" else None)
    # by one fold alone: the same of what it tests, however much else is degraded
    alone, few = degraded(
        world, encoders, modality, tmp_path / "one", splits=("a",), kinds=KINDS[modality][:1]
    )
    assert few["utterance"].unique(maintain_order=True).to_list() == TESTED[:4]
    for name, features in alone.items():
        assert np.allclose(features, found[name][:4], atol=1e-5)


@pytest.mark.parametrize("modality", STAGES)
def test_the_same_seed_writes_the_same_bytes_and_another_does_not(world, encoders, modality, tmp_path):
    files = []
    for seed in (3, 3, 4):
        degraded(world, encoders, modality, tmp_path, seed=seed, errors=(0.5,))
        files.append((tmp_path / "f.safetensors").read_bytes() + (tmp_path / "f.parquet").read_bytes())
    assert files[0] == files[1] != files[2]


def test_realised_levels_are_measured(world, encoders, tmp_path):
    _, index = degraded(world, encoders, "audio", tmp_path)
    for level in (20.0, 10.0, 5.0, 0.0):
        own = index.filter(
            pl.col("condition").is_in([f"unreliable/{kind}/{level:g}" for kind in ("noise", "babble")])
        )
        measured = own.filter("available")["realised"].to_list()
        assert len(measured) == 14 and measured == pytest.approx([level] * 14, abs=0.1)


def test_sound_that_was_moved_out_of_the_utterance_is_silence(world, encoders, tmp_path):
    found, index = degraded(world, encoders, "audio", tmp_path)
    late = index.filter(condition="unreliable/timing/1")
    reasons = dict(late.select("utterance", "reason").iter_rows())
    # a second late: the first utterances of a file come before its sound begins
    assert reasons["d0u0"] == reasons["d0u1"] == "silent" and reasons["d0u2"] is None
    assert not found["unreliable/timing/1"][0].any()


@pytest.mark.fault(
    "sound",
    "babble where all sound is of one dialogue",
    "an error says what to change in the configuration",
)
def test_babble_needs_voices_of_others(world, encoders, tmp_path):
    rows = artefacts.load_table(world / "0.parquet").filter(dialogue="d0")
    artefacts.save_table(tmp_path / "0.parquet", rows)
    for name in ("a", "b"):
        artefacts.save_table(tmp_path / f"{name}.parquet", artefacts.load_table(world / f"{name}.parquet"))
    with pytest.raises(PipelineError, match=r"all sound is of the dialogue 'd0'.*corpus\.shards"):
        degraded(tmp_path, encoders, "audio", tmp_path)
    # of a shard with one dialogue they are those of the shard beside it, and the same as in one shard
    others = artefacts.load_table(world / "0.parquet").filter(pl.col("dialogue") != "d0")
    artefacts.save_table(tmp_path / "1.parquet", others)
    beside = {"beside": [tmp_path / "1.parquet"]}
    apart, _ = degraded(tmp_path, encoders, "audio", tmp_path, ("a",), beside, kinds=("babble",))
    together, _ = degraded(world, encoders, "audio", tmp_path, ("a",), kinds=("babble",))
    for name, vectors in together.items():
        assert vectors.any() and np.allclose(apart[name], vectors, atol=1e-5)
    # of a single test dialogue the voices are those of the others, in whichever split they are
    _, index = degraded(world, encoders, "audio", tmp_path, splits=("a",), kinds=("babble",))
    assert index.filter("available").height == 16


@pytest.mark.fault(
    "artefacts", "degrading media is stopped half-way", "goes on with what is left; the same bytes"
)
@pytest.mark.parametrize("modality", STAGES)
def test_an_interrupted_shard_goes_on_and_workers_change_nothing(
    world, encoders, modality, tmp_path, monkeypatch
):
    monkeypatch.setattr(degraded_audio, "PIECE", 4)
    plain, packed, calls, last = DegradedTable.put, DegradedTable.packed, [], 1000
    made: list[int] = []

    def put(self, piece):
        if len(calls) == last:
            raise InterruptedError
        calls.append(piece)
        plain(self, piece)

    def counted(self):
        made.append(1)
        return packed(self)

    monkeypatch.setattr(DegradedTable, "put", put)
    monkeypatch.setattr(DegradedTable, "packed", counted)

    def files(out, **more):
        degraded(world, encoders, modality, out, more=more)
        return [(out / name).read_bytes() for name in ("f.safetensors", "f.parquet")]

    whole, total = files(tmp_path / "whole"), len(made)
    assert len(calls) >= 2
    if modality == "audio":
        assert files(tmp_path / "wide", cores=2) == whole
    calls.clear()
    last = 1
    with pytest.raises(InterruptedError):
        files(tmp_path / "again")
    assert not (tmp_path / "again/f.safetensors").exists()
    made.clear()
    last = 1000
    assert files(tmp_path / "again") == whole and len(made) < total
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == ["f.parquet", "f.safetensors"]


def test_examples_are_what_is_encoded(world, tmp_path):
    own = UnreliableSettings(
        kinds=("noise", "timing", "mouth", "misheard", "heard"), examples=3, seed=3, heard=(0,)
    )
    heard = [("unreliable/heard/0", name, f"heard {name}", 0.5) for name in TESTED]
    shards = {"shard": [world / "0.parquet"], "spoken": [world / "0.parquet"], "faces": [world / "faces"]}
    shards |= heard_table(tmp_path / "words.parquet", heard)
    shards |= {"splits": [world / f"{name}.parquet" for name in "ab"], "examples": tmp_path / "examples.json"}
    examples.run(examples.Params(unreliable=own), **shards)
    found = artefacts.load_json(tmp_path / "examples.json")
    assert list(found) == TESTED[:3]
    assert found["d0u1"].keys() == {"audio", "text"}  # it has no face
    text = found["d0u0"]["text"]
    assert text["complete"] == SENTENCES[0] and text["unreliable/heard/0"] == "heard d0u0"
    known = words.Confusions(line for line in SENTENCES * 3 if line)
    for level in (0.1, 0.3, 0.5):
        told = words.misheard(SENTENCES[0], level, generator(3, "d0u0", "misheard"), known)
        assert text[f"unreliable/misheard/{level}"] == told

    crops = artefacts.load_tensors(world / "faces" / "crops.safetensors")["crops"][:2]
    covered = picture.degraded("mouth", crops, 3, generator(3, "d0u0", "mouth"))[1]
    # of the crop in the middle; a JPEG of noise is only like it
    for name, wanted, other in (("complete", crops[1], crops[0]), ("unreliable/mouth/3", covered, crops[1])):
        made = np.frombuffer(base64.b64decode(found["d0u0"]["visual"][name]), np.uint8)
        shown = cv2.imdecode(made, cv2.IMREAD_COLOR)[..., ::-1].astype(int)
        assert np.abs(shown - wanted).mean() < np.abs(shown - other).mean(), name

    whole = media.hear(world / "d0.mp4").samples
    clean = whole[: round(0.45 * 16_000)]
    noisy = sound.degraded("noise", clean, 0.0, generator(3, "d0u0", "noise"))
    for name, wanted in (("complete", clean), ("unreliable/noise/0", noisy)):
        file = av.open(BytesIO(base64.b64decode(found["d0u0"]["audio"][name])))
        played = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])[::3]
        alike = np.correlate(played, wanted, "full") / np.linalg.norm(played) / np.linalg.norm(wanted)
        assert alike.max() > 0.85, name


def test_heard_words_that_are_too_unsure_to_be_read_are_not_shown(world, tmp_path):
    """As the network has them: an absence where the corpus's own words are recognised, else read."""
    table = artefacts.load_table(world / "0.parquet").with_columns(words_confidence=pl.lit(0.9, pl.Float32))
    artefacts.save_table(tmp_path / "0.parquet", table)
    told = {"d0u0": ("sure", 0.5), "d0u1": ("unsure", 0.4), "d0u2": ("of no number", None)}
    rows = [("unreliable/heard/0", name, *told.get(name, ("other", 0.9))) for name in TESTED]
    inputs = {"shard": [world / "0.parquet"], "spoken": [tmp_path / "0.parquet"]}
    inputs |= {"splits": [world / "a.parquet"], "examples": tmp_path / "examples.json"}
    inputs |= heard_table(tmp_path / "words.parquet", rows)
    for unsure, shown in ((0.5, {"d0u0", "d0u2"}), (None, {"d0u0", "d0u1", "d0u2"})):
        own = UnreliableSettings(kinds=("heard",), examples=4, heard=(0,))
        examples.run(examples.Params(unreliable=own, unsure=unsure), **inputs)
        found = artefacts.load_json(inputs["examples"])
        assert list(found) == TESTED[:4]
        heard = {name for name, one in found.items() if "unreliable/heard/0" in one.get("text", {})}
        assert heard == shown
        assert all("complete" in found[name]["text"] for name in told)


def heard_table(path, rows):
    """A table of the stage degraded_words: condition, utterance, text, confidence."""
    names = {"condition": pl.String, "utterance": pl.String, "text": pl.String}
    artefacts.save_table(
        path, pl.DataFrame(rows, schema={**names, "words_confidence": pl.Float32}, orient="row")
    )
    return {"words": [path]}


def test_heard_words_are_encoded_as_they_are(world, encoders, tmp_path):
    told = {"unreliable/heard/10": SENTENCES[0], "unreliable/heard/0": "I never sat"}
    rows = [
        (name, f"d{number}u{place}", None if place == 2 else text if place == 0 else SENTENCES[1], sure)
        for name, text in told.items()
        for number in range(2)
        for place, sure in enumerate((0.9, 0.2, None, None))
    ]
    words = heard_table(tmp_path / "words.parquet", rows)
    found, index = degraded(world, encoders, "text", tmp_path, more=words, kinds=("heard",))
    assert found.keys() == told.keys()
    wanted, _ = clean(world, encoders, "text", tmp_path)
    own = index.filter(condition="unreliable/heard/10")
    for name, vector in zip(own["utterance"], found["unreliable/heard/10"], strict=True):
        assert np.allclose(vector, 0 if name.endswith(("u2", "u3")) else wanted[name], atol=1e-5), name
    reasons = dict(index.filter(condition="unreliable/heard/0").select("utterance", "reason").iter_rows())
    assert reasons == {name: "no_text" if name[-1] in "23" else None for name in TESTED}
    levels = index.filter(condition="unreliable/heard/0", utterance="d0u0")["realised"]
    # of "I never said that at all": one word for another, three that are lost
    assert levels.to_list() == pytest.approx([4 / 6])
    assert index.filter(utterance="d0u2")["realised"].to_list() == [1.0, 1.0]

    # where the corpus's own words are recognised what is not sure is an absence here, too
    table = artefacts.load_table(world / "0.parquet").with_columns(words_confidence=pl.lit(0.9, pl.Float32))
    artefacts.save_table(tmp_path / "0.parquet", table)
    paths = {"features": tmp_path / "f.safetensors", "index": tmp_path / "f.parquet"}
    degraded_text.run(
        degraded_text.Params(device="cpu", unreliable=UnreliableSettings(kinds=("heard",)), unsure=0.5),
        shard=tmp_path / "0.parquet",
        splits=[world / "a.parquet"],
        encoder=encoders["text"],
        **words,
        **paths,
    )
    unsure = artefacts.load_table(paths["index"]).filter(condition="unreliable/heard/10")
    assert unsure["reason"].to_list() == [None, "asr_unsure", "no_text", "no_text"]
    place = GAUGES["text"].index("confidence")
    told = artefacts.load_tensors(paths["features"])["gauges/unreliable/heard/10"][:, place]
    assert told == pytest.approx([0.9, np.nan, np.nan, np.nan], nan_ok=True)


def test_the_confidence_of_recognised_words_is_measured_and_unsure_ones_are_absent(world, tmp_path):
    table = artefacts.load_table(world / "0.parquet")
    sure = pl.Series("words_confidence", [0.9, 0.3, None] + [0.8] * (len(table) - 3), pl.Float32)
    artefacts.save_table(tmp_path / "0.parquet", table.with_columns(sure))
    inputs = {"shard": tmp_path / "0.parquet", "faces": world / "faces", "gauges": tmp_path / "g.parquet"}
    gauges.run(gauges.Params(unsure=0.5), **inputs)
    found = artefacts.load_table(tmp_path / "g.parquet")
    # sure, unsure, sure without a number (given in a folder of both), no words
    assert found["text_confidence"][:4].fill_null(-1).to_list() == pytest.approx([0.9, -1, -1, -1])
    assert found["text_words"].is_null()[:4].to_list() == [False, True, False, True]
    gauges.run(gauges.Params(), **inputs)
    given = artefacts.load_table(tmp_path / "g.parquet")
    assert given["text_confidence"].null_count() == len(given)
    assert given["text_words"].is_null()[:4].to_list() == [False, False, False, True]


@pytest.mark.fault(
    "artefacts", "words heard in degraded sound of other utterances", "an error names the file and the stage"
)
def test_words_that_were_not_heard_are_an_error(world, encoders, tmp_path):
    words = heard_table(tmp_path / "words.parquet", [("unreliable/heard/10", "d0u0", "Well", 0.5)])
    with pytest.raises(PipelineError, match=r"words\.parquet: what .* of 'd0u1' under unreliable/heard/10"):
        degraded(world, encoders, "text", tmp_path, more=words, kinds=("heard",))
    with pytest.raises(PipelineError, match=r"--words: .* Rerun the stage degraded_words\."):
        degraded(world, encoders, "text", tmp_path, kinds=("heard",))


@pytest.mark.fault("faces", "crops of another shard", "an error names the folder and the stage")
def test_faces_of_another_shard_are_an_error(world, encoders, tmp_path):
    found = artefacts.load_table(world / "faces" / "utterances.parquet")
    for name in ("crops.parquet", "crops.safetensors"):
        (tmp_path / "faces").mkdir(exist_ok=True)
        (tmp_path / "faces" / name).write_bytes((world / "faces" / name).read_bytes())
    artefacts.save_table(tmp_path / "faces" / "utterances.parquet", found[1:])
    for name in ("0", "a", "b"):
        (tmp_path / f"{name}.parquet").write_bytes((world / f"{name}.parquet").read_bytes())
    with pytest.raises(PipelineError, match=r"faces: not the faces of .*0\.parquet"):
        degraded(tmp_path, encoders, "visual", tmp_path)
