"""Small batches and dataset folders for the tests of the network and its training."""

from pathlib import Path

import numpy as np
import polars as pl
import torch

from models.batch import Batch
from models.conditions import Condition
from models.modalities import MODALITIES
from models.network import Network
from pipeline.core import artefacts
from pipeline.settings.network import NetworkSettings
from pipeline.training.networks import build

DIMENSIONS = {"text": 5, "audio": 4, "visual": 6}
CLASSES = 3


def make_network(
    seed: int = 0, name: str = "attention", outputs: int = CLASSES, dimensions: dict | None = None, **changes
) -> Network:
    """A small network in eval mode whose learned tokens and biases are not at their zero start."""
    torch.manual_seed(seed)
    settings = NetworkSettings(**{"hidden": 16, "heads": 2, **changes})
    network = build(name, dimensions or DIMENSIONS, outputs, settings.keys_of(name)).eval()
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.05 * torch.randn(value.shape))
    return network


def make_batch(lengths: tuple[int, ...] = (4, 2), seed: int = 0, rate: float = 0.3) -> Batch:
    """Random dialogues of the given lengths, two speakers, every slot absent with the chance `rate`."""
    generator = torch.Generator().manual_seed(seed)
    b, n = len(lengths), max(lengths)
    valid = torch.arange(n)[None] < torch.tensor(lengths)[:, None]
    label = torch.randint(CLASSES, (b, n), generator=generator)
    return Batch(
        features={name: torch.randn(b, n, width, generator=generator) for name, width in DIMENSIONS.items()},
        available=(torch.rand(b, n, 3, generator=generator) >= rate) & valid[..., None],
        speaker=torch.where(valid, torch.arange(n).expand(b, n) % 2, 0),
        valid=valid,
        label=torch.where(valid, label, -1),
        score=torch.where(valid, torch.randn(b, n, generator=generator), torch.nan),
        row=torch.where(valid, torch.arange(b * n).view(b, n), -1),
    )


def write_dataset(
    folder: Path, *, regression: bool = False, seed: int = 0, train: int = 10, val: int = 4, test: int = 3
) -> Path:
    """A dataset folder of short dialogues whose features tell the target; returns `folder`.

    Every seventh picture and one whole utterance are absent, and one training utterance is unlabelled.
    """
    random = np.random.default_rng(seed)
    rows = []
    for number in range(train + val + test):
        split = "train" if number < train else "val" if number < train + val else "test"
        rows += [
            {
                "dialogue": f"d{number:02d}",
                "position": place,
                "speaker": f"s{number}_{place % 2}",
                "split": split,
            }
            for place in range(3 + number % 3)
        ]
    count = len(rows)
    label = random.integers(0, CLASSES, count)
    score = random.uniform(-3, 3, count)
    available = np.ones((count, 3), np.uint8)
    available[::7, 2] = 0
    available[3] = 0
    signal = score[:, None] if regression else np.eye(CLASSES)[label] * 3
    tensors: dict[str, np.ndarray] = {"available": available}
    for column, name in enumerate(MODALITIES):
        mixing = random.normal(size=(signal.shape[1], DIMENSIONS[name]))
        values = signal @ mixing + random.normal(size=(count, DIMENSIONS[name]))
        tensors[name] = (values * available[:, column : column + 1]).astype(np.float32)
    labels = [None if regression or row == 1 else int(value) for row, value in enumerate(label)]
    table = pl.DataFrame(rows).with_columns(
        pl.Series("row", np.arange(count, dtype=np.int32)),
        pl.Series("utterance", [f"u{row}" for row in range(count)]),
        pl.Series("label", labels, dtype=pl.Int32),
        pl.Series("score", score if regression else [None] * count, dtype=pl.Float32),
    )
    facts = {
        "corpus": "made",
        "task": "regression" if regression else "classification",
        "labels": [] if regression else ["x", "y", "z"],
        "timed": True,
        "dimensions": DIMENSIONS,
        "absent": {},
    }
    artefacts.save_tensors(folder / "features.safetensors", tensors)
    artefacts.save_table(folder / "utterances.parquet", table)
    artefacts.save_json(folder / "facts.json", facts)
    return folder


def write_masks(path: Path, dataset: Path, rates: tuple[float, ...] = (0.3, 0.6)) -> Path:
    """A masks file with one draw of each rate; returns `path`."""
    available = artefacts.load_tensors(dataset / "features.safetensors", ["available"])["available"]
    random = np.random.default_rng(1)
    shown = {
        str(Condition.random(rate, 0)): available * (random.random(available.shape) >= rate).astype(np.uint8)
        for rate in rates
    }
    artefacts.save_tensors(path, shown)
    return path
