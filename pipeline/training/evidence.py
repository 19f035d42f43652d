"""Evidence without a network: what the features of an utterance say of its target, fitted on training alone.

Two readers, neither of which has a network (docs/method.md, Variants):

- `product`: one linear model a modality; what is absent leaves its factor out of the product of posteriors;
- `early`: one linear model of all features, absent ones as zeros with a flag, fitted on incomplete views.

Classification: multinomial logistic regression. Regression: ridge regression with a Gaussian error. How
strongly a model is held back, and how far its posteriors are to be believed, comes from posteriors of
training dialogues that it has not seen. Where too few training utterances are there, nothing is said.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from scipy.special import log_softmax

from models.masks import random_masks
from models.modalities import MODALITIES, has_letter
from pipeline.evaluation.coinciding import distinct_subsets
from pipeline.training.crossfit import fold_dialogues
from pipeline.training.dialogues import Dataset
from pipeline.training.linear import Linear, best_logistic, best_ridge, logistic, ridge, unseen

FOLDS = 5  # parts of the training dialogues that a model has not seen
RATES = (0.3, 0.6)  # of the random views that `early` is fitted on, beside the complete and all fixed ones


@dataclass(frozen=True)
class Target:
    """What is to be told, of all U rows; `train` are the training rows that know it."""

    regression: bool
    value: np.ndarray  # (U,) labels, or scores around `centre`
    train: np.ndarray  # rows
    part: np.ndarray  # (U,) the part of the training dialogues, -1 elsewhere
    classes: int  # 1 of scores
    centre: float  # mean of the training scores, 0 of labels
    spread: float  # their standard deviation, 1 of labels

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
        centre, spread = float(value[train].mean()), max(float(value[train].std()), 1e-3)
        return Target(True, value - centre, train, part, 1, centre, spread)

    @property
    def log_prior(self) -> np.ndarray:
        """Logarithm of the share of each class in training (C,), one more of each counted."""
        counts = np.bincount(self.value[self.train], minlength=self.classes) + 1
        return np.log(counts / counts.sum())

    @property
    def parameters(self) -> int:
        """Natural parameters of a posterior: log-probabilities of C classes, or 2 of a Gaussian."""
        return 2 if self.regression else self.classes

    def can_be_fitted(self, rows: np.ndarray) -> bool:
        """Whether these training rows hold two classes at least, whichever part is left out."""
        if self.regression:
            return len(rows) > FOLDS
        kept = [self.value[rows[self.part[rows] != number]] for number in range(FOLDS)]
        return all(len(np.unique(values)) > 1 for values in kept)


@runtime_checkable
class Reader(Protocol):
    """Evidence for single utterances, additive over what a view shows of them.

    Evidence is the natural parameters of a posterior: unnormalised log-probabilities of the classes, which
    hold the prior; or precision and precision times mean of a score around the training mean, without it.
    """

    def __call__(self, rows: np.ndarray, shown: np.ndarray) -> np.ndarray:
        """Evidence (V, P). rows (V, 3): which row each modality is read from; shown (V, 3): what is read."""
        ...

    def reading(self, features: Mapping[str, np.ndarray]) -> "Reader":
        """The same reader of other features (U, D), by modality; the rest as the dataset has them."""
        ...


def _summed(
    base: np.ndarray, parts: Mapping[str, np.ndarray], rows: np.ndarray, shown: np.ndarray
) -> np.ndarray:
    total = np.broadcast_to(base, (len(rows), len(base))).copy()
    for column, name in enumerate(MODALITIES):
        total += np.where(shown[:, [column]], parts[name][rows[:, column]], 0.0)
    return total


@dataclass(frozen=True)
class Voice:
    """What one modality says by itself: a linear model and how far it is believed."""

    model: Linear
    heat: float  # temperature of the logits; regression: squared error on unseen dialogues
    prior: np.ndarray  # (C,) log-prior; regression: (1,) variance of the scores

    def __call__(self, x: np.ndarray, regression: bool) -> np.ndarray:
        """(U, P): log-posterior minus log-prior; regression: precision beyond the prior, and times mean."""
        if not regression:
            return log_softmax(self.model(x) / self.heat, axis=1) - self.prior
        precision = 1 / self.heat - 1 / self.prior[0]
        # a model that predicts no better than the mean says nothing
        if precision <= 0:
            return np.zeros((len(x), 2))
        return np.stack([np.full(len(x), precision), self.model(x)[:, 0] / self.heat], axis=1)


@dataclass(frozen=True)
class Product:
    """Posteriors of the modalities multiplied, the prior counted once."""

    regression: bool
    base: np.ndarray  # (P,)
    voices: Mapping[str, Voice]  # of the modalities that any training utterance has
    parts: Mapping[str, np.ndarray]  # by modality (U, P)

    def __call__(self, rows: np.ndarray, shown: np.ndarray) -> np.ndarray:
        return _summed(self.base, self.parts, rows, shown)

    def reading(self, features: Mapping[str, np.ndarray]) -> "Product":
        heard = {name: self._part(name, features[name]) for name in features}
        return replace(self, parts={**self.parts, **heard})

    def _part(self, name: str, x: np.ndarray) -> np.ndarray:
        if name not in self.voices:
            return np.zeros((len(x), len(self.base)))
        return self.voices[name](x.astype(float), self.regression)

    @staticmethod
    def fit(data: Dataset) -> "Product":
        """A modality that too few training utterances have says nothing."""
        target, available = Target.of(data), data.available.numpy()
        voices = {}
        for column, name in enumerate(MODALITIES):
            rows = target.train[available[target.train, column]]
            if target.can_be_fitted(rows):
                voices[name] = _voice(data.features[name].numpy()[rows].astype(float), rows, target)
        base = np.zeros(2) if target.regression else target.log_prior
        empty = Product(target.regression, base, voices, {})
        return empty.reading({name: data.features[name].numpy() for name in MODALITIES})


def _voice(x: np.ndarray, rows: np.ndarray, target: Target) -> Voice:
    y, part = target.value[rows], target.part[rows]
    if target.regression:
        strength, error = best_ridge(x, y, part)
        return Voice(ridge(x, y, strength), error, np.array([target.spread**2]))
    strength, heat = best_logistic(x, y, part, target.classes)
    return Voice(logistic(x, y, strength, target.classes), heat, target.log_prior)


@dataclass(frozen=True)
class Early:
    """One linear model of everything; linear, so that what each modality adds can be told apart."""

    base: np.ndarray  # (C,) or (1,), offsets
    models: Mapping[str, Linear]  # by modality; the offset is the weight of the flag that it is shown
    parts: Mapping[str, np.ndarray]  # by modality (U, C) or (U, 1)
    errors: np.ndarray | None  # regression (8,): squared error by what is shown, t + 2 a + 4 v
    spread: float

    def __call__(self, rows: np.ndarray, shown: np.ndarray) -> np.ndarray:
        total = _summed(self.base, self.parts, rows, shown)
        if self.errors is None:
            return total
        error = self.errors[_code(shown)]
        precision = np.maximum(0.0, 1 / error - 1 / self.spread**2)
        return np.stack([precision, np.where(precision > 0, total[:, 0] / error, 0.0)], axis=1)

    def reading(self, features: Mapping[str, np.ndarray]) -> "Early":
        heard = {name: self.models[name](x.astype(float)) for name, x in features.items()}
        return replace(self, parts={**self.parts, **heard})

    @staticmethod
    def fit(data: Dataset, seed: int) -> "Early":
        target = Target.of(data)
        if not target.can_be_fitted(target.train):
            return _silent(data, target)
        rows, shown = _training_views(data, target.train, seed)
        x, y, part = _joined(data, rows, shown), target.value[rows], target.part[rows]
        errors = None
        if target.regression:
            strength, _ = best_ridge(x, y, part)
            told = unseen(part, lambda kept: ridge(x[kept], y[kept], strength), x)[:, 0]
            errors = _by_view((told - y) ** 2, _code(shown), target.spread)
            fitted, heat = ridge(x, y, strength), 1.0
        else:
            strength, heat = best_logistic(x, y, part, target.classes)
            fitted = logistic(x, y, strength, target.classes)
        features = {name: data.features[name].numpy() for name in MODALITIES}
        edges = np.cumsum([0, *(x.shape[1] for x in features.values())])
        weights = fitted.weights / heat
        models = {
            name: Linear(weights[low:high], weights[edges[-1] + column])
            for column, (name, low, high) in enumerate(zip(MODALITIES, edges[:-1], edges[1:], strict=True))
        }
        return Early(fitted.offsets / heat, models, {}, errors, target.spread).reading(features)


def _silent(data: Dataset, target: Target) -> Early:
    nothing = np.zeros(target.classes)
    models = {name: Linear(np.zeros((data.dimensions[name], target.classes)), nothing) for name in MODALITIES}
    errors = np.full(8, target.spread**2) if target.regression else None
    base = nothing if target.regression else target.log_prior
    silent = Early(base, models, {}, errors, target.spread)
    return silent.reading({name: data.features[name].numpy() for name in MODALITIES})


def _training_views(data: Dataset, train: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (V,) and what is shown of them (V, 3): complete, each fixed subset, and random views."""
    available = data.available[torch.from_numpy(train)]
    generator = torch.Generator().manual_seed(seed)
    shown = [available]
    shown += [
        available & torch.tensor(has_letter(letters)) for letters in distinct_subsets(data.available.numpy())
    ]
    shown += [random_masks(available, rate, generator) for rate in RATES]
    return np.tile(train, len(shown)), torch.cat(shown).numpy()


def _joined(data: Dataset, rows: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Features of all modalities side by side, zeros where not shown, then the flags of what is shown."""
    columns = [
        np.where(shown[:, [column]], data.features[name].numpy()[rows].astype(float), 0.0)
        for column, name in enumerate(MODALITIES)
    ]
    return np.concatenate([*columns, shown.astype(float)], axis=1)


def _code(shown: np.ndarray) -> np.ndarray:
    return shown.astype(int) @ np.array([1, 2, 4])


def _by_view(squares: np.ndarray, code: np.ndarray, spread: float) -> np.ndarray:
    """Mean square (8,) by what is shown; the variance of the scores where training never showed it."""
    error = np.full(8, spread**2)
    for number in np.unique(code):
        error[number] = max(squares[code == number].mean(), 1e-6)
    return error
