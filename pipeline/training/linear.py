"""Linear models whose strength is chosen on dialogues that they have not seen."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression, Ridge

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1)  # inverse penalties
RARE = -10.0  # logit of a class that the rows of a fit lack


@dataclass(frozen=True)
class Linear:
    """x -> x @ weights + offsets."""

    weights: np.ndarray  # (D, C)
    offsets: np.ndarray  # (C,)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(U, D) -> (U, C)."""
        return x @ self.weights + self.offsets


def logistic(x: np.ndarray, y: np.ndarray, strength: float, classes: int) -> Linear:
    """Multinomial logistic regression of labels y (U,) on x (U, D)."""
    weights, offsets = np.zeros((x.shape[1], classes)), np.full(classes, RARE)
    if len(found := np.unique(y)) < 2:
        # a part of the dialogues may hold one class alone, of which nothing can be told apart
        offsets[found] = 0.0
        return Linear(weights, offsets)
    model = LogisticRegression(C=strength, max_iter=500).fit(x, y)
    if len(model.classes_) == 2:
        weights[:, model.classes_] = np.stack([-model.coef_[0] / 2, model.coef_[0] / 2], axis=1)
        offsets[model.classes_] = [-model.intercept_[0] / 2, model.intercept_[0] / 2]
    else:
        weights[:, model.classes_], offsets[model.classes_] = model.coef_.T, model.intercept_
    return Linear(weights, offsets)


def ridge(x: np.ndarray, y: np.ndarray, strength: float) -> Linear:
    """Ridge regression of scores y (U,) on x (U, D); one output."""
    model = Ridge(alpha=1 / strength).fit(x, y)
    return Linear(model.coef_[:, None], np.array([model.intercept_]))


def unseen(part: np.ndarray, fit: Callable[[np.ndarray], Linear], x: np.ndarray) -> np.ndarray:
    """What each row (U, C) is told by the model that has not seen its part (U,) of the dialogues.

    fit: gets the rows (bool) that it may see.
    """
    told = []
    for number in np.unique(part):
        here = part == number
        told.append((np.flatnonzero(here), fit(~here)(x[here])))
    order = np.concatenate([rows for rows, _ in told]).argsort()
    return np.concatenate([values for _, values in told])[order]


def _told(part: np.ndarray, fit: Callable[..., Linear], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return unseen(part, lambda kept: fit(x[kept], y[kept]), x)


def best_logistic(x: np.ndarray, y: np.ndarray, part: np.ndarray, classes: int) -> tuple[float, float]:
    """Strength and temperature with the least log-loss on dialogues that the model has not seen."""

    def loss(logits: np.ndarray, log_heat: float) -> float:
        return float(-log_softmax(logits / np.exp(log_heat), axis=1)[np.arange(len(y)), y].mean())

    found = []
    for strength in STRENGTHS:
        told = _told(part, partial(logistic, strength=strength, classes=classes), x, y)
        heat = minimize_scalar(partial(loss, told), bounds=(-1.5, 1.5), method="bounded")
        found.append((float(heat.fun), strength, float(np.exp(heat.x))))
    _, strength, heat = min(found)
    return strength, heat


def best_ridge(x: np.ndarray, y: np.ndarray, part: np.ndarray) -> tuple[float, float]:
    """Strength with the least squared error on dialogues that the model has not seen, and that error."""
    found = []
    for strength in STRENGTHS:
        told = _told(part, partial(ridge, strength=strength), x, y)
        found.append((max(float(np.mean((told[:, 0] - y) ** 2)), 1e-6), strength))
    error, strength = min(found)
    return strength, error
