"""How the features of one modality and shard are written (docs/artefacts.md, Features)."""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.reruns.partial import Piece

log = logging.getLogger("pipeline")

Pooling = Callable[[np.ndarray], np.ndarray]
INDEX = {"utterance": pl.String, "available": pl.Boolean, "reason": pl.String, "count": pl.Int32}


def mean(frames: np.ndarray) -> np.ndarray:
    """The mean of the frames, summed in double precision: (n, d) to (d,)."""
    return frames.mean(0, dtype=np.float64)


def pooling(encoder: Any) -> Pooling:
    """How an encoder's frames become the vector of an utterance: by its own `pooled`, or by their mean."""
    return getattr(encoder, "pooled", mean)


class FeatureTable:
    """Features of the utterances of a shard, gathered in any order and written in the shard's order.

    dimension: of the vector of an utterance; width: of its frames, if that is another.
    """

    def __init__(
        self, utterances: Sequence[str], dimension: int, keep_frames: bool, width: int | None = None
    ) -> None:
        self.utterances, self.dimension, self.keep_frames = list(utterances), dimension, keep_frames
        self.width = dimension if width is None else width
        self.pooled = np.zeros((len(utterances), dimension), np.float32)
        self.place = {name: place for place, name in enumerate(utterances)}
        self.count = [0] * len(utterances)
        self.reason: list[str | None] = ["not_processed"] * len(utterances)
        self.frames = [self._no_frames()] * len(utterances)
        self.notes: dict[str, Any] = {}  # what is told in the metadata, by medium

    @classmethod
    def of(cls, encoder: Any, utterances: Sequence[str], keep_frames: bool) -> "FeatureTable":
        """A table for what this encoder makes."""
        return cls(utterances, encoder.dimension, keep_frames, getattr(encoder, "width", None))

    def add(self, utterance: str, frames: np.ndarray, pool: Pooling = mean) -> None:
        """The unpooled features of one utterance, float32 (n >= 1, width), and how they are pooled.

        Raises PipelineError if they are not finite.
        """
        if not np.isfinite(frames).all() or not len(frames):
            raise PipelineError(
                f"utterance {utterance}: the encoder gave {len(frames)} frames, not all of them finite. "
                "Check the encoder's weights; if only this utterance fails, look at its medium."
            )
        place = self.place[utterance]
        self.pooled[place] = pool(frames)
        self.count[place], self.reason[place] = len(frames), None
        if self.keep_frames:
            self.frames[place] = frames.astype(np.float32, copy=False)

    def absent(self, utterance: str, reason: str) -> None:
        """Record why an utterance has no features."""
        self.reason[self.place[utterance]] = reason

    def packed(self) -> Piece:
        """All that the table holds, as a piece of a larger one (`put`)."""
        arrays = {"pooled": self.pooled, "frames": np.concatenate([self._no_frames(), *self.frames])}
        return arrays, {
            "utterances": self.utterances,
            "count": self.count,
            "reason": self.reason,
            "notes": self.notes,
        }

    def put(self, piece: Piece) -> None:
        """Take over the utterances of a smaller table, as `packed` gave it."""
        arrays, facts = piece
        self.notes |= facts["notes"]
        first = 0
        for own, name in enumerate(facts["utterances"]):
            place = self.place[name]
            self.pooled[place] = arrays["pooled"][own]
            self.count[place], self.reason[place] = facts["count"][own], facts["reason"][own]
            if self.keep_frames:
                self.frames[place] = arrays["frames"][first : first + self.count[place]]
                first += self.count[place]

    def _no_frames(self) -> np.ndarray:
        return np.zeros((0, self.width), np.float32)

    def save(self, features: Path, index: Path) -> None:
        """Write both files; raises if an utterance was neither added nor declared absent."""
        if "not_processed" in self.reason:
            raise RuntimeError(f"{self.utterances[self.reason.index('not_processed')]} was forgotten")
        arrays = {"pooled": self.pooled}
        if self.keep_frames:
            arrays["frames"] = np.concatenate([self._no_frames(), *self.frames])
            arrays["offsets"] = np.cumsum([0, *self.count], dtype=np.int64)
        table = pl.DataFrame(
            {
                "utterance": self.utterances,
                "available": [reason is None for reason in self.reason],
                "reason": self.reason,
                "count": self.count,
            },
            schema=INDEX,
        )
        artefacts.save_tensors(
            features, arrays, {"notes": json.dumps(self.notes, sort_keys=True)} if self.notes else None
        )
        artefacts.save_table(index, table)
        absences = dict(table["reason"].drop_nulls().value_counts(sort=True).iter_rows())
        log.info("%d utterances of %d features, absent: %s", len(table), self.dimension, absences)


def counts(piece: Piece) -> tuple[int, int]:
    """How many utterances a packed table holds, and how many of them are absent."""
    reasons = piece[1]["reason"]
    return len(reasons), sum(reason is not None for reason in reasons)
