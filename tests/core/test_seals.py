"""Checksums in artefacts: every flipped bit is noticed, and the message says what made the file."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from pipeline.core import artefacts, origins, seals
from pipeline.core.errors import PipelineError

# what no stage reads
OTHERS = ("runs/", "results/figures/", "results/costs/", "report/")
ROOT = Path(__file__).resolve().parents[2]
ARRAYS = {"pooled": np.arange(40, dtype=np.float32).reshape(8, 5), "none": np.zeros((0, 3), np.uint8)}
TABLE = pl.DataFrame({"utterance": [f"u{n}" for n in range(50)], "start": [n / 3 for n in range(50)]})
FACTS = {"labels": ["joy", "anger"], "task": "classification", "utterances": 50, "share": 0.1}
KINDS = {
    "x.safetensors": (
        lambda path: artefacts.save_tensors(path, ARRAYS, {"note": "n"}),
        artefacts.load_tensors,
    ),
    "x.parquet": (lambda path: artefacts.save_table(path, TABLE), artefacts.load_table),
    "x.json": (lambda path: artefacts.save_json(path, FACTS), artefacts.load_json),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    for name, (save, _) in KINDS.items():
        save(folder / name)
    return {name: (folder / name).read_bytes() for name in KINDS}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.fault("artefacts", "one flipped bit in an artefact", "whoever reads it stops; the file is named")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_every_flipped_bit_is_noticed(whole, tmp_path, name, place, bit):
    data = bytearray(whole[name])
    data[int(place * len(data))] ^= 1 << bit
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(PipelineError, match=re.escape(str(path))):
        KINDS[name][1](path)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.fault(
    "artefacts", "a flipped bit in the checksum itself, or in its key", "whoever reads the file stops"
)
def test_every_flipped_bit_of_the_checksum_is_noticed(whole, tmp_path, name):
    first = whole[name].index(seals.KEY.encode())
    last = re.compile(rb"[0-9a-f]{64}").search(whole[name], first).end()
    path = tmp_path / name
    for place in range(first, last):
        data = bytearray(whole[name])
        data[place] ^= 1
        path.write_bytes(data)
        seals._known.clear()
        with pytest.raises(PipelineError, match=re.escape(str(path))):
            KINDS[name][1](path)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("what", ["cut off", "longer", "zeros"])
@pytest.mark.fault(
    "artefacts",
    "an artefact is cut off, grown, or zeros in the middle (a crashed disk)",
    "whoever reads it stops",
)
def test_torn_files_are_noticed(whole, tmp_path, name, what):
    data, path = whole[name], tmp_path / name
    middle = len(data) // 2
    torn = {
        "cut off": data[:-3],
        "longer": data + b"\n \x00",
        "zeros": data[:middle] + bytes(8) + data[middle + 8 :],
    }
    path.write_bytes(torn[what])
    with pytest.raises(PipelineError, match=re.escape(str(path))):
        KINDS[name][1](path)


@pytest.mark.parametrize("name", KINDS)
def test_the_same_content_is_the_same_bytes_and_other_readers_read_it(whole, tmp_path, name):
    path = tmp_path / name
    KINDS[name][0](path)
    assert path.read_bytes() == whole[name]
    KINDS[name][1](path)
    others = {
        "x.safetensors": lambda: load_file(path)["pooled"].tolist() == ARRAYS["pooled"].tolist(),
        "x.parquet": lambda: pl.read_parquet(path).equals(TABLE),
        "x.json": lambda: {**json.loads(path.read_text()), **FACTS} == json.loads(path.read_text()),
    }
    assert others[name]()


def test_what_was_saved_comes_back_without_the_checksum(tmp_path):
    artefacts.save_json(tmp_path / "x.json", FACTS)
    assert artefacts.load_json(tmp_path / "x.json") == FACTS
    artefacts.save_tensors(tmp_path / "x.safetensors", ARRAYS, {"note": "n"})
    assert artefacts.load_metadata(tmp_path / "x.safetensors") == {"note": "n"}


def of_before(folder: Path) -> None:
    """Files as versions without checksums wrote them."""
    save_file(ARRAYS, folder / "x.safetensors", metadata={"note": "n"})
    TABLE.write_parquet(folder / "x.parquet")
    (folder / "x.json").write_text(json.dumps(FACTS))


@pytest.mark.parametrize("name", KINDS)
def test_artefacts_of_before_load_with_a_line_in_the_log(tmp_path, caplog, name):
    of_before(tmp_path)
    caplog.set_level("INFO", "pipeline")
    for _ in range(2):
        KINDS[name][1](tmp_path / name)
    assert caplog.text.count("no checksum") == (2 if name == "x.json" else 1)
    caplog.clear()
    KINDS[name][1](tmp_path / name, source=origins.OWN)
    assert not caplog.text


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("path", "stage", "target"),
    [
        ("manifest.parquet", "manifest", "manifest.parquet"),
        ("shards/3.parquet", "manifest", "shards/3.parquet"),
        ("faces/3/crops.safetensors", "faces", "faces/3"),
        ("features/audio/3.safetensors", "audio or given", "features/audio/3.safetensors"),
        ("main/dataset/features.safetensors", "dataset", "main/dataset"),
        ("ses1/student/corekd/0/weights.safetensors", "student", "ses1/student/corekd/0/weights.safetensors"),
        (
            "main/teacher/0/held-1/weights.safetensors",
            "held_out_teacher",
            "main/teacher/0/held-1/weights.safetensors",
        ),
        ("main/references/oracle.safetensors", "oracle", "main/references/oracle.safetensors"),
        ("results/scores.parquet", "scores", "results/scores.parquet"),
    ],
)
@pytest.mark.fault(
    "artefacts",
    "an artefact of a run is damaged",
    "the message names the stage and the command that makes it anew",
)
def test_the_message_says_what_made_the_file_and_how_it_is_made_anew(tmp_path, path, stage, target):
    file = tmp_path / "runs" / "demo" / path
    kind = f"x{file.suffix}"
    KINDS[kind][0](file)
    spoil(file)
    with pytest.raises(PipelineError) as caught:
        KINDS[kind][1](file)
    assert f"The stage {stage} made it" in str(caught.value)
    assert f"snakemake --cores all --force runs/demo/{target} " in str(caught.value)


@pytest.mark.fault("artefacts", "a file of one's own is damaged", "the message says that it is one's own")
def test_of_a_file_of_ones_own_the_message_says_so(tmp_path):
    of_before(tmp_path)
    path = tmp_path / "x.parquet"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(PipelineError, match="It is your own file"):
        artefacts.load_table(path, source=origins.OWN)


def documented() -> list[tuple[str, str]]:
    """(path below runs/demo, stage) of every safetensors, Parquet or JSON file of docs/artefacts.md."""
    found, prefix = [], None
    for line in (ROOT / "docs" / "artefacts.md").read_text().splitlines():
        if head := re.match(r"\| file(?: under `runs/\{run\}/(\{fold\}/)?`)? \| made by", line):
            prefix = (head[1] or "") if "under" in line else None
        elif line.startswith("#"):
            prefix = None
        elif prefix is not None and line.startswith("| `"):
            first, stages = line.split("|")[1:3]
            for name in re.findall(r"`([^`]+)`", first):
                if (
                    name.endswith((".safetensors", ".parquet", ".json", "/"))
                    and "…" not in name
                    and not name.startswith(".")
                    and not name.startswith(OTHERS)
                ):
                    found.append((prefix + name, stages.strip()))
    return found


def test_every_documented_file_has_its_maker():
    files = documented()
    assert len(files) > 20
    for pattern, stages in files:
        path = re.sub(r"\{(modality|fold|variant|kind)\}", "audio", pattern)
        path = re.sub(r"\{\w+\}", "0", path)
        made = origins.maker(Path("runs/demo") / path.replace("*", "x"))
        assert made is not None, pattern
        known = re.split(r", | or ", made[0])
        assert any(name in stages for name in known), (pattern, stages, made)


def test_a_folder_of_files_is_checked_as_a_whole(tmp_path, caplog):
    folder = tmp_path / "encoder"
    (folder / "deep").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "deep" / "vocabulary.txt").write_text("a b c")
    caplog.set_level("INFO", "pipeline")
    seals.check_folder(folder, origins.ENCODER)
    assert "no checksums" in caplog.text
    seals.seal_folder(folder)
    seals.check_folder(folder, origins.ENCODER)
    (folder / ".snakemake_timestamp").touch()
    seals.check_folder(folder, origins.ENCODER)
    for change in (lambda path: path.unlink(), spoil):
        copy = shutil.copytree(folder, tmp_path / "copy", dirs_exist_ok=True)
        change(copy / "deep" / "vocabulary.txt")
        with pytest.raises(PipelineError, match=r"vocabulary\.txt"):
            seals.check_folder(copy, origins.ENCODER)
    spoil(folder / seals.BESIDE)
    with pytest.raises(PipelineError, match=r"checksums\.json"):
        seals.check_folder(folder, origins.ENCODER)


@pytest.mark.fault(
    "artefacts", "facts.json lacks a key that is needed", "the stage stops; file and key are named"
)
def test_a_missing_key_is_named(tmp_path):
    artefacts.save_json(tmp_path / "facts.json", {"task": "classification"})
    with pytest.raises(PipelineError, match=r"facts\.json: no key 'labels'"):
        artefacts.load_json(tmp_path / "facts.json", ["task", "labels"])


@pytest.mark.fault(
    "artefacts", "a column of an artefact has another type", "the stage stops; file and column are named"
)
def test_a_column_of_another_type_is_named(tmp_path):
    artefacts.save_table(tmp_path / "x.parquet", TABLE.with_columns(pl.col("start").cast(pl.String)))
    with pytest.raises(PipelineError, match=r"x\.parquet, column start: String"):
        artefacts.load_table(tmp_path / "x.parquet", {"start": pl.Float64})
