"""Stage: fused states of the teacher and of every student under missing modalities, in two dimensions.

The plane is the first two principal components of the teacher's states of the test utterances under the
complete view. A student that is anchored to those states is drawn into their basis; any other shares no more
than the initial parameters of its seed.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from pydantic import Field
from sklearn.decomposition import PCA

from models.batch import Batch
from models.conditions import COMPLETE, Condition
from models.modalities import MODALITIES
from pipeline.core import artefacts, stage
from pipeline.core.device import prepare
from pipeline.evaluation import families
from pipeline.evaluation.passes import DIALOGUES, clean_states, viewed
from pipeline.evaluation.protocol import Frozen
from pipeline.settings.compute import ComputeSettings
from pipeline.training import checkpoint
from pipeline.training.dialogues import Dataset
from pipeline.training.networks import as_read_by, name_of

log = logging.getLogger("pipeline")


class Params(ComputeSettings):
    """Settings of the states stage."""

    batch: int = Field(4096, ge=1, description="Utterances, with padding, in one forward pass.")


def run(
    params: Params,
    *,
    dataset: Path,
    masks: Path,
    teacher: Path,
    students: list[Path],
    states: Path,
    facts: Path,
    trust: Sequence[Path] = (),
) -> None:
    """Write one row a test utterance, condition (first draw) and network, and the variance explained.

    Students are `student/{variant}/{seed}/weights.safetensors`. Columns: `variant`, `condition`, `row`, `x`,
    `y` (the plane) and `cosine`, to the teacher's state of the same utterance under the complete view.
    trust: reliability inputs, one file if a network reads them, else none.
    """
    device = prepare(params.device, params.threads)
    data = Dataset.load(dataset)
    plain = Batch.cat(data.batches(("test",), DIALOGUES)).to(device)
    rows = plain.row[plain.valid].cpu().numpy()
    # the first draw of every view
    views = [view for view in families.views(Frozen.load(dataset, masks)) if view.draw == 0]
    plane, anchor = None, None
    explained: list[float] = []
    frames = []
    for path in (teacher, *students):
        variant = path.parents[1].name
        network, seen = checkpoint.load_network(path)
        network = network.to(device).eval()
        own = as_read_by(name_of(network), data, trust)
        test = plain if own is data else Batch.cat(own.batches(("test",), DIALOGUES)).to(device)
        may_see = torch.tensor([name in seen for name in MODALITIES], device=device)
        for view in views:
            fused = clean_states(network, viewed(test, view, may_see), params.batch).double().cpu().numpy()
            if plane is None or anchor is None:
                assert view.condition == COMPLETE
                plane, anchor = PCA(n_components=2, svd_solver="full").fit(fused), fused
                explained = plane.explained_variance_ratio_.tolist()
            places, cosine = plane.transform(fused), _cosine(fused, anchor)
            frames.append(_table(variant, view.condition, rows, places, cosine))
        log.info("%s: %d states", variant, sum(len(frame) for frame in frames))
    artefacts.save_table(states, pl.concat(frames))
    artefacts.save_json(facts, {"explained": explained, "seed": int(teacher.parent.name)})


def _table(
    variant: str, condition: Condition, rows: np.ndarray, places: np.ndarray, cosine: np.ndarray
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "variant": pl.repeat(variant, len(rows), eager=True),
            "condition": pl.repeat(str(condition), len(rows), eager=True),
            "row": pl.Series(rows, dtype=pl.Int32),
            "x": pl.Series(places[:, 0], dtype=pl.Float32),
            "y": pl.Series(places[:, 1], dtype=pl.Float32),
            "cosine": pl.Series(cosine, dtype=pl.Float32),
        }
    )


def _cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cosine of each pair of rows, 0 where one of them is zero."""
    length = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    product = (one * other).sum(axis=1)
    return np.divide(product, length, out=np.zeros(len(product)), where=length > 0)


if __name__ == "__main__":
    stage.main(
        run,
        Params,
        inputs=("dataset", "masks", "teacher", "students*", "trust*"),
        outputs=("states", "facts"),
    )
