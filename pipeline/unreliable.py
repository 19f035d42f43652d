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
from pipeline.core.registries.degradations import DEGRADATIONS, FAMILY, OTHER_WORDS, SOURCES, gauges_of
from pipeline.settings.base import Settings
from pipeline.training import normalisation

log = logging.getLogger("pipeline")

COLUMNS = ["condition", "utterance", "available", "reason", "realised", "of"]


class Params(Settings):
    """The stage has no settings: what was degraded says how."""


def run(
    params: Params,
    *,
    dataset: Path,
    text: Sequence[Path],
    audio: Sequence[Path],
    visual: Sequence[Path],
    words: Sequence[Path] = (),
    features: Path,
    levels: Path,
) -> None:
    """Write the features by condition, float32 (T, D) for the T test utterances, and the table of levels.

    text, audio, visual: of all shards, none where nothing of that modality is degraded; words: those of other
    sources of words, none where no other is compared. Raises PipelineError if the shards lack a test
    utterance, or are of other encoders than the dataset's.
    """
    utterances = artefacts.load_table(dataset / "utterances.parquet", ["row", "utterance", "split"])
    test = utterances.filter(pl.col("split") == "test").sort("row")
    known = artefacts.load_tensors(dataset / "features.safetensors")
    found: dict[Condition, tuple[np.ndarray, pl.DataFrame]] = {}
    gauges: dict[str, np.ndarray] = {}
    made_by = {f"degraded_{name}": name for name in MODALITIES} | {"word_sources": "text"}
    for (stage_, modality), paths in zip(made_by.items(), (text, audio, visual, words), strict=True):
        fitted = normalisation.stored(known, modality)
        for condition, pooled, measured, table in joined(stage_, paths, test):
            if pooled.shape[1] != len(fitted.mean):
                raise PipelineError(
                    f"{paths[0]}: {pooled.shape[1]} features, the dataset has {len(fitted.mean)}. Rerun the "
                    f"stage {stage_} for all shards."
                )
            gauges[gauges_of(condition)] = measured
            found[condition] = (fitted(pooled, table["available"].to_numpy().astype(bool)), table)
    order = [*((FAMILY, kind) for kind in DEGRADATIONS), *((OTHER_WORDS, kind) for kind in SOURCES)]
    # stable: levels stay in their order
    names = sorted(found, key=lambda name: order.index((name.family, name.kind)))
    arrays = {str(name): found[name][0] for name in names}
    arrays |= gauges
    arrays["rows"] = test["row"].to_numpy()
    arrays["available"] = np.array([found[name][1]["available"].to_numpy() for name in names], np.uint8)
    realised = {str(name): _mean(found[name][1]) for name in names}
    artefacts.save_tensors(features, arrays, {"realised": json.dumps(realised)})
    artefacts.save_table(levels, pl.concat(found[name][1].select("row", *COLUMNS) for name in names))
    for name, level in realised.items():
        log.info("%s: %s", name, "no level" if level is None else f"{level:.3f} on average")


def _mean(levels: pl.DataFrame) -> float | None:
    """Of those that are known, each as often as what it is a mean of; None if none is known."""
    known = levels.filter(pl.col("realised").is_not_null())
    if known.is_empty():
        return None
    return float(np.average(known["realised"].to_numpy(), weights=known["of"].fill_null(1).to_numpy()))


def joined(
    made_by: str, paths: Sequence[Path], test: pl.DataFrame
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
            raise _unfit(made_by, paths, f"a shard has no features of {name}, or another number")
        index = pl.concat(parts).with_row_index("source")
        table = test.select("row", "utterance").join(index, on="utterance", how="left", maintain_order="left")
        if table["source"].null_count() or table.height != test.height:
            raise _unfit(made_by, paths, f"{name} lacks a test utterance, or has it twice")
        order = table["source"].to_numpy()
        pooled, measured = (np.concatenate([arrays[array] for arrays in stored])[order] for array in own)
        results.append((condition, pooled, measured, table.drop("source")))
    return results


def _unfit(made_by: str, paths: Sequence[Path], what: str) -> PipelineError:
    return PipelineError(
        f"{paths[0].parent}: {what}, so these are not the degraded features of this {FAMILY} protocol. Rerun "
        f"the stage {made_by} for all shards."
    )


if __name__ == "__main__":
    stage.main(
        run,
        Params,
        inputs=("dataset", "text*", "audio*", "visual*", "words*"),
        outputs=("features", "levels"),
    )
