"""What chooses: an epoch of a training, the oracle's epoch, the weights of a chain without a network."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.evaluation import agreement
from pipeline.settings.training import ValidationMix

RegressionScore = Literal["pearson", "negative_mae"]


@dataclass(frozen=True)
class Selection:
    """What chooses an epoch: each view has a score, each family of views their mean, the mix weighs these.

    Training asks it of the validation split, and the oracle of the test split: there is no second one.
    """

    mix: ValidationMix
    regression: bool
    regression_score: RegressionScore

    def weighs(self, family: str) -> bool:
        """Whether views of a family count at all; one that the mix does not name counts nothing."""
        return family in ValidationMix.model_fields and getattr(self.mix, family) > 0

    def view(self, truth: np.ndarray, outputs: np.ndarray) -> float:
        """Score of one view, higher is better: truth (U,), labels or scores, and outputs (U, C)."""
        if not self.regression:
            return agreement.weighted_f1(truth, outputs.argmax(axis=1))
        if self.regression_score == "negative_mae":
            return -agreement.mean_absolute_error(truth, outputs[:, 0])
        return agreement.pearson(truth, outputs[:, 0])

    def mixed(self, scores: Iterable[tuple[str, float]]) -> tuple[dict[str, float], float]:
        """Mean score of each family, and their weighted mean, from pairs of a view's family and score."""
        by_family: dict[str, list[float]] = {}
        for family, score in scores:
            by_family.setdefault(family, []).append(score)
        means = {family: float(np.mean(values)) for family, values in by_family.items()}
        weights = [getattr(self.mix, family) for family in means]
        return means, float(np.average(list(means.values()), weights=weights))
