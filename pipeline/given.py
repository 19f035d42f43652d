"""Stage given: features of one modality and shard, out of arrays that were extracted elsewhere."""

from pathlib import Path

import numpy as np
from pydantic import Field

from models.modalities import Modality
from pipeline.core import absence, stage
from pipeline.core.errors import PipelineError
from pipeline.corpora import features as layout
from pipeline.corpora import reading
from pipeline.extraction.feature_table import FeatureTable
from pipeline.extraction.shard import load_shard
from pipeline.settings.base import Settings


class Params(Settings):
    """Settings of the stage."""

    folder: str = Field(description="folder of the extracted features (corpus.folder)")
    modality: Modality = Field(description="which array file is read")


def presence(path: Path, pooled: np.ndarray, available: np.ndarray | None) -> np.ndarray:
    """Which rows are there, bool (U,): as `available` says; without it, all but rows that are NaN throughout.

    Raises PipelineError for an `available` of another length or of anything but 0 and 1 (or false and true),
    or a present row that is not finite.
    """
    if available is None:
        present = ~np.isnan(pooled).all(axis=1)
    elif available.shape != (len(pooled),):
        raise PipelineError(
            f"{path}: `available` has the shape {available.shape}, expected ({len(pooled)},). Write it anew."
        )
    else:
        present = _flags(path, available)
    faulty = present & ~np.isfinite(pooled).all(axis=1)
    if faulty.any():
        raise PipelineError(
            f"{path}, row {int(faulty.argmax())} of `pooled` (the first is 0): not finite. Mend the "
            "features, or set `available` to 0 there."
        )
    return present


def _flags(path: Path, available: np.ndarray) -> np.ndarray:
    """bool (U,). Of NaN or of text every row would count as there."""
    if available.dtype.kind not in "biuf":
        raise PipelineError(f"{path}: `available` holds {available.dtype}, expected 0 and 1. Write it anew.")
    odd = (available != 0) & (available != 1)
    if odd.any():
        row = int(odd.argmax())
        raise PipelineError(
            f"{path}, row {row} of `available` (the first is 0): {available[row]}, expected 0 or 1. Write it "
            "anew."
        )
    return available.astype(bool)


def run(params: Params, *, shard: Path, features: Path, index: Path) -> None:
    """Write the rows of one shard; what was not given is absent, with that reason."""
    names = load_shard(shard, ["utterance"])["utterance"].to_list()
    folder = reading.located(params.folder)
    found = layout.arrays(folder, params.modality)
    if found is None:
        table = FeatureTable(names, 1, keep_frames=False)
        for name in names:
            table.absent(name, absence.NOT_GIVEN)
        table.save(features, index)
        return
    path, arrays = found
    source, known = layout.index(folder)
    pooled = arrays["pooled"].astype(np.float32)
    if len(pooled) != known.height:
        raise PipelineError(
            f"{path}: {len(pooled)} rows, {source} has {known.height}. They must agree in number and order."
        )
    present = presence(path, pooled, arrays.get("available"))
    place = {name: row for row, name in enumerate(known["utterance"])}
    table = FeatureTable(names, pooled.shape[1], keep_frames=False)
    for name in names:
        if name not in place:
            raise PipelineError(
                f"{source}: no utterance {name!r}, which {shard} has. Rerun the stage manifest."
            )
        row = place[name]
        if present[row]:
            table.add(name, pooled[row : row + 1])
        else:
            table.absent(name, absence.NOT_GIVEN)
    table.save(features, index)


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard",), outputs=("features", "index"))
