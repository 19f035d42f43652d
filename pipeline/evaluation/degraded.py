"""The features of degraded media as a fold's protocol reads them (docs/unreliable.md)."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from models.conditions import Condition
from models.modalities import LETTERS, MODALITIES, SUBSETS
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.core.registries.degradations import about, gauges_of
from pipeline.evaluation.trust import Trust


def letter(condition: Condition) -> str:
    """The letter of the modality that a condition degrades."""
    return LETTERS[MODALITIES.index(about(condition).modality)]


def missing(condition: Condition) -> Condition:
    """The view of P2 in which the degraded modality is missing."""
    rest = set(LETTERS) - {letter(condition)}
    return Condition.fixed(next(letters for letters in SUBSETS if set(letters) == rest))


@dataclass(frozen=True)
class Degraded:
    """What stage unreliable wrote: K conditions of T test utterances. Features are read when asked for."""

    path: Path
    rows: np.ndarray  # int (T,), of the dataset, rising
    there: Mapping[Condition, np.ndarray]  # bool (T,): what the degraded modality still has
    realised: Mapping[Condition, float | None]  # mean over the utterances that have it
    trust: Trust | None = None  # reliability inputs stand behind the features
    loaded: dict[str, np.ndarray] = field(default_factory=dict, compare=False)

    @classmethod
    def load(cls, path: Path, test: np.ndarray, trust: Trust | None = None) -> "Degraded":
        """Read the file of a fold; `test` are the rows of its test split.

        Raises PipelineError if those are others, or a condition is of no kind that is known.
        """
        mend = "Delete it and rerun the stage unreliable."
        arrays = artefacts.load_tensors(path, ["rows", "available"])
        metadata = artefacts.load_metadata(path)
        if not np.array_equal(arrays["rows"], test):
            raise PipelineError(f"{path}: its rows are not those of the dataset's test split. {mend}")
        told = json.loads(metadata["realised"])
        names = [Condition.parse(name) for name in told]
        for name in names:
            try:
                about(name)
            except KeyError as error:
                raise PipelineError(
                    f"{path}: nothing is known of the degradation {name.kind!r}. {mend}"
                ) from error
        there = dict(zip(names, arrays["available"] > 0, strict=True))
        return cls(path, arrays["rows"], there, dict(zip(names, told.values(), strict=True)), trust)

    def features(self, condition: Condition) -> np.ndarray:
        """Normalised features, float32 (T, D), zeros where absent; with reliability inputs (T, D + K)."""
        if not self.loaded:
            wanted = [str(name) for name in self.there]
            if self.trust is not None:
                wanted += map(gauges_of, self.there)
            self.loaded.update(artefacts.load_tensors(self.path, wanted))
        features = self.loaded[str(condition)]
        if self.trust is None:
            return features
        measured = self.loaded[gauges_of(condition)]
        told = self.trust.normalised(about(condition).modality, measured)
        return np.concatenate([features, told], axis=1)


class Replaced(Mapping[str, np.ndarray]):
    """The features of the one modality that a condition degrades, float32 (U, D): made when they are read.

    All conditions at once would not fit into the memory for a large corpus.
    """

    def __init__(self, degraded: Degraded, condition: Condition, dataset: Path) -> None:
        self.degraded, self.condition, self.dataset = degraded, condition, dataset
        self.modality = about(condition).modality

    def __getitem__(self, name: str) -> np.ndarray:
        if name != self.modality:
            raise KeyError(name)
        held = self.degraded.loaded
        features = self.degraded.features(self.condition)
        if name not in held:
            held[name] = artefacts.load_tensors(self.dataset / "features.safetensors", [name])[name]
            if self.degraded.trust is not None:
                held[name] = np.concatenate([held[name], self.degraded.trust.inputs[name]], axis=1)
        result = held[name].copy()
        result[self.degraded.rows] = features
        return result

    def __iter__(self) -> Iterator[str]:
        yield self.modality

    def __len__(self) -> int:
        return 1

    def shown(self, available: np.ndarray) -> np.ndarray:
        """What is there of every utterance, bool (U, 3), of what the corpus has."""
        column = MODALITIES.index(self.modality)
        result = available.copy()
        result[self.degraded.rows, column] &= self.degraded.there[self.condition]
        return result
