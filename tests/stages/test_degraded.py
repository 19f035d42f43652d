"""The stages that degrade media: level 0 is the clean stage's features, and nothing unasked changes."""

import films
import fixture_encoders
import numpy as np
import polars as pl
import pytest

from models.conditions import Condition
from pipeline import audio, degraded_audio, degraded_text, degraded_visual, gauges, text, visual
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.core.registries.degradations import gauges_of
from pipeline.core.registries.gauges import GAUGES, table_name
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
