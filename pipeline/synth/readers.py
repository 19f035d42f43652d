"""A calibrated reader of one modality's features: p(cue | features), for the readable ceiling and the oracle.

Multinomial logistic regression on the training rows, its penalty chosen and its temperature fitted by the
log-loss on the validation rows (docs/method.md, "The embedded corpus has known ceilings").
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from pipeline.core.errors import PipelineError
from pipeline.synth.process import COUNT


@dataclass(frozen=True)
class Reader:
    """A fitted reader; `loss` is the validation log-loss in nats, `strength` scikit-learn's C."""

    model: LogisticRegression
    temperature: float
    prior: np.ndarray  # (K,): share of each seen cue in the training rows
    strength: float
    loss: float

    def readings(self, features: np.ndarray) -> np.ndarray:
        """P(features | cue) up to a factor, as posterior / prior: (U, D) -> (U, 7).

        A cue that no training row shows gets 1: nothing is known for or against it.
        """
        posterior = softmax(_scores(self.model, features) / self.temperature, axis=1)
        out = np.ones((len(features), COUNT))
        out[:, self.model.classes_] = posterior / self.prior
        # the last bit of a softmax may be zero, a likelihood may not
        return np.maximum(out, 1e-12)


def _scores(model: LogisticRegression, features: np.ndarray) -> np.ndarray:
    """Scores (U, K) whose softmax is the posterior, for two cues as well."""
    scores = model.decision_function(features.astype(np.float64))
    return scores if scores.ndim == 2 else np.stack([np.zeros_like(scores), scores], axis=1)


def _loss(scores: np.ndarray, target: np.ndarray) -> float:
    return float(-log_softmax(scores, axis=1)[np.arange(len(target)), target].mean())


def fit_reader(
    name: str,
    train: tuple[np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    strengths: tuple[float, ...],
) -> Reader:
    """Fit the reader of modality `name` on (features (U, D), cues int (U,)) of both splits.

    Raises PipelineError if there is nothing to fit or to calibrate on.
    """
    features, cues = train[0].astype(np.float64), train[1]
    seen = np.unique(cues)
    known = np.isin(val[1], seen)
    if len(seen) < 2 or not known.any():
        raise PipelineError(
            f"reader of {name}: {len(cues)} training utterances show {len(seen)} different cues and "
            f"{int(known.sum())} validation utterances can calibrate them; at least 2 and 1 are needed. "
            "Raise embedded.process.dialogues, or look up in dataset/facts.json why the modality is absent."
        )
    target = np.searchsorted(seen, val[1][known])
    fits = []
    for strength in strengths:
        model = LogisticRegression(C=strength, max_iter=5000).fit(features, cues)
        scores = _scores(model, val[0][known])
        fits.append((_loss(scores, target), strength, model, scores))
    _, strength, model, scores = min(fits, key=lambda fit: fit[:2])
    found = minimize_scalar(
        lambda log_t: _loss(scores / np.exp(log_t), target),
        bounds=(np.log(0.2), np.log(10)),
        method="bounded",
    )
    temperature = float(np.exp(found.x))
    prior = (cues[:, None] == seen).mean(0)
    return Reader(model, temperature, prior, strength, _loss(scores / temperature, target))
