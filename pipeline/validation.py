"""The validation score that chooses an epoch; the test split is never read here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from models.batch import MODALITIES, Batch
from models.conditions import FIXED
from models.masks import fixed_mask
from models.network import Network
from pipeline import agreement, artefacts
from pipeline.data import Dataset
from pipeline.errors import PipelineError
from pipeline.settings.training import ValidationMix

SIZE = 128  # dialogues a batch; no gradient, so more fit than in training


@dataclass(frozen=True)
class Condition:
    """One condition of the validation split."""

    family: str  # complete, fixed or random
    batches: tuple[Batch, ...]


class Validator:
    """Scores a network on the validation split under the conditions that the mix weighs."""

    def __init__(
        self,
        dataset: Dataset,
        masks: Path | None,
        mix: ValidationMix,
        shown: Sequence[str],
        *,
        regression_score: Literal["pearson", "negative_mae"],
        device: torch.device,
    ) -> None:
        """`masks`: the protocol's masks, read only if the mix weighs random missing (draw 0 of each rate).

        Raises PipelineError if the validation split holds nothing to score or a mask does not fit.
        """
        self.mix, self.regression_score, self.regression = mix, regression_score, dataset.regression
        may_see = torch.tensor([name in shown for name in MODALITIES])
        clean = [
            batch.showing(may_see.expand_as(batch.available)) for batch in dataset.batches(["val"], SIZE)
        ]
        scored = sum(int((b.scored if self.regression else b.labelled).sum()) for b in clean)
        if scored == 0:
            raise PipelineError(
                "split 'val': no utterance has a target, so no epoch can be chosen. "
                "Raise the validation share of the splits in the config."
            )
        self.conditions: list[Condition] = []
        if mix.complete > 0:
            self._add("complete", clean, device)
        if mix.fixed > 0:
            for letters in FIXED:
                views = [batch.showing(fixed_mask(batch.available, letters)) for batch in clean]
                self._add("fixed", views, device)
        if mix.random > 0 and masks is not None:
            for shown_rows in _first_draws(masks, len(dataset.available)):
                views = [batch.showing(shown_rows[batch.row.clamp(min=0)]) for batch in clean]
                self._add("random", views, device)

    def _add(self, family: str, batches: Sequence[Batch], device: torch.device) -> None:
        self.conditions.append(Condition(family, tuple(batch.to(device) for batch in batches)))

    @torch.no_grad()
    def __call__(self, network: Network) -> dict[str, float]:
        """Mean score of each family, and `validation`, their weighted mean; the network ends in eval mode."""
        network.eval()
        by_family: dict[str, list[float]] = {}
        for condition in self.conditions:
            by_family.setdefault(condition.family, []).append(self._score(network, condition))
        means = {name: float(np.mean(values)) for name, values in by_family.items()}
        weights = [getattr(self.mix, name) for name in means]
        mixed = float(np.average(list(means.values()), weights=weights))
        return {f"val_{name}": value for name, value in means.items()} | {"validation": mixed}

    def _score(self, network: Network, condition: Condition) -> float:
        truths, guesses = [], []
        for batch in condition.batches:
            logits = network(batch).logits
            if self.regression:
                truths.append(batch.score[batch.scored].cpu().numpy())
                guesses.append(logits[..., 0][batch.scored].cpu().numpy())
            else:
                truths.append(batch.label[batch.labelled].cpu().numpy())
                guesses.append(logits[batch.labelled].argmax(dim=-1).cpu().numpy())
        truth, guess = np.concatenate(truths), np.concatenate(guesses)
        if not self.regression:
            return agreement.weighted_f1(truth, guess)
        if self.regression_score == "negative_mae":
            return -agreement.mean_absolute_error(truth, guess)
        return agreement.pearson(truth, guess)


def _first_draws(masks: Path, rows: int) -> list[torch.Tensor]:
    """Draw 0 of every random rate, bool (U, 3), in the order of their names."""
    tensors = artefacts.load_tensors(masks)
    names = sorted(name for name in tensors if name.startswith("random/") and name.endswith("/0"))
    wrong = [name for name in names if tensors[name].shape != (rows, 3)]
    if not names or wrong:
        what = f"{wrong[0]} has shape {tensors[wrong[0]].shape}" if wrong else "it holds no random mask"
        raise PipelineError(
            f"{masks}: {what}, but masks of shape ({rows}, 3) are needed. "
            "Rerun the masks stage on this dataset."
        )
    return [torch.from_numpy(tensors[name] > 0) for name in names]
