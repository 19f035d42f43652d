"""What one variant answers, as sums by dialogue, from which every resample follows."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from models.conditions import COMPLETE, Condition
from pipeline.core.errors import PipelineError
from pipeline.core.registries.degradations import FAMILY
from pipeline.evaluation.answers import Answers, Truth
from pipeline.evaluation.scoring import labels_of, view_truth
from pipeline.evaluation.sums import (
    class_statistics,
    conflict_statistics,
    follow_statistics,
    score_statistics,
)


@dataclass
class Sums:
    """Per-dialogue sums of one variant: for each seed, clean (K, D, F), conflict (L, D, 5) and, of unreliable
    media, follow (M, D, 6)."""

    conditions: list[Condition]
    conflicts: list[Condition]
    clean: dict[int | None, np.ndarray] = field(default_factory=dict)
    conflict: dict[int | None, np.ndarray] = field(default_factory=dict)
    follow: dict[int | None, np.ndarray] = field(default_factory=dict)

    @property
    def unreliable(self) -> list[Condition]:
        """The conditions of `follow`."""
        return [name for name in dict.fromkeys(self.conditions) if name.family == FAMILY]

    @property
    def seeds(self) -> list[int]:
        """The seeds, sorted; none where nothing is random."""
        return sorted(seed for seed in self.clean if seed is not None)

    @classmethod
    def of(cls, answers: Answers) -> "Sums":
        """Empty sums with the conditions of `answers`, a condition once for each of its draws."""
        names = [name for name, values in answers.clean.items() for _ in range(len(values))]
        return cls(names, list(answers.conflict))

    def add(self, answers: Answers, truth: Truth) -> None:
        """Add one seed. Raises PipelineError if its conditions differ from those of the seeds before it."""
        other = Sums.of(answers)
        if (other.conditions, other.conflicts) != (self.conditions, self.conflicts):
            raise PipelineError(
                f"predictions of {answers.variant!r}, seed {answers.seed}: its conditions are not those "
                "of the other seeds. Evaluate all seeds under one protocol."
            )
        known = truth.known
        value, dialogue = truth.value[known], truth.dialogue[known]
        cells = []
        for values in answers.clean.values():
            for draw in values:
                if truth.task == "classification":
                    predicted = labels_of(draw[known], truth)
                    cells.append(
                        class_statistics(value.astype(int), predicted, dialogue, truth.dialogues, truth.width)
                    )
                else:
                    score = draw[known, 0].astype(float)
                    cells.append(score_statistics(value, score, dialogue, truth.dialogues))
        self.clean[answers.seed] = np.stack(cells)
        if answers.conflict:
            self.conflict[answers.seed] = np.stack(list(self._views(answers, truth)))
        if self.unreliable:
            self.follow[answers.seed] = np.stack([self._degraded(c, answers, truth) for c in self.unreliable])

    @staticmethod
    def _degraded(condition: Condition, answers: Answers, truth: Truth) -> np.ndarray:
        """Sums (D, 6) over all draws of a condition of unreliable media."""
        known = truth.known
        said = labels_of(answers.clean[condition][:, known], truth)
        alone = answers.alone.get(condition)
        told = np.full(said.shape, -1) if alone is None else alone[:, known]
        right = view_truth(truth, np.flatnonzero(known))
        clean = labels_of(answers.clean[COMPLETE][0][known], truth)
        dialogue, total = truth.dialogue[known], truth.dialogues
        draws = [
            follow_statistics(right, one, clean, own, dialogue=dialogue, dialogues=total)
            for one, own in zip(said, told, strict=True)
        ]
        return np.sum(draws, axis=0)

    def _views(self, answers: Answers, truth: Truth) -> Iterator[np.ndarray]:
        for condition, values in answers.conflict.items():
            mine = truth.view_kind == condition.kind
            target = truth.view_target[mine]
            yield conflict_statistics(
                view_truth(truth, target),
                labels_of(values, truth),
                labels_of(answers.clean[COMPLETE][0][target], truth),
                truth.view_reference[mine],
                dialogue=truth.dialogue[target],
                dialogues=truth.dialogues,
            )
