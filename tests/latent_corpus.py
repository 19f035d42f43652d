"""A small dataset of the embedded corpus with what was expressed in it, for ceilings and the oracle."""

import itertools
from pathlib import Path

import numpy as np
import polars as pl

from models.conditions import Condition
from models.modalities import MODALITIES
from pipeline.core import artefacts
from pipeline.settings.process import ProcessSettings
from pipeline.synth.emotions import EMOTIONS
from pipeline.synth.script import write_dialogue

PROCESS = ProcessSettings(dialogues=90, utterances=6)
LABELS = tuple(sorted(EMOTIONS))  # another order than EMOTIONS, as a dataset may have it


def write_corpus(folder: Path, noise: float = 0.6) -> None:
    """Features that are noisy one-hot cues; a hidden face gives a random one or none."""
    rng = np.random.default_rng(0)
    rows, latent = [], []
    for number in range(PROCESS.dialogues):
        script = write_dialogue(PROCESS, number, 7)
        for u in script.utterances:
            name = f"{script.name}_{u.position}"
            rows.append((name, script.name, u.position, f"s{u.speaker}", script.split, u.emotion))
            cues = ["neutral" if u.cues[letter] == "flat" else u.cues[letter] for letter in "tav"]
            latent.append((name, u.emotion, *cues, u.hidden))
    table = pl.DataFrame(
        rows, schema=["utterance", "dialogue", "position", "speaker", "split", "emotion"], orient="row"
    ).with_row_index("row")
    label = pl.Series("label", [LABELS.index(name) for name in table["emotion"]], dtype=pl.Int32)
    score = pl.lit(None, pl.Float32).alias("score")
    table = table.drop("emotion").with_columns(pl.col("row").cast(pl.Int32), label, score)
    shown = pl.DataFrame(
        latent,
        schema=["utterance", "emotion", "cue_text", "cue_audio", "cue_visual", "hidden"],
        orient="row",
    )
    cues = np.array([[EMOTIONS.index(name) for name in row[2:5]] for row in latent])
    hidden = np.array([row[5] != "" for row in latent])
    cues[hidden, 2] = rng.integers(7, size=hidden.sum())
    available = np.ones((len(rows), 3), dtype=np.uint8)
    available[np.flatnonzero(hidden)[::2], 2] = 0
    features = {
        name: (np.eye(7)[cues[:, m]] + noise * rng.standard_normal((len(rows), 7))).astype(np.float32)
        for m, name in enumerate(MODALITIES)
    }
    artefacts.save_table(folder / "dataset" / "utterances.parquet", table)
    artefacts.save_tensors(folder / "dataset" / "features.safetensors", {**features, "available": available})
    facts = {"labels": list(LABELS), "corpus": "embedded", "task": "classification"}
    artefacts.save_json(folder / "dataset" / "facts.json", facts)
    half = shown.height // 2
    artefacts.save_table(folder / "0.parquet", shown[half:])
    artefacts.save_table(folder / "1.parquet", shown[:half])
    test = np.flatnonzero((table["split"] == "test").to_numpy())
    masks = {}
    for rate, draw in itertools.product((0.3, 0.6), range(2)):
        mask = available & (rng.random(available.shape) > rate)
        masks[str(Condition.random(rate, draw))] = mask.astype(np.uint8)
    artefacts.save_tensors(folder / "masks.safetensors", masks)
    labels = label.to_numpy()
    frames = []
    for kind in ("different", "same", "shuffled"):
        for row in test[available[test].all(1)]:
            pool = test[available[test].all(1)]
            pool = pool[pool != row]
            if kind != "shuffled":
                pool = pool[(labels[pool] == labels[row]) == (kind == "same")]
            donor = int(rng.choice(pool))
            frames.append((kind, 0, int(row), donor, int(labels[donor])))
    artefacts.save_table(
        folder / "conflicts.parquet",
        pl.DataFrame(frames, schema=["kind", "draw", "row", "donor", "reference"], orient="row"),
    )
