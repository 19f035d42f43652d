"""The reliability inputs of a fold as networks read them (docs/unreliable.md, The trust gate)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.modalities import MODALITIES
from pipeline.core import artefacts
from pipeline.core.digests import facts_digest
from pipeline.core.errors import PipelineError


def utterances_digest(utterances: Sequence[str]) -> str:
    """What tells which utterances the rows are of."""
    return facts_digest({"utterances": list(utterances)})


@dataclass(frozen=True)
class Trust:
    """What stage trust wrote: K inputs a modality, in standard deviations from the training mean."""

    path: Path
    inputs: Mapping[str, np.ndarray]  # float32 (U, K), NaN where not known
    mean: Mapping[str, np.ndarray]  # float32 (K,)
    scale: Mapping[str, np.ndarray]
    columns: Mapping[str, Sequence[str]]
    utterances: str  # digest

    @classmethod
    def load(cls, path: Path) -> "Trust":
        """Read the file of a fold; raises PipelineError if it is none."""
        names = [name for one in MODALITIES for name in (one, f"{one}_mean", f"{one}_scale")]
        arrays, metadata = artefacts.load_tensors(path, names), artefacts.load_metadata(path)
        return cls(
            path,
            {name: arrays[name] for name in MODALITIES},
            {name: arrays[f"{name}_mean"] for name in MODALITIES},
            {name: arrays[f"{name}_scale"] for name in MODALITIES},
            json.loads(metadata["columns"]),
            metadata["utterances"],
        )

    @property
    def counts(self) -> dict[str, int]:
        """K by modality."""
        return {name: int(values.shape[1]) for name, values in self.inputs.items()}

    def check(self, utterances: Sequence[str]) -> None:
        """Raise PipelineError if the rows are not these utterances."""
        if self.utterances != utterances_digest(utterances):
            raise PipelineError(
                f"{self.path}: its rows are of other utterances than the dataset's. Delete it and rerun the "
                "stage trust."
            )

    def normalised(self, modality: str, measured: np.ndarray) -> np.ndarray:
        """Inputs of degraded media (T, K) as `inputs` are; raises PipelineError if they are others."""
        if measured.shape[1] != len(self.mean[modality]):
            raise PipelineError(
                f"{self.path}: it has {len(self.mean[modality])} reliability inputs of {modality}, and the "
                f"degraded media have {measured.shape[1]}. Rerun the stages gauges and degraded_{modality}."
            )
        return ((measured - self.mean[modality]) / self.scale[modality]).astype(np.float32)
