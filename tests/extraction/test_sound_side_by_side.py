"""The stage audio: the same bytes for any number of workers, and whole pieces at a time where that pays."""

from pathlib import Path

import films
import fixture_encoders
import numpy as np
import polars as pl
import pytest

from pipeline import audio
from pipeline.core import artefacts
from pipeline.encoders import audio as speech
from pipeline.extraction.shard import TYPES
from pipeline.settings.encoders import AudioSettings


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Nine files of unequal length, of which one is silent and one is not there, and a tiny encoder."""
    folder = tmp_path_factory.mktemp("sounds")
    fixture_encoders.place(folder)
    rows = []
    for number in range(9):
        seconds = 0.7 + 0.31 * number
        sound = (number != 4) * films.tone(seconds, 48_000, 200 + 50 * number)
        path = folder / f"{number}.mp4"
        if number != 6:
            films.write(path, pictures=films.FPS, sound=sound)
        for part in range(3):
            times = {"start": seconds * part / 3, "end": seconds * (part + 1) / 3}
            rows.append({"utterance": f"{number}-{part}", "media": str(path), **times, "withheld": None})
    columns = ["utterance", "media", "start", "end", "withheld"]
    table = pl.DataFrame(rows, schema={name: TYPES[name] for name in columns})
    artefacts.save_table(folder / "shard.parquet", table)
    return folder


def made(world: Path, target: Path, cores: int, frames: bool = False) -> tuple[bytes, bytes]:
    target.mkdir(exist_ok=True)
    outputs = {"features": target / "f.safetensors", "index": target / "f.parquet"}
    (encoder,) = (world / "weights").glob("tests--audio/*")
    params = audio.Params(encoder=AudioSettings(frames=frames), device="cpu")
    audio.run(params, shard=world / "shard.parquet", encoder=encoder, cores=cores, **outputs)
    return outputs["features"].read_bytes(), outputs["index"].read_bytes()


@pytest.mark.parametrize("frames", [False, True])
def test_features_are_the_same_bytes_for_any_number_of_workers(world, tmp_path, monkeypatch, frames):
    monkeypatch.setattr(audio, "PIECE", 7)
    expected = made(world, tmp_path / "1", 1, frames)
    assert all(made(world, tmp_path / f"{cores}", cores, frames) == expected for cores in (2, 9))
    index = artefacts.load_table(tmp_path / "9" / "f.parquet")
    assert index["reason"].drop_nulls().to_list() == ["silent"] * 3 + ["file_missing"] * 3


def test_a_piece_of_many_files_is_encoded_together_and_gives_the_same_features(world, tmp_path, monkeypatch):
    """As on a GPU, where a forward pass takes what it can."""
    made(world, tmp_path / "alone", 1)
    load, sizes = speech.load, []

    def filled(*arguments):
        model = load(*arguments)
        model.fill(seconds=100.0)
        batch = model._begun
        monkeypatch.setattr(model, "_begun", lambda pieces: sizes.append(len(pieces)) or batch(pieces))
        return model

    monkeypatch.setattr(speech, "load", filled)
    one, several = (made(world, tmp_path / f"together{cores}", cores) for cores in (1, 4))
    assert one == several
    assert sizes == [21, 21]
    alone, together = (
        artefacts.load_tensors(tmp_path / name / "f.safetensors")["pooled"] for name in ("alone", "together1")
    )
    assert np.linalg.norm(together - alone, axis=1).max() <= 2e-6 * np.linalg.norm(alone, axis=1).max()
