"""The crops of a shard's utterances, as the stage faces left them, and the encoder that reads them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.core.registries import encoders
from pipeline.settings.encoders import VisualSettings


@dataclass(frozen=True)
class Chosen:
    """The chosen face of one utterance; `crops` are empty where there is none, for a reason."""

    utterance: str
    reason: str | None
    score: float | None  # by which it was taken for the speaker's
    probability: list[float]  # of its detections, one a crop
    crops: np.ndarray  # uint8 (n, s, s, 3)


@dataclass(frozen=True)
class Crops:
    """All crops of a shard, uint8 (n, s, s, 3), and whose they are, in the order of the shard."""

    crops: np.ndarray
    chosen: list[Chosen]

    @staticmethod
    def load(faces: Path, shard: Path, names: list[str]) -> "Crops":
        """Read what was found. Raises PipelineError if the faces belong to another shard."""
        found = artefacts.load_table(faces / "utterances.parquet", ["utterance", "score", "reason", "crops"])
        boxes = artefacts.load_table(faces / "crops.parquet", ["utterance", "probability"])
        crops = artefacts.load_tensors(faces / "crops.safetensors", ["crops"])["crops"]
        if found["utterance"].to_list() != names or not len(boxes) == len(crops) == found["crops"].sum():
            raise PipelineError(
                f"{faces}: not the faces of {shard}. Delete the folder and rerun the stage faces."
            )
        sure = boxes["probability"].cast(pl.Float64).fill_null(float("nan")).to_list()
        return Crops(crops, list(_each(found, sure, crops)))


def _each(found: pl.DataFrame, probability: list[float], crops: np.ndarray) -> Iterator[Chosen]:
    first = 0
    for name, reason, score, count in found.select("utterance", "reason", "score", "crops").iter_rows():
        last = first + count
        yield Chosen(name, reason, score, probability[first:last], crops[first:last])
        first = last


def loaded(folder: Path, settings: VisualSettings, device: torch.device) -> tuple[Any, int]:
    """The encoder of faces, and the crops that it takes at once."""
    batch = settings.crops if device.type == "cuda" else settings.batch
    own = settings.model_copy(update={"batch": batch})
    return encoders.encoder("visual", folder).load(folder, own, device), batch
