"""What the stages of degraded media share: whose media, under which conditions, and how it is written."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from models.conditions import Condition
from pipeline.core import artefacts
from pipeline.core.registries.degradations import DEGRADATIONS, FAMILY, about, gauges_of
from pipeline.core.registries.gauges import GAUGES
from pipeline.extraction.feature_table import FeatureTable
from pipeline.settings.unreliable import UnreliableSettings

log = logging.getLogger("pipeline")

INDEX = {
    "condition": pl.String,
    "utterance": pl.String,
    "available": pl.Boolean,
    "reason": pl.String,
    "realised": pl.Float64,
    "of": pl.Int32,
}


def asked(settings: UnreliableSettings, modality: str) -> dict[Condition, tuple[str, float]]:
    """The conditions of one modality, in the order of the results, with their kind and level."""
    return {
        Condition(FAMILY, kind=kind, level=f"{level:g}"): (kind, level)
        for kind, known in DEGRADATIONS.items()
        if kind in settings.kinds and known.modality == modality
        for level in settings.levels(kind)
    }


def tested(shard: Path, splits: Sequence[Path]) -> list[str]:
    """The utterances of a shard that are test utterances of some fold, in the order of the shard."""
    dialogues: set[str] = set()
    for path in splits:
        table = artefacts.load_table(path, {"dialogue": pl.String, "split": pl.String})
        dialogues |= set(table.filter(pl.col("split") == "test")["dialogue"])
    rows = artefacts.load_table(shard, {"utterance": pl.String, "dialogue": pl.String})
    return rows.filter(pl.col("dialogue").is_in(list(dialogues)))["utterance"].to_list()


class DegradedTable:
    """Features and reliability inputs of some utterances under every condition, gathered in any order."""

    def __init__(self, utterances: Sequence[str], conditions: Sequence[Condition], dimension: int) -> None:
        self.parts = {name: FeatureTable(utterances, dimension, keep_frames=False) for name in conditions}
        self.realised: dict[Condition, dict[str, float]] = {name: {} for name in conditions}
        # how many (words) the level of an utterance is a mean of, where that counts in the mean over all
        self.of: dict[Condition, dict[str, int]] = {name: {} for name in conditions}
        self.gauges: dict[Condition, dict[str, np.ndarray]] = {name: {} for name in conditions}

    def absent(self, utterance: str, reason: str) -> None:
        """An utterance that has nothing to degrade."""
        for part in self.parts.values():
            part.absent(utterance, reason)

    def absent_under(self, condition: Condition, utterance: str, reason: str) -> None:
        """An utterance of which nothing is left under one condition."""
        self.parts[condition].absent(utterance, reason)

    def save(self, features: Path, index: Path) -> None:
        """Write both files; a level that is not finite (nothing was changed, or all is lost) is null."""
        rows = []
        for name, part in self.parts.items():
            for utterance, reason in zip(part.utterances, part.reason, strict=True):
                if reason == "not_processed":
                    raise RuntimeError(f"{utterance} was forgotten under {name}")
                level = self.realised[name].get(utterance)
                finite = level if level is not None and abs(level) != float("inf") else None
                of = self.of[name].get(utterance)
                rows.append((str(name), utterance, reason is None, reason, finite, of))
        table = pl.DataFrame(rows, schema=INDEX, orient="row")
        named = json.dumps([str(name) for name in self.parts])
        arrays = {str(name): part.pooled for name, part in self.parts.items()}
        arrays |= {gauges_of(name): self._gauges(name) for name in self.parts}
        artefacts.save_tensors(features, arrays, {"conditions": named})
        artefacts.save_table(index, table)
        for (name,), own in table.group_by("condition", maintain_order=True):
            absences = dict(own["reason"].drop_nulls().value_counts(sort=True).iter_rows())
            log.info("%s: %s of %s, absent: %s", name, _mean(own), _measured(str(name)), absences)

    def _gauges(self, condition: Condition) -> np.ndarray:
        """The reliability inputs, float32 (N, K), NaN where nothing was measured."""
        own, utterances = self.gauges[condition], self.parts[condition].utterances
        unknown = np.full(len(GAUGES[about(condition).modality]), np.nan)
        values = [own.get(name, unknown) for name in utterances]
        return np.array(values, np.float32).reshape(len(utterances), len(unknown))


def _mean(own: pl.DataFrame) -> str:
    known = own["realised"].drop_nulls().to_numpy()
    return f"{known.mean():.3g}" if len(known) else "none"


def _measured(name: str) -> str:
    return about(Condition.parse(name)).measured
