"""One pass of the student, and all that a term may be computed from: its views, references and options."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from models import losses
from models.batch import Batch
from models.network import Output
from models.views import Conflict


@dataclass(frozen=True)
class Options:
    """What the terms mean, besides their weights; those that are settings have the name of their key."""

    regression: bool = False
    class_weight: Float[Tensor, "c"] | None = None
    label_smoothing: float = 0.0
    huber: float = 1.0  # in units of the score
    temperature: float = 2.0
    distance: str = "cosine"
    scope: str = "observed"
    trust: str = "constant"
    margin: float = 0.0
    anchor_temperature: float = 0.2


@dataclass(frozen=True)
class References:
    """What the complete-view teacher says of every utterance of the dataset; NaN where it says nothing."""

    logits: Float[Tensor, "*u c"]
    fused: Float[Tensor, "*u h"]
    states: Float[Tensor, "*u 3 h"]
    evidence: Float[Tensor, "*u 3 c"]  # of each modality by itself
    beliefs: Float[Tensor, "*u c"] | None = None  # of a teacher with a chain

    def of(self, batch: Batch) -> "References":
        """The references of a batch's utterances, in its shape; padding gets those of row 0."""
        row = batch.row.clamp(min=0)
        return self._each(lambda told: told[row])

    def to(self, device: torch.device | str) -> "References":
        return self._each(lambda told: told.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "References":
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        return References(**{name: change(one) for name, one in told.items() if one is not None})

    @property
    def known(self) -> Bool[Tensor, "*u"]:
        """Utterances that the teacher has judged."""
        return torch.isfinite(self.logits).all(dim=-1)


@dataclass(frozen=True)
class Pass:
    """All that a term may be computed from: one view, and what the student says of it."""

    output: Output
    view: Batch
    complete: Batch  # the complete view of the same dialogues
    swaps: Conflict | None  # of a conflict view
    teacher: References | None  # the references of these utterances
    options: Options

    @property
    def conflict(self) -> Conflict:
        """What was swapped; raises ValueError for a term whose view is no conflict view."""
        if self.swaps is None:
            raise ValueError("the view of this term is no conflict view")
        return self.swaps

    @property
    def references(self) -> References:
        """What the teacher says; raises ValueError for a term whose row in TERMS names no references."""
        if self.teacher is None:
            raise ValueError("this term was given no references")
        return self.teacher

    @property
    def trust(self) -> Float[Tensor, "b n"] | None:
        """What a comparison with the teacher weighs, by utterance (docs/method.md, Objective); None: 1.

        `hidden`: the share of what is really there that the view hides; `sure`: 1 minus the teacher's
        entropy over that of not knowing; `hidden_sure`: their product.
        """
        if self.options.trust == "constant":
            return None
        weight = torch.ones_like(self.references.logits[..., 0])
        if "hidden" in self.options.trust:
            there = self.complete.available.sum(dim=-1)
            weight = 1 - (self.view.available & self.complete.available).sum(dim=-1) / there.clamp(min=1)
            weight = torch.where(there > 0, weight, 0.0)
        if "sure" in self.options.trust:
            log = self.references.logits.detach().log_softmax(dim=-1)
            weight = weight * (1 + (log.exp() * log).sum(dim=-1) / math.log(log.shape[-1]))
        return torch.nan_to_num(weight)


def task_of(seen: Pass, logits: Float[Tensor, "b n c"], among: Bool[Tensor, "b n"]) -> Float[Tensor, ""]:
    """L_task of some answers to the targets of the view, among some of its utterances."""
    view, options = seen.view, seen.options
    if options.regression:
        return losses.task_regression(logits, view.score, view.scored & among, options.huber)
    mask = view.labelled & among
    return losses.task(logits, view.label, mask, options.class_weight, options.label_smoothing)
