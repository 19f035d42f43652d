"""What another row of a dialogue does to the features of others in its shard (docs/reruns.md)."""

from pathlib import Path

import fixture_encoders
import numpy as np
import polars as pl
import pytest

from pipeline import text
from pipeline.core import artefacts
from pipeline.settings.encoders import TextSettings

WORDS = ["Words", "of", "an", "utterance"]


def features(folder: Path, texts: dict[str, str | None], batch: int) -> dict[str, np.ndarray]:
    """The pooled features of a shard, by utterance."""
    encoder = next((folder / "weights" / "tests--text").iterdir())
    shard = folder / "shard.parquet"
    schema = {"utterance": pl.String, "text": pl.String}
    artefacts.save_table(shard, pl.DataFrame(list(texts.items()), schema=schema, orient="row"))
    params = text.Params(encoder=TextSettings(batch=batch), device="cpu")
    outputs = {"features": folder / "f.safetensors", "index": folder / "f.parquet"}
    text.run(params, shard=shard, encoder=encoder, **outputs)
    names = artefacts.load_table(folder / "f.parquet")["utterance"].to_list()
    return dict(zip(names, artefacts.load_tensors(folder / "f.safetensors")["pooled"], strict=True))


@pytest.mark.fault(
    "text",
    "odd rows are added to a dialogue of the shard",
    "texts of its other dialogues move within 1e-6, or not at all",
)
@pytest.mark.parametrize("batch", [1, 8])
def test_another_row_moves_other_texts_by_rounding_alone(tmp_path, batch):
    fixture_encoders.place(tmp_path)
    texts = {f"u{n}": " ".join(WORDS[(n + k) % 4] for k in range(1 + n % 11)) for n in range(40)}
    before = features(tmp_path, texts, batch)
    odd = {"v0": "?", "v1": None, "v2": "  ", "v3": " ".join(WORDS * 20), "v4": "\x00\u2028", "v5": "Words"}
    after = features(tmp_path, texts | odd, batch)
    for name, own in before.items():
        assert np.linalg.norm(after[name] - own) <= 1e-6 * np.linalg.norm(own)
        assert batch > 1 or np.array_equal(after[name], own)


def test_texts_whose_batch_is_unchanged_are_equal_to_the_bit(tmp_path):
    """The longest texts come last, so a longer one than all of a full batch leaves the batches before it."""
    fixture_encoders.place(tmp_path)
    texts = {f"u{n}": " ".join(WORDS[(n + k) % 4] for k in range(1 + n % 11)) for n in range(40)}
    before = features(tmp_path, texts, 8)
    after = features(tmp_path, texts | {"v": " ".join(WORDS * 10)}, 8)
    assert all(np.array_equal(before[name], after[name]) for name in before)
