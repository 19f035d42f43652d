"""What lets an interrupted training go on: the state of its last whole epoch.

All randomness of an epoch is seeded by (seed, epoch), so the weights, the optimiser's moments and the history
are the whole state, and a resumed run ends bit-equal on a CPU.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from pipeline.core import artefacts
from pipeline.reruns.partial import PartialFolder, whole


class ResumeFolder(PartialFolder):
    """One file an epoch with its weights, and one with the state to go on from."""

    def save(
        self,
        epoch: int,
        weights: Mapping[str, np.ndarray],
        state: Mapping[str, np.ndarray],
        history: Sequence[Mapping],
    ) -> None:
        """Write the weights of a finished epoch, then the state; the second rename makes it count."""
        artefacts.save_tensors(self._weights(epoch), weights)
        metadata = {"epoch": str(epoch), "history": json.dumps(list(history))}
        artefacts.save_tensors(self.folder / "state.safetensors", state, metadata)

    def load(self) -> tuple[list[dict[str, np.ndarray]], dict[str, np.ndarray], list[dict]] | None:
        """Weights by epoch, the state and the history so far; None if nothing, or nothing whole, is there."""
        return whole(self.folder / "state.safetensors", self._load)

    def _load(self, path: Path) -> tuple[list[dict[str, np.ndarray]], dict[str, np.ndarray], list[dict]]:
        """What `load` gives; raises PipelineError if the state or the weights of an epoch are damaged."""
        metadata = artefacts.load_metadata(path)
        weights = [
            artefacts.load_tensors(self._weights(epoch)) for epoch in range(1, int(metadata["epoch"]) + 1)
        ]
        return weights, artefacts.load_tensors(path), json.loads(metadata["history"])

    def _weights(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:04d}.safetensors"


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, np.ndarray]:
    """The moments and steps of an optimiser as named arrays."""
    return {
        f"optimizer/{index}/{key}": torch.as_tensor(value).detach().cpu().numpy().copy()
        for index, entries in optimizer.state_dict()["state"].items()
        for key, value in entries.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, arrays: Mapping[str, np.ndarray]) -> None:
    """Put back what `optimizer_tensors` took."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in arrays.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/")
            state.setdefault(int(index), {})[key] = torch.from_numpy(value.copy())
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
