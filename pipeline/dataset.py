"""Stage dataset: the features of all shards joined to the manifest, normalised for one fold."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from models.modalities import MODALITIES
from pipeline.core import artefacts, stage
from pipeline.core.errors import PipelineError
from pipeline.settings.dataset import DatasetSettings
from pipeline.training import normalisation

log = logging.getLogger("pipeline")

SUMMARY = ("corpus", "task", "labels", "timed")  # what is taken over of the facts of the manifest


class Params(DatasetSettings):
    """Settings of the dataset stage; the fold is in its inputs."""


def join(modality: str, paths: Sequence[Path], utterances: Sequence[str]) -> tuple[np.ndarray, pl.DataFrame]:
    """Features float32 (U, D) and index (utterance, available, reason) of all shards, in manifest order.

    Raises PipelineError if the shards do not hold each utterance exactly once, or differ in width.
    """
    if not paths:
        raise PipelineError(f"--{modality}: no feature file was given; pass one path a shard.")
    arrays: list[np.ndarray] = []
    tables = []
    for path in paths:
        pooled = artefacts.load_tensors(path, ["pooled"])["pooled"]
        table = artefacts.load_table(path.with_suffix(".parquet"), ["utterance", "available", "reason"])
        if len(pooled) != len(table):
            raise PipelineError(
                f"{path}: {len(pooled)} rows, its index has {len(table)}. "
                f"Delete both and rerun stage {modality}."
            )
        if arrays and pooled.shape[1] != arrays[0].shape[1]:
            raise PipelineError(
                f"{path}: {pooled.shape[1]} features, the other shards have {arrays[0].shape[1]}. "
                f"Delete the features and rerun stage {modality}."
            )
        arrays.append(pooled)
        tables.append(table)
    index = pl.concat(tables).with_row_index("source")
    order = pl.DataFrame({"utterance": list(utterances)}).join(
        index, on="utterance", how="left", maintain_order="left"
    )
    missing = order.filter(pl.col("source").is_null())
    if missing.height or order.height != len(utterances) or index.height != len(utterances):
        name = missing["utterance"][0] if missing.height else "one that is not in the manifest, or twice"
        raise PipelineError(
            f"{paths[0].parent}: the shards hold {index.height} utterances, the manifest {len(utterances)}; "
            f"wrong is {name}. Rerun stage {modality} for all shards."
        )
    return np.concatenate(arrays)[order["source"].to_numpy()], order.drop("source")


def count_absences(table: pl.DataFrame) -> dict[str, dict[str, dict[str, int]]]:
    """Absent utterances by split, modality and reason."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for split in sorted(table["split"].unique()):
        own = table.filter(split=split)
        counts[split] = {
            modality: dict(
                own[f"reason_{modality}"].drop_nulls().value_counts().sort(f"reason_{modality}").iter_rows()
            )
            for modality in MODALITIES
        }
    return counts


def run(
    params: Params,
    *,
    manifest: Path,
    facts: Path,
    splits: Path,
    text: Sequence[Path],
    audio: Sequence[Path],
    visual: Sequence[Path],
    folder: Path,
) -> None:
    """Write features.safetensors, utterances.parquet and facts.json of one fold."""
    columns = ["utterance", "dialogue", "position", "speaker", "label", "score"]
    rows = artefacts.load_table(manifest, columns)
    table = rows.join(artefacts.load_table(splits, ["dialogue", "split"]), on="dialogue", how="left")
    table = (
        table.sort("dialogue", "position").with_row_index("row").with_columns(pl.col("row").cast(pl.Int32))
    )
    if table["split"].null_count() or table.height != rows.height:
        raise PipelineError(f"{splits}: not the splits of {manifest}. Rerun stage splits.")
    utterances, train = table["utterance"].to_list(), (table["split"] == "train").to_numpy()
    arrays: dict[str, np.ndarray] = {}
    available, dimensions = [], {}
    for modality, paths in zip(MODALITIES, (text, audio, visual), strict=True):
        features, index = join(modality, paths, utterances)
        own = index["available"].to_numpy().astype(bool)
        if not (own & train).any():
            log.info("%s: not one training utterance has it", modality)
        fitted = normalisation.fit(
            features, own & train, params.shrinkage if modality in params.whiten else None
        )
        arrays |= {modality: fitted(features, own), **fitted.arrays(modality)}
        available.append(own)
        dimensions[modality] = int(features.shape[1])
        table = table.with_columns(index["reason"].alias(f"reason_{modality}"))
    arrays["available"] = np.stack(available, 1).astype(np.uint8)
    known = artefacts.load_json(facts, SUMMARY)
    absent = count_absences(table)
    order = ["row", "utterance", "dialogue", "position", "speaker", "split", "label", "score"]
    with artefacts.replacing_folder(folder) as target:
        artefacts.save_tensors(target / "features.safetensors", arrays)
        reasons = [f"reason_{modality}" for modality in MODALITIES]
        artefacts.save_table(target / "utterances.parquet", table.select(*order, *reasons))
        summary = {key: known[key] for key in SUMMARY}
        artefacts.save_json(target / "facts.json", summary | {"dimensions": dimensions, "absent": absent})
    for split, counts in absent.items():
        log.info("%s: %d utterances, absent: %s", split, table.filter(split=split).height, counts)


if __name__ == "__main__":
    stage.main(
        run,
        Params,
        inputs=("manifest", "facts", "splits", "text*", "audio*", "visual*"),
        outputs=("folder",),
    )
