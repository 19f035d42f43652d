"""Stage unreliable: the features of degraded media laid out for one fold, normalised as its dataset is."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from models.conditions import Condition
from models.modalities import MODALITIES
from pipeline.core import artefacts, stage
from pipeline.core.errors import PipelineError
from pipeline.core.registries.degradations import DEGRADATIONS, FAMILY, gauges_of
from pipeline.settings.base import Settings
from pipeline.training import normalisation

log = logging.getLogger("pipeline")

COLUMNS = ["condition", "utterance", "available", "reason", "realised"]


class Params(Settings):
    """The stage has no settings: what was degraded says how."""


def run(
    params: Params,
    *,
    dataset: Path,
    text: Sequence[Path],
    audio: Sequence[Path],
    visual: Sequence[Path],
    features: Path,
    levels: Path,
) -> None:
    """Write the features by condition, float32 (T, D) for the T test utterances, and the table of levels.

    text, audio, visual: of all shards, none where nothing of that modality is degraded. Raises PipelineError
    if the shards lack a test utterance, or are of other encoders than the dataset's.
    """
    utterances = artefacts.load_table(dataset / "utterances.parquet", ["row", "utterance", "split"])
    test = utterances.filter(pl.col("split") == "test").sort("row")
    known = artefacts.load_tensors(dataset / "features.safetensors")
    found: dict[Condition, tuple[np.ndarray, pl.DataFrame]] = {}
    gauges: dict[str, np.ndarray] = {}
    for modality, paths in zip(MODALITIES, (text, audio, visual), strict=True):
        fitted = normalisation.stored(known, modality)
        for condition, pooled, measured, table in joined(modality, paths, test):
            if pooled.shape[1] != len(fitted.mean):
                raise PipelineError(
                    f"{paths[0]}: {pooled.shape[1]} features, the dataset has {len(fitted.mean)}. Rerun the "
                    f"stage degraded_{modality} for all shards."
                )
            gauges[gauges_of(condition)] = measured
            found[condition] = (fitted(pooled, table["available"].to_numpy().astype(bool)), table)
    order = {kind: place for place, kind in enumerate(DEGRADATIONS)}
    names = sorted(found, key=lambda name: order[name.kind])  # stable: levels stay in their order
    arrays = {str(name): found[name][0] for name in names}
    arrays |= gauges
    arrays["rows"] = test["row"].to_numpy()
    arrays["available"] = np.array([found[name][1]["available"].to_numpy() for name in names], np.uint8)
    realised = {str(name): _mean(found[name][1]["realised"]) for name in names}
    artefacts.save_tensors(features, arrays, {"realised": json.dumps(realised)})
    artefacts.save_table(levels, pl.concat(found[name][1].select("row", *COLUMNS) for name in names))
    for name, level in realised.items():
        log.info("%s: %s", name, "no level" if level is None else f"{level:.3f} on average")


def _mean(levels: pl.Series) -> float | None:
    """Of those that are known; None if none is."""
    known = levels.drop_nulls().to_numpy()
    return float(known.mean()) if len(known) else None


def joined(
    modality: str, paths: Sequence[Path], test: pl.DataFrame
) -> list[tuple[Condition, np.ndarray, np.ndarray, pl.DataFrame]]:
    """By condition: features (T, D), reliability inputs (T, K) and the index, in the test utterances' order.

    Raises PipelineError if the shards do not hold each test utterance once under every condition.
    """
    if not paths:
        return []
    tables = [artefacts.load_table(path.with_suffix(".parquet"), COLUMNS) for path in paths]
    stored = [artefacts.load_tensors(path) for path in paths]
    names = json.loads(artefacts.load_metadata(paths[0])["conditions"])
    results = []
    for name in names:
        parts = [table.filter(pl.col("condition") == name) for table in tables]
        condition = Condition.parse(name)
        own = (name, gauges_of(condition))
        if any(array not in arrays for arrays in stored for array in own) or any(
            len(arrays[array]) != len(part)
            for arrays, part in zip(stored, parts, strict=True)
            for array in own
        ):
            raise _unfit(modality, paths, f"a shard has no features of {name}, or another number")
        index = pl.concat(parts).with_row_index("source")
        table = test.select("row", "utterance").join(index, on="utterance", how="left", maintain_order="left")
        if table["source"].null_count() or table.height != test.height:
            raise _unfit(modality, paths, f"{name} lacks a test utterance, or has it twice")
        order = table["source"].to_numpy()
        pooled, measured = (np.concatenate([arrays[array] for arrays in stored])[order] for array in own)
        results.append((condition, pooled, measured, table.drop("source")))
    return results


def _unfit(modality: str, paths: Sequence[Path], what: str) -> PipelineError:
    return PipelineError(
        f"{paths[0].parent}: {what}, so these are not the degraded features of this {FAMILY} protocol. Rerun "
        f"the stage degraded_{modality} for all shards."
    )


if __name__ == "__main__":
    stage.main(run, Params, inputs=("dataset", "text*", "audio*", "visual*"), outputs=("features", "levels"))
