"""What lets an interrupted training go on: the state of its last whole epoch.

It lies in a hidden folder beside the outputs, named by a digest of code, settings and inputs, so that an
edit never resumes old weights. All randomness of an epoch is seeded by (seed, epoch), so the weights, the
optimiser's moments and the history are the whole state, and a resumed run ends bit-equal on a CPU.
"""

import json
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from pipeline import artefacts
from pipeline.codehash import code_digest

PREFIX = ".resume-"


def run_digest(module: str, settings: Mapping, inputs: Sequence[Path], device: torch.device) -> str:
    """Digest of the code of a stage, its settings, the contents of its inputs, torch and the device."""
    files = sorted(
        file for path in inputs for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()
    )
    return artefacts.facts_digest(
        {
            "code": code_digest(module),
            "settings": dict(settings),
            "inputs": [artefacts.file_digest(file) for file in files],
            "torch": torch.__version__,
            "device": device.type,
        }
    )


class ResumeFolder:
    """One file an epoch with its weights, and one with the state to go on from."""

    def __init__(self, beside: Path, digest: str) -> None:
        """`beside`: any output of the run. Folders of other digests there are stale and go away."""
        self.folder = beside.parent / f"{PREFIX}{digest[:20]}"
        for other in beside.parent.glob(f"{PREFIX}*"):
            if other != self.folder:
                shutil.rmtree(other)

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
        """Weights by epoch, the state and the history so far; None if there is nothing to resume."""
        path = self.folder / "state.safetensors"
        if not path.exists():
            return None
        metadata = artefacts.load_metadata(path)
        weights = [
            artefacts.load_tensors(self._weights(epoch)) for epoch in range(1, int(metadata["epoch"]) + 1)
        ]
        return weights, artefacts.load_tensors(path), json.loads(metadata["history"])

    def clear(self) -> None:
        """Delete the folder: the outputs are written."""
        if self.folder.exists():
            shutil.rmtree(self.folder)

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


@contextmanager
def leaving_on_sigterm() -> Iterator[None]:
    """Within the block SIGTERM (a cluster's walltime or preemption) leaves by SystemExit, status 143.

    So temporary files are cleaned up; the state on disk is always that of the last whole epoch.
    """
    former = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
