"""Stage trust: the reliability inputs of all shards in a fold's order, normalised on its training split."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from models.modalities import MODALITIES
from pipeline.core import artefacts, stage
from pipeline.core.errors import PipelineError
from pipeline.core.registries.gauges import GAUGES, table_name
from pipeline.evaluation.trust import utterances_digest
from pipeline.settings.base import Settings
from pipeline.training.normalisation import LEAST_SCALE

log = logging.getLogger("pipeline")


class Params(Settings):
    """The stage has no settings."""


def run(params: Params, *, dataset: Path, gauges: Sequence[Path], trust: Path) -> None:
    """Write inputs by modality, float32 (U, K), NaN where not known, with the mean and scale of each column.

    Both are those of the known values of training utterances. Raises PipelineError if the shards lack an
    utterance of the dataset, or hold one twice.
    """
    table = artefacts.load_table(dataset / "utterances.parquet", ["utterance", "split"])
    columns = {name: [table_name(name, column) for column in GAUGES[name]] for name in MODALITIES}
    names = ["utterance", *(column for own in columns.values() for column in own)]
    found = pl.concat(artefacts.load_table(path, names).select(names) for path in gauges)
    joined = table.join(found.with_row_index("source"), on="utterance", how="left", maintain_order="left")
    if joined["source"].null_count() or joined.height != table.height:
        raise PipelineError(
            f"{gauges[0].parent}: the shards lack an utterance of {dataset}, or hold one twice. Rerun the "
            "stage gauges for all shards."
        )
    train = (joined["split"] == "train").to_numpy()
    arrays: dict[str, np.ndarray] = {}
    for name, own in columns.items():
        measured = joined.select(pl.col(own).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
        mean, scale = fitted(measured[train])
        arrays |= {f"{name}_mean": mean, f"{name}_scale": scale}
        arrays[name] = ((measured - mean) / scale).astype(np.float32)
        known = np.isfinite(measured).mean(0)
        log.info("%s: known of %s", name, dict(zip(GAUGES[name], known.round(3).tolist(), strict=True)))
    told = {"columns": json.dumps({name: list(own) for name, own in GAUGES.items()})}
    digest = utterances_digest(table["utterance"].to_list())
    artefacts.save_tensors(trust, arrays, told | {"utterances": digest})


def fitted(measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale, float32 (K,), of the known values (n, K); 0 and 1 where none is known."""
    known = np.isfinite(measured)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, measured, 0).sum(0) / count
    scale = np.sqrt(np.where(known, np.square(measured - mean), 0).sum(0) / count)
    return mean.astype(np.float32), np.where(scale < LEAST_SCALE, 1.0, scale).astype(np.float32)


if __name__ == "__main__":
    stage.main(run, Params, inputs=("dataset", "gauges*"), outputs=("trust",))
