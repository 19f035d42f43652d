"""The stand-in encoders: real formats, training text only, equal bytes on a rerun."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoModel, AutoTokenizer
from workflow import ROOT

from pipeline import standins
from pipeline.core.errors import PipelineError
from pipeline.settings.standins import (
    AudioStandinSettings,
    StandinsSettings,
    TextStandinSettings,
    VisualStandinSettings,
)
from pipeline.synth.exercises import WORDS, face_exercise, voice_exercise
from pipeline.synth.phrases import PHRASES, TOPICS, WHEN, WHO

TINY = StandinsSettings(
    text=TextStandinSettings(hidden=32, vocabulary=300),
    audio=AudioStandinSettings(hidden=32, channels=16, voices=8, steps=3, batch=2),
    visual=VisualStandinSettings(width=16, faces=8, side=64, steps=3, batch=4),
)
PARAMS = standins.Params(standins=TINY, seed=1, device="cpu")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("tables")
    rows = [
        ("u0", "the cat sat on the mat", "train"),
        ("u1", "zyzzyva zyzzyva zyzzyva zyzzyva", "test"),
        ("u2", "the cat saw the rat", "train"),
        ("u3", None, "train"),
    ]
    paths = [folder / "0.parquet", folder / "1.parquet"]
    schema = ["utterance", "text", "split"]
    pl.DataFrame(rows[:2], schema=schema, orient="row").write_parquet(paths[0])
    pl.DataFrame(rows[2:], schema=schema, orient="row").write_parquet(paths[1])
    return paths


def build(tables: list[Path], folder: Path) -> Path:
    names = {name: folder / name for name in ("text", "audio", "visual")}
    standins.run(PARAMS, utterances=tables, **names)
    return folder


@pytest.fixture(scope="module")
def folder(tables: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tables, tmp_path_factory.mktemp("encoders"))


def test_training_text_only(tables: list[Path]) -> None:
    expected = ["the cat sat on the mat", "the cat saw the rat"]
    assert standins.training_text(tables) == standins.training_text(tables[::-1]) == expected


def test_no_training_text_is_an_error(tables: list[Path]) -> None:
    with pytest.raises(PipelineError, match="tokenizer has nothing to learn"):
        standins.training_text([])


def test_no_word_of_the_exercises_is_in_the_corpus() -> None:
    pools = [pool for by_split in PHRASES.values() for pool in by_split.values()]
    spoken = re.findall(r"[a-z]+", " ".join(sum([*pools, TOPICS, WHO, WHEN], ())).lower())
    assert {"bus", "exam", "sister", "monday"} <= set(spoken)
    assert not set(WORDS) & set(spoken)


def test_exercises_are_repeatable_and_of_one_level() -> None:
    face, again = face_exercise(3, seed=0, side=64), face_exercise(3, seed=0, side=64)
    assert face.crop.shape == (64, 64, 3)
    assert np.array_equal(face.crop, again.crop)
    voice = voice_exercise(3, seed=0)
    assert abs(voice.sound.mean()) < 1e-3
    assert voice.sound.std() == pytest.approx(1, abs=1e-2)
    assert len(voice.sound) == 80 * len(voice.pitch)


@pytest.mark.slow
def test_text_loads(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder / "text")
    model = AutoModel.from_pretrained(folder / "text", add_pooling_layer=False, dtype=torch.float32)
    batch = tokenizer(["the cat", "ünknown words, 🙂"], padding=True, return_tensors="pt")
    assert tokenizer.decode(batch["input_ids"][1], skip_special_tokens=True) == "ünknown words, 🙂"
    assert model(**batch).last_hidden_state.shape[2] == 32
    assert "zy" not in " ".join(tokenizer.get_vocab())
    assert tokenizer.unk_token_id not in batch["input_ids"]


SAVE = """
import sys
from pathlib import Path
from pipeline.synth.standin_networks import save_tokenizer
save_tokenizer(Path(sys.argv[1]), ["well so then"] * 9, 300)
"""


def test_a_tokenizer_has_the_same_bytes_online_and_offline(tmp_path: Path) -> None:
    for offline in "01":
        folder, own = tmp_path / offline, {"HF_HUB_OFFLINE": offline, "TRANSFORMERS_OFFLINE": offline}
        subprocess.run([sys.executable, "-c", SAVE, str(folder)], check=True, env=os.environ | own, cwd=ROOT)
    online, offline = ({path.name: path.read_bytes() for path in (tmp_path / n).iterdir()} for n in "01")
    assert online == offline


@pytest.mark.slow
def test_audio_loads_and_is_safe_under_padding(folder: Path) -> None:
    extractor = AutoFeatureExtractor.from_pretrained(folder / "audio")
    model = AutoModel.from_pretrained(folder / "audio", dtype=torch.float32).eval()
    assert model.config.feat_extract_norm == "layer"
    assert extractor.sampling_rate == 16_000
    rng = np.random.default_rng(0)
    sounds = [rng.standard_normal(length).astype(np.float32) for length in (8_000, 16_000)]
    batch = extractor(sounds, sampling_rate=16_000, padding=True, return_tensors="pt")
    alone = extractor(sounds[:1], sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        padded, single = model(**batch).last_hidden_state[0], model(**alone).last_hidden_state[0]
    assert torch.allclose(padded[: len(single)], single, atol=1e-4)


@pytest.mark.slow
def test_visual_loads(folder: Path) -> None:
    processor = AutoImageProcessor.from_pretrained(folder / "visual")
    model = AutoModel.from_pretrained(folder / "visual", dtype=torch.float32).eval()
    crops = [np.full((160, 160, 3), 128, np.uint8)] * 2
    inputs = processor(crops, return_tensors="pt")
    assert inputs["pixel_values"].shape == (2, 3, 64, 64)
    assert model(**inputs).pooler_output.shape == (2, 64, 1, 1)


@pytest.mark.slow
def test_a_rerun_gives_equal_bytes(folder: Path, tables: list[Path], tmp_path: Path) -> None:
    again = build(tables[::-1], tmp_path)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert len(files) >= 8
    for file in files:
        assert (folder / file).read_bytes() == (again / file).read_bytes(), file
