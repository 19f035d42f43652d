"""A small made-up dataset, a small network and predictions, for the tests of the protocol."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch

from models.conditions import COMPLETE, Condition
from models.modalities import CHANNELS, MODALITIES, SUBSETS
from models.networks import attention
from pipeline import conflicts, masks
from pipeline.core import artefacts
from pipeline.settings.protocol import ConflictSettings, RandomSettings
from pipeline.training.checkpoint import parameters_of, save_epochs, save_network

LABELS = ("neutral", "joy", "anger")
DIMENSIONS = {"text": 5, "audio": 4, "visual": 3}
RATES = (0.2, 0.5, 0.7)


def write_dataset(
    folder: Path, dialogues: int = 12, longest: int = 7, task: str = "classification", seed: int = 0
) -> Path:
    """Dialogues of 3 to `longest` utterances; a third of them each in train, val and test."""
    rng = np.random.default_rng(seed)
    rows = []
    for dialogue in range(dialogues):
        split = ("train", "val", "test")[dialogue % 3]
        rows += [
            (f"dia{dialogue:04d}", place, f"dia{dialogue:04d}_{place}", f"speaker{rng.integers(2)}", split)
            for place in range(rng.integers(3, longest + 1))
        ]
    count = len(rows)
    label = rng.integers(-1, len(LABELS), count) if task == "classification" else np.full(count, -1)
    score = np.round(rng.uniform(-3, 3, count), 1) if task == "regression" else np.full(count, np.nan)
    table = pl.DataFrame(rows, ["dialogue", "position", "utterance", "speaker", "split"], orient="row")
    table = table.with_columns(
        pl.Series("row", np.arange(count), dtype=pl.Int32),
        pl.col("position").cast(pl.Int32),
        pl.Series("label", [int(v) if v >= 0 else None for v in label], dtype=pl.Int32),
        pl.Series("score", [None if np.isnan(v) else float(v) for v in score], dtype=pl.Float32),
    )
    available = rng.random((count, 3)) > 0.1
    reasons = {
        f"reason_{name}": [None if there else f"no_{name}" for there in available[:, place]]
        for place, name in enumerate(DIMENSIONS)
    }
    table = table.with_columns(pl.Series(name, why, pl.String) for name, why in reasons.items())
    features = {
        name: (rng.standard_normal((count, width)) * available[:, [place]]).astype(np.float32)
        for place, (name, width) in enumerate(DIMENSIONS.items())
    }
    artefacts.save_tensors(
        folder / "features.safetensors", {**features, "available": available.astype(np.uint8)}
    )
    artefacts.save_table(folder / "utterances.parquet", table)
    labels = list(LABELS) if task == "classification" else []
    facts = {"corpus": "fake", "task": task, "labels": labels, "timed": True}
    facts |= {"dimensions": DIMENSIONS, "absent": []}
    artefacts.save_json(folder / "facts.json", facts)
    return folder


def write_protocol(fold: Path, draws: int = 1) -> tuple[Path, Path]:
    """Masks and conflict views of `fold/dataset`."""
    shown, pairs = fold / "protocol" / "masks.safetensors", fold / "protocol" / "conflicts.parquet"
    masks.run(masks.Params(random=RandomSettings(rates=RATES), seed=1), dataset=fold / "dataset", masks=shown)
    conflicts.run(
        conflicts.Params(conflict=ConflictSettings(draws=draws), seed=1),
        dataset=fold / "dataset",
        conflicts=pairs,
    )
    return shown, pairs


def write_network(folder: Path, outputs: int, shown: Sequence[str] = MODALITIES) -> None:
    """Random weights: three epochs, of which the second was selected."""
    epochs = []
    for number in range(3):
        torch.manual_seed(number)
        network = attention.Network(
            attention.Shape(dimensions=DIMENSIONS, outputs=outputs, hidden=16, heads=2)
        ).eval()
        epochs.append((number, parameters_of(network)))
        if number == 1:
            save_network(folder / "weights.safetensors", network, shown, 1, 0.5)
    save_epochs(folder / "epochs.safetensors", network, shown, epochs)


def write_predictions(
    fold: Path, variant: str, seed: int, skill: float, checkpoints: tuple[str, ...] = ("selected",)
) -> Path:
    """Predictions that are right in about a share `skill`, under every condition of the protocol."""
    path = fold / "predictions" / variant / f"{seed}.parquet"
    artefacts.save_table(path, fake_predictions(fold, (variant, seed), skill, checkpoints))
    return path


def fake_predictions(
    fold: Path, name: tuple[str, int], skill: float, checkpoints: tuple[str, ...] = ("selected",)
) -> pl.DataFrame:
    rng = np.random.default_rng([seed_of(name), 9])
    utterances = artefacts.load_table(fold / "dataset" / "utterances.parquet")
    regression = json.loads((fold / "dataset" / "facts.json").read_text())["task"] == "regression"
    pairs = artefacts.load_table(fold / "protocol" / "conflicts.parquet")
    test = utterances.filter(pl.col("split") == "test")
    views = [(COMPLETE, 0, test["row"]), *((Condition.fixed(s), 0, test["row"]) for s in SUBSETS)]
    views += [(Condition.random(rate), draw, test["row"]) for rate in RATES for draw in range(3)]
    for (kind, draw), part in pairs.group_by("kind", "draw", maintain_order=True):
        views += [(Condition.conflict(letters, kind), draw, part["row"]) for letters in CHANNELS]
    frames = []
    for checkpoint in checkpoints:
        for condition, draw, row in views:
            # the further from complete, the worse
            own = skill - 0.1 * (condition != COMPLETE) - 0.1 * bool(condition.swapped)
            right = rng.random(len(row)) < own
            if regression:
                value = utterances["score"].fill_null(0).to_numpy()[row.to_numpy()]
                score = np.where(right, value, rng.uniform(-3, 3, len(row)))
                column = pl.Series("score", score, dtype=pl.Float32)
            else:
                label = utterances["label"].fill_null(0).to_numpy()[row.to_numpy()]
                said = np.where(right, label, rng.integers(0, len(LABELS), len(row)))
                soft = np.eye(len(LABELS))[said] + rng.uniform(0, 0.5, (len(row), len(LABELS)))
                soft = (soft / soft.sum(axis=1, keepdims=True)).astype(np.float32)
                column = pl.Series("probabilities", soft.tolist(), dtype=pl.List(pl.Float32))
            frame = pl.DataFrame({"row": row, column.name: column}).with_columns(
                pl.lit(str(condition)).alias("condition"),
                pl.lit(draw, pl.Int16).alias("draw"),
                pl.lit(checkpoint).alias("checkpoint"),
            )
            frames.append(frame)
    return pl.concat(frames)


def seed_of(name: tuple[str, int]) -> int:
    """A whole number from a variant and seed, the same in every process."""
    return int.from_bytes(name[0].encode(), "big") % 1_000_003 * 100 + name[1]
