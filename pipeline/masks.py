"""Stage: draw the random-missing masks once, for every variant and seed (docs/method.md, "Protocols").

The validation and the test split are drawn apart, so that each meets its rate by itself.
"""

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from models.conditions import Condition
from models.masks import missing_rate, random_masks, reachable_rate
from pipeline.core import artefacts, stage
from pipeline.core.errors import PipelineError
from pipeline.settings.base import Settings
from pipeline.settings.protocol import RandomSettings

log = logging.getLogger("pipeline")
MASKED_SPLITS = ("val", "test")


class Params(Settings):
    """Settings of the masks stage."""

    random: RandomSettings = Field(RandomSettings(), description="The random-missing protocol, P3.")
    seed: int = Field(7, ge=0, description="Seed of the masks.")


def run(params: Params, *, dataset: Path, masks: Path) -> None:
    """Write `random/{rate}/{draw}` uint8 (U, 3), with digest and realised rates in the metadata."""
    available = artefacts.load_tensors(dataset / "features.safetensors", ["available"])["available"] > 0
    split = artefacts.load_table(dataset / "utterances.parquet", ["split"])["split"].to_numpy()
    tensors, realised = draw_masks(available, split, params.random, params.seed)
    test = split == "test"
    metadata = {
        "digest": masks_digest(tensors),
        "realised": json.dumps(realised, sort_keys=True),
        "absence": json.dumps(float(1 - available[test].mean())),
    }
    artefacts.save_tensors(masks, tensors, metadata)
    log.info("masks %s, realised on the test split: %s", metadata["digest"][:12], metadata["realised"])


def draw_masks(
    available: np.ndarray, split: np.ndarray, settings: RandomSettings, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Masks (U, 3) by name, and the realised missing rate of the test split by rate.

    Rows of other splits repeat `available`. Raises PipelineError if a split has no slot, or if a mask misses
    its rate (or the reachable maximum, where that is less) by more than one slot.
    """
    tensors, realised = {}, {}
    for rate in settings.rates:
        reached = []
        for draw in range(settings.draws):
            name = str(Condition.random(rate, draw))
            shown = available.copy()
            for number, part in enumerate(MASKED_SPLITS):
                rows = torch.from_numpy(available[split == part])
                if not rows.any():
                    raise PipelineError(
                        f"split {part!r}: no utterance of it has any modality available, so no mask can be "
                        "drawn. Check the splits and the absence counts in dataset/facts.json."
                    )
                # the rate, and not its place in the list, so that adding a rate changes no other mask
                state = np.random.SeedSequence([seed, number, round(rate * 1_000_000), draw])
                generator = torch.Generator().manual_seed(int(state.generate_state(1, np.uint64)[0] >> 1))
                view = random_masks(rows, rate, generator)
                _check_rate(name, part, rows, view, rate)
                shown[split == part] = view.numpy()
                if part == "test":
                    reached.append(missing_rate(rows, view))
            tensors[name] = shown.astype(np.uint8)
        realised[f"{rate:g}"] = float(np.mean(reached))
    return tensors, realised


def _check_rate(name: str, part: str, rows: torch.Tensor, view: torch.Tensor, rate: float) -> None:
    slots, realised, wanted = int(rows.sum()), missing_rate(rows, view), reachable_rate(rows, rate)
    limit = 1 - int(rows.any(dim=1).sum()) / slots
    if abs(realised - min(rate, limit)) > 1 / slots or abs(realised - wanted) > 1e-9:
        raise PipelineError(
            f"mask {name}, split {part!r}: the missing rate came out as {realised:.4f} where "
            f"{min(rate, limit):.4f} was asked for. This is a defect of the sampler in models/masks.py."
        )


def masks_digest(tensors: dict[str, np.ndarray]) -> str:
    """SHA-256 over names and contents, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].shape}".encode())
        digest.update(np.packbits(tensors[name]).tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    stage.main(run, Params, inputs=("dataset",), outputs=("masks",))
