"""What the stages of degraded media share: whose media, under which conditions, and how it is written."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl

from models.conditions import Condition
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.core.progress import Tally
from pipeline.core.registries.degradations import DEGRADATIONS, FAMILY, about, gauges_of
from pipeline.core.registries.gauges import GAUGES
from pipeline.extraction.feature_table import FeatureTable
from pipeline.reruns.partial import Piece, Pieces
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

    def packed(self) -> Piece:
        """All that the table holds, as a piece of a larger one (`put`)."""
        arrays, facts = {}, {}
        for name, part in self.parts.items():
            own, told = part.packed()
            arrays[str(name)], arrays[gauges_of(name)] = own["pooled"], self._gauges(name)
            facts[str(name)] = told | {"realised": self.realised[name], "of": self.of[name]}
        return arrays, facts

    def put(self, piece: Piece) -> None:
        """Take over utterances and conditions of a smaller table, as `packed` gave it."""
        arrays, facts = piece
        for text, told in facts.items():
            name = Condition.parse(text)
            self.parts[name].put(({"pooled": arrays[text]}, told))
            self.realised[name] |= told["realised"]
            self.of[name] |= told["of"]
            self.gauges[name] |= zip(told["utterances"], arrays[gauges_of(name)], strict=True)

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


Make: TypeAlias = Callable[[Condition, str, float], DegradedTable]


def one_by_one(
    output: DegradedTable, conditions: Mapping[Condition, tuple[str, float]], pieces: Pieces, make: Make
) -> None:
    """Fill a table, a condition after the other; what an earlier try has done is kept.

    make: of a condition, its kind and level the table of that condition.
    """
    tasks = list(conditions)
    with Tally("conditions", len(tasks)) as done:
        for piece in pieces.of(tasks, lambda condition: make(condition, *conditions[condition]).packed()):
            output.put(piece)
            done.add(1)


def heard_words(
    words: Sequence[Path], conditions: Sequence[Condition], own: Sequence[str]
) -> dict[tuple[str, str], tuple[str, float | None]]:
    """By condition and utterance what was heard, and how sure it is; nothing where that is not asked for.

    words: tables of the stage degraded_words. Raises PipelineError if they lack one of `own`.
    """
    if not conditions:
        return {}
    columns = ["condition", "utterance", "text", "words_confidence"]
    rows = [row for path in words for row in artefacts.load_table(path, columns).iter_rows()]
    found = {(condition, name): (text or "", sure) for condition, name, text, sure in rows}
    lacking = [(str(one), name) for one in conditions for name in own if (str(one), name) not in found]
    if lacking:
        raise PipelineError(
            f"{', '.join(map(str, words)) or '--words'}: what a recogniser hears of {lacking[0][1]!r} under "
            f"{lacking[0][0]} is not there. Rerun the stage degraded_words."
        )
    return found


def _mean(own: pl.DataFrame) -> str:
    known = own["realised"].drop_nulls().to_numpy()
    return f"{known.mean():.3g}" if len(known) else "none"


def _measured(name: str) -> str:
    return about(Condition.parse(name)).measured
