"""The value on the validation split of the score that chooses an epoch; no test split is read here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.batch import Batch
from models.conditions import Condition
from models.masks import fixed_mask
from models.modalities import MODALITIES
from models.network import Network
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.evaluation.coinciding import distinct_subsets, same_rates
from pipeline.settings.training import ValidationMix
from pipeline.training.dialogues import Dataset
from pipeline.training.selection import RegressionScore, Selection

SIZE = 128  # dialogues a batch; no gradient, so more fit than in training


@dataclass(frozen=True)
class Judged:
    """The validation split under one condition."""

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
        regression_score: RegressionScore,
        device: torch.device,
    ) -> None:
        """`masks`: the protocol's masks, read only if the mix weighs random missing (draw 0 of each rate).

        Raises PipelineError if the validation split holds nothing to score or a mask does not fit.
        """
        self.selection = Selection(mix, dataset.regression, regression_score)
        may_see = torch.tensor([name in shown for name in MODALITIES])
        clean = [
            batch.showing(may_see.expand_as(batch.available)) for batch in dataset.batches(["val"], SIZE)
        ]
        scored = sum(int((b.scored if dataset.regression else b.labelled).sum()) for b in clean)
        if scored == 0:
            raise PipelineError(
                "split 'val': no utterance has a target, so no epoch can be chosen. "
                "Raise the validation share of the splits in the config."
            )
        self.judged: list[Judged] = []
        if self.selection.weighs("complete"):
            self._add("complete", clean, device)
        if self.selection.weighs("fixed"):
            for letters in distinct_subsets(dataset.available.numpy()):
                views = [batch.showing(fixed_mask(batch.available, letters)) for batch in clean]
                self._add("fixed", views, device)
        if self.selection.weighs("random") and masks is not None:
            for shown_rows in _first_draws(masks, dataset.available):
                views = [batch.showing(shown_rows[batch.row.clamp(min=0)]) for batch in clean]
                self._add("random", views, device)

    def _add(self, family: str, batches: Sequence[Batch], device: torch.device) -> None:
        self.judged.append(Judged(family, tuple(batch.to(device) for batch in batches)))

    @torch.no_grad()
    def __call__(self, network: Network) -> dict[str, float]:
        """Mean score of each family, and `validation`, their weighted mean; the network ends in eval mode."""
        network.eval()
        means, mixed = self.selection.mixed((view.family, self._score(network, view)) for view in self.judged)
        return {f"val_{name}": value for name, value in means.items()} | {"validation": mixed}

    def _score(self, network: Network, view: Judged) -> float:
        truths, guesses = [], []
        for batch in view.batches:
            target, known = (
                (batch.score, batch.scored) if self.selection.regression else (batch.label, batch.labelled)
            )
            truths.append(target[known].cpu().numpy())
            guesses.append(network(batch).logits[known].cpu().numpy())
        return self.selection.view(np.concatenate(truths), np.concatenate(guesses))


def _first_draws(masks: Path, available: torch.Tensor) -> list[torch.Tensor]:
    """Draw 0 of every random rate that this corpus can reach, bool (U, 3), in the order of their names."""
    rows = len(available)
    tensors = artefacts.load_tensors(masks)
    parsed = {name: Condition.parse(name) for name in tensors}
    names = sorted(name for name, mask in parsed.items() if mask.rate is not None and mask.draw == 0)
    wrong = [name for name in names if tensors[name].shape != (rows, 3)]
    if not names or wrong:
        what = f"{wrong[0]} has shape {tensors[wrong[0]].shape}" if wrong else "it holds no random mask"
        raise PipelineError(
            f"{masks}: {what}, but masks of shape ({rows}, 3) are needed. "
            "Rerun the masks stage on this dataset."
        )
    same = same_rates(available.numpy(), [rate for name in names if (rate := parsed[name].rate) is not None])
    return [torch.from_numpy(tensors[name] > 0) for name in names if parsed[name].rate not in same]
