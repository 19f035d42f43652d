"""The objectives of teacher and student: named terms, summed in one place (docs/method.md, Objective)."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from models import losses
from models.batch import Batch
from models.network import Anchored, Chained, Imputed, Network, Output
from models.terms import View, Weights
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


def task(seen: Pass) -> Float[Tensor, ""]:
    """L_task of one view."""
    return _task(seen, seen.output.logits, seen.view.valid)


def auxiliary(seen: Pass) -> Float[Tensor, ""]:
    """Task loss of the modality heads on the slots that the view shows, mean over modalities."""
    logits, there = seen.output.modality_logits, seen.view.available
    return torch.stack([_task(seen, logits[:, :, index], there[..., index]) for index in range(3)]).mean()


def nce_task(seen: Pass) -> Float[Tensor, ""]:
    """L_task on the utterances in conflict."""
    return _task(seen, seen.output.logits, seen.conflict.swapped)


def _task(seen: Pass, logits: Float[Tensor, "b n c"], among: Bool[Tensor, "b n"]) -> Float[Tensor, ""]:
    view, options = seen.view, seen.options
    if options.regression:
        return losses.task_regression(logits, view.score, view.scored & among, options.huber)
    mask = view.labelled & among
    return losses.task(logits, view.label, mask, options.class_weight, options.label_smoothing)


def prediction(seen: Pass) -> Float[Tensor, ""]:
    """L_pred of the incomplete view."""
    return _answers(seen, seen.output.logits, seen.references.logits, seen.view.valid, seen.trust)


def nce_reference(seen: Pass) -> Float[Tensor, ""]:
    """L_pred on the utterances in conflict."""
    return _answers(seen, seen.output.logits, seen.references.logits, seen.conflict.swapped, None)


def evidence(seen: Pass) -> Float[Tensor, ""]:
    """L_evi of the incomplete view: L_pred of each modality by itself, mean over those that it shows."""
    told, shown = seen.references.evidence, seen.view.available
    parts = [
        _answers(
            seen, seen.output.modality_logits[:, :, index], told[:, :, index], shown[..., index], seen.trust
        )
        for index in range(3)
        if shown[..., index].any()
    ]
    return torch.stack(parts).mean() if parts else losses.nothing(seen.output.modality_logits)


def beliefs(seen: Pass) -> Float[Tensor, ""]:
    """L_chain of the incomplete view: L_pred of what the chain says from all other utterances."""
    told = seen.references.beliefs
    if not isinstance(seen.output, Chained) or told is None:
        raise ValueError("beliefs: this network, or its teacher, has no chain")
    return _answers(seen, seen.output.beliefs, told, seen.view.valid, seen.trust)


def _answers(
    seen: Pass,
    logits: Float[Tensor, "b n c"],
    told: Float[Tensor, "b n c"],
    among: Bool[Tensor, "b n"],
    weight: Float[Tensor, "b n"] | None,
) -> Float[Tensor, ""]:
    mask = among & seen.references.known
    if seen.options.regression:
        return losses.prediction_regression(logits, told, mask, weight)
    return losses.prediction(logits, told, mask, seen.options.temperature, weight)


def fused(seen: Pass) -> Float[Tensor, ""]:
    """L_fused of the incomplete view."""
    told, mask = seen.references, seen.view.valid & seen.references.known
    return losses.fused(seen.output.fused, told.fused, mask, seen.options.distance, seen.trust)


def modality(seen: Pass) -> Float[Tensor, ""]:
    """L_mod of the incomplete view."""
    told, options = seen.references, seen.options
    slots = (seen.view.valid & told.known)[..., None] & (seen.view.available | (options.scope == "all"))
    return losses.modality(seen.output.states, told.states, slots, options.distance, seen.trust)


def reconstruction(seen: Pass) -> Float[Tensor, ""]:
    """Squared error of the imputer on the slots that the incomplete view hides."""
    if not isinstance(seen.output, Imputed):
        raise ValueError("reconstruction: this network guesses no features")
    hidden = seen.complete.available & ~seen.view.available
    return losses.reconstruction(seen.output.guesses, seen.complete.features, hidden)


def anchor(seen: Pass) -> Float[Tensor, ""]:
    """Pull of the fused states to the anchors of their classes, where the view shows anything."""
    view = seen.view
    among = view.labelled & view.available.any(dim=-1)
    return losses.anchor_pull(
        seen.output.fused, _anchors(seen), view.label, among, seen.options.anchor_temperature
    )


def anchor_angle(seen: Pass) -> Float[Tensor, ""]:
    """How near the anchors of different classes lie to each other."""
    return losses.anchor_angle(_anchors(seen))


def _anchors(seen: Pass) -> Float[Tensor, "k h"]:
    if not isinstance(seen.output, Anchored):
        raise ValueError("anchor: this network has no anchors")
    return seen.output.anchors[0, 0]


def nce_margin(seen: Pass) -> Float[Tensor, ""]:
    """The margin part of L_nce."""
    logits, view, conflict, options = seen.output.logits, seen.view, seen.conflict, seen.options
    if options.regression:
        return losses.margin_regression(logits, view.score, conflict.donor, conflict.other, options.margin)
    donor = torch.nan_to_num(conflict.donor, nan=-1.0).long()
    return losses.margin(logits, view.label, donor, conflict.other, options.margin)


# what computes each term of TERMS
COMPUTE = {
    "complete": task,
    "auxiliary": auxiliary,
    "incomplete": task,
    "prediction": prediction,
    "fused": fused,
    "modality": modality,
    "evidence": evidence,
    "beliefs": beliefs,
    "reconstruction": reconstruction,
    "anchor": anchor,
    "anchor_angle": anchor_angle,
    "nce_task": nce_task,
    "nce_margin": nce_margin,
    "nce_reference": nce_reference,
}


def total(terms: Mapping[str, Float[Tensor, ""]], weights: Weights) -> Float[Tensor, ""]:
    """The weighted sum: the only place where terms are added. Raises ValueError if there is no term."""
    if not terms:
        raise ValueError("no loss term has a weight above 0, so there is nothing to learn from")
    return torch.stack([weights[name] * value for name, value in terms.items()]).sum()


def terms_of(
    network: Network,
    batch: Batch,
    incomplete: Batch | None,
    conflict: Conflict | None,
    references: References | None,
    weights: Weights,
    options: Options,
) -> dict[str, Float[Tensor, ""]]:
    """All terms whose weight is above 0, by name, in the order of TERMS.

    `batch` is the complete view. Views that no term reads may be None and are not computed. `references`
    are those of this batch; without them no term that reads some is computed. The views go through the
    network together, as dialogues of one batch.
    """
    given: dict[View, Batch | None] = {
        "complete": batch,
        "incomplete": incomplete,
        "conflict": None if conflict is None else conflict.batch,
    }
    views = {name: view for name, view in given.items() if view is not None and weights.sees(name)}
    outputs = dict(zip(views, _outputs(network, list(views.values())), strict=True))
    return {
        name: COMPUTE[name](Pass(outputs[term.view], views[term.view], batch, conflict, references, options))
        for name, term in weights.computed.items()
        if term.view in views and (references is not None or not term.references)
    }


def _outputs(network: Network, views: Sequence[Batch]) -> list[Output]:
    """One pass over several views of the same dialogues."""
    if not views:
        return []
    output, count = network(Batch.cat(views)), views[0].valid.shape[0]
    return [output[index * count : (index + 1) * count] for index in range(len(views))]
