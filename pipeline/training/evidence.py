"""Evidence without a network: what the features of an utterance say of its target, fitted on training alone.

Two readers, neither of which has a network (docs/method.md, Variants):

- `Product`: one linear model a modality; what is absent leaves its factor out of the product of posteriors;
- `Early`: one linear model of all features, absent ones as zeros with a flag, fitted on incomplete views.

Classification: multinomial logistic regression. Regression: ridge regression with a Gaussian error. How
strongly a model is held back, and how far its posteriors are to be believed, comes from posteriors of training
dialogues that the model has not seen.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression, Ridge

from models.conditions import FIXED, LETTERS, MODALITIES
from models.masks import random_masks
from pipeline.training.crossfit import fold_dialogues
from pipeline.training.dialogues import Dataset

FOLDS = 5  # parts of the training dialogues that a model has not seen
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)  # inverse penalties of the linear models
RATES = (0.3, 0.6)  # of the random views that `Early` is fitted on, beside the complete and all fixed ones
Linear = tuple[np.ndarray, np.ndarray]  # weights (D, C) and offsets (C,)


class Reader(Protocol):
    """Evidence of V views of single utterances; `rows` (V, 3) names the row that each modality comes from.

    `shown` (V, 3) is what may be read of them. Classification: unnormalised log-probabilities (V, C) that
    hold the prior. Regression (V, 2): precision of the evidence, and precision times its mean, around the
    mean of the training scores and without the prior.
    """

    def __call__(self, rows: np.ndarray, shown: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Target:
    """What is to be told, of all rows; `train` are the training rows that know it."""

    regression: bool
    value: np.ndarray  # (U,) labels, or scores around `centre`
    train: np.ndarray  # rows
    part: np.ndarray  # (U,) the part of the training dialogues, -1 elsewhere
    classes: int
    centre: float  # mean of the training scores, 0 for labels
    spread: float  # their standard deviation, 1 for labels

    @staticmethod
    def of(data: Dataset) -> "Target":
        rows = data.rows(["train"]).numpy()
        value = (data.score if data.regression else data.label).numpy().astype(float)
        known = np.isfinite(value) if data.regression else value >= 0
        train = rows[known[rows]]
        part = np.full(len(value), -1)
        for number, names in enumerate(fold_dialogues(data, FOLDS)):
            part[data.holding_out(names).rows(["held_out"]).numpy()] = number
        if not data.regression:
            return Target(False, value.astype(int), train, part, data.outputs, 0.0, 1.0)
        centre, spread = value[train].mean(), max(value[train].std(), 1e-3)
        return Target(True, value - centre, train, part, 1, float(centre), float(spread))

    @property
    def log_prior(self) -> np.ndarray:
        """Logarithm of the share of each class in training, one more of each counted."""
        counts = np.bincount(self.value[self.train], minlength=self.classes) + 1
        return np.log(counts / counts.sum())


@dataclass(frozen=True)
class Product:
    """Posteriors of the modalities multiplied, the prior counted once."""

    base: np.ndarray  # (C,) log-prior; regression: (2,) zeros
    parts: dict[str, np.ndarray]  # by modality (U, C): log-posterior minus log-prior; regression (U, 2)

    def __call__(self, rows: np.ndarray, shown: np.ndarray) -> np.ndarray:
        total = np.broadcast_to(self.base, (len(rows), len(self.base))).copy()
        for column, name in enumerate(MODALITIES):
            total += np.where(shown[:, [column]], self.parts[name][rows[:, column]], 0.0)
        return total

    @staticmethod
    def fit(data: Dataset) -> "Product":
        """A modality that no training utterance has says nothing."""
        target, available = Target.of(data), data.available.numpy()
        base = np.zeros(2) if target.regression else target.log_prior
        parts = {}
        for column, name in enumerate(MODALITIES):
            rows = target.train[available[target.train, column]]
            x = data.features[name].numpy().astype(float)
            parts[name] = np.zeros((len(x), len(base)))
            if _fits(target, rows):
                said = _read(x, rows, target)
                parts[name] = np.where(available[:, [column]], said, 0.0)
        return Product(base, parts)


def _fits(target: Target, rows: np.ndarray) -> bool:
    """Whether a model can be fitted: two classes at least, in any four of the five parts."""
    if target.regression:
        return len(rows) > FOLDS
    kept = [target.value[rows[target.part[rows] != number]] for number in range(FOLDS)]
    return all(len(np.unique(values)) > 1 for values in kept)


def _read(x: np.ndarray, rows: np.ndarray, target: Target) -> np.ndarray:
    """Evidence (U, C) of one modality; regression (U, 2)."""
    y, part = target.value[rows], target.part[rows]
    if target.regression:
        strength, residual = _best_ridge(x[rows], y, part)
        mean = _apply(x, _ridge(x[rows], y, strength))[:, 0]
        # what is known beyond the prior; a model that predicts no better than the mean says nothing
        precision = max(0.0, 1 / residual - 1 / target.spread**2)
        return np.stack([np.full(len(x), precision), mean / residual * (precision > 0)], axis=1)
    strength, heat = _best_logistic(x[rows], y, part, target.classes)
    fit = _logistic(x[rows], y, strength, target.classes)
    return log_softmax(_apply(x, fit) / heat, axis=1) - target.log_prior


def _apply(x: np.ndarray, fit: Linear) -> np.ndarray:
    return x @ fit[0] + fit[1]


def _logistic(x: np.ndarray, y: np.ndarray, strength: float, classes: int) -> Linear:
    """Multinomial logistic regression; a class that the rows lack gets the offset of a very rare one."""
    model = LogisticRegression(C=strength, max_iter=1000, tol=1e-5).fit(x, y)
    weights, offsets = np.zeros((x.shape[1], classes)), np.full(classes, -10.0)
    if len(model.classes_) == 2:
        weights[:, model.classes_] = np.stack([-model.coef_[0] / 2, model.coef_[0] / 2], axis=1)
        offsets[model.classes_] = [-model.intercept_[0] / 2, model.intercept_[0] / 2]
    else:
        weights[:, model.classes_], offsets[model.classes_] = model.coef_.T, model.intercept_
    return weights, offsets


def _ridge(x: np.ndarray, y: np.ndarray, strength: float) -> Linear:
    model = Ridge(alpha=1 / strength).fit(x, y)
    return model.coef_[:, None], np.array([model.intercept_])


def _unseen(part: np.ndarray, fit: Callable[[np.ndarray], Linear], x: np.ndarray) -> np.ndarray:
    """What each row is told by the model that has not seen its part of the dialogues."""
    told = None
    for number in np.unique(part):
        here = part == number
        values = _apply(x[here], fit(~here))
        told = np.zeros((len(x), values.shape[1])) if told is None else told
        told[here] = values
    return told


def _best_logistic(x: np.ndarray, y: np.ndarray, part: np.ndarray, classes: int) -> tuple[float, float]:
    """Strength and temperature with the least log-loss on dialogues that the model has not seen."""

    def loss(logits: np.ndarray, heat: float) -> float:
        return -log_softmax(logits / heat, axis=1)[np.arange(len(y)), y].mean()

    found = []
    for strength in STRENGTHS:
        told = _unseen(part, lambda kept, s=strength: _logistic(x[kept], y[kept], s, classes), x)
        heat = float(
            np.exp(
                minimize_scalar(lambda v, t=told: loss(t, np.exp(v)), bounds=(-1.5, 1.5), method="bounded").x
            )
        )
        found.append((loss(told, heat), strength, heat))
    return min(found)[1:]


def _best_ridge(x: np.ndarray, y: np.ndarray, part: np.ndarray) -> tuple[float, float]:
    """Strength with the least squared error on unseen dialogues, and that error."""
    found = []
    for strength in STRENGTHS:
        told = _unseen(part, lambda kept, s=strength: _ridge(x[kept], y[kept], s), x)
        found.append((float(np.mean((told[:, 0] - y) ** 2)), strength))
    error, strength = min(found)
    return strength, error


@dataclass(frozen=True)
class Early:
    """One linear model of everything: additive by modality, so that any mixture of rows can be read."""

    base: np.ndarray  # (C,) or (1,), offsets
    parts: dict[str, np.ndarray]  # by modality (U, C) or (U, 1): weights times features, and the flag's
    precision: np.ndarray | None  # regression: of the evidence, by what is shown (8,): t + 2 a + 4 v

    def __call__(self, rows: np.ndarray, shown: np.ndarray) -> np.ndarray:
        total = np.broadcast_to(self.base, (len(rows), len(self.base))).copy()
        for column, name in enumerate(MODALITIES):
            total += np.where(shown[:, [column]], self.parts[name][rows[:, column]], 0.0)
        if self.precision is None:
            return total
        precision, residual = self.precision[0][_code(shown)], self.precision[1][_code(shown)]
        return np.stack([precision, total[:, 0] / residual * (precision > 0)], axis=1)

    @staticmethod
    def fit(data: Dataset, seed: int) -> "Early":
        target = Target.of(data)
        rows, shown = _training_views(data, target.train, seed)
        x = _joined(data, rows, shown)
        y, part = target.value[rows], target.part[rows]
        precision = None
        if target.regression:
            strength, _ = _best_ridge(x, y, part)
            told = _unseen(part, lambda kept: _ridge(x[kept], y[kept], strength), x)[:, 0]
            precision = _by_view((told - y) ** 2, _code(shown), target.spread)
            weights, base = _ridge(x, y, strength)
        else:
            strength, heat = _best_logistic(x, y, part, target.classes)
            weights, base = (value / heat for value in _logistic(x, y, strength, target.classes))
        widths = [data.features[name].shape[1] for name in MODALITIES]
        edges = np.cumsum([0, *widths])
        parts = {
            name: data.features[name].numpy().astype(float) @ weights[low:high] + weights[edges[-1] + column]
            for column, (name, low, high) in enumerate(zip(MODALITIES, edges[:-1], edges[1:], strict=True))
        }
        return Early(base, parts, precision)


def _training_views(data: Dataset, train: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (V,) and what is shown of them (V, 3): complete, each fixed subset, and random views."""
    available = data.available[torch.from_numpy(train)]
    generator = torch.Generator().manual_seed(seed)
    shown = [available]
    shown += [available & torch.tensor([letter in subset for letter in LETTERS]) for subset in FIXED]
    shown += [random_masks(available, rate, generator) for rate in RATES]
    return np.tile(train, len(shown)), torch.cat(shown).numpy()


def _joined(data: Dataset, rows: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Features of all modalities side by side, zeros where not shown, then the flags of what is shown."""
    columns: Iterator[np.ndarray] = (
        np.where(shown[:, [column]], data.features[name].numpy()[rows].astype(float), 0.0)
        for column, name in enumerate(MODALITIES)
    )
    return np.concatenate([*columns, shown.astype(float)], axis=1)


def _code(shown: np.ndarray) -> np.ndarray:
    return shown.astype(int) @ np.array([1, 2, 4])


def _by_view(squares: np.ndarray, code: np.ndarray, spread: float) -> np.ndarray:
    """Of each set of shown modalities: precision beyond the prior, and the squared error: (2, 8)."""
    error = np.full(8, spread**2)
    for number in np.unique(code):
        error[number] = squares[code == number].mean()
    return np.stack([np.maximum(0.0, 1 / error - 1 / spread**2), error])


def readers(data: Dataset, seed: int) -> Sequence[tuple[str, Reader]]:
    """Both readers by name, fitted on the training split."""
    return (("product", Product.fit(data)), ("early", Early.fit(data, seed)))
