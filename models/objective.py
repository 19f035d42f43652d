"""The objectives of teacher and student: named terms, summed in one place (docs/method.md, Objective)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from models import losses
from models.batch import Batch
from models.network import Network, Output
from models.views import Conflict


@dataclass(frozen=True)
class Weights:
    """Weight of every term; a term of weight 0 is not computed."""

    complete: float = 0.0  # task loss on the complete view
    incomplete: float = 0.0  # task loss on the incomplete view
    auxiliary: float = 0.0  # task loss of the modality heads on the complete view
    prediction: float = 0.0
    fused: float = 0.0
    modality: float = 0.0
    nce_task: float = 0.0
    nce_margin: float = 0.0
    nce_reference: float = 0.0
    reconstruction: float = 0.0

    @property
    def sees_complete(self) -> bool:
        return self.complete > 0 or self.auxiliary > 0

    @property
    def sees_incomplete(self) -> bool:
        return max(self.incomplete, self.prediction, self.fused, self.modality, self.reconstruction) > 0

    @property
    def sees_conflict(self) -> bool:
        return max(self.nce_task, self.nce_margin, self.nce_reference) > 0


@dataclass(frozen=True)
class Options:
    """What the terms mean, besides their weights."""

    regression: bool = False
    smoothing: float = 0.0
    class_weight: Float[Tensor, "c"] | None = None
    huber: float = 1.0  # in units of the score
    temperature: float = 2.0
    distance: str = "cosine"
    scope: str = "observed"
    margin: float = 0.0


@dataclass(frozen=True)
class References:
    """What the complete-view teacher says of every utterance of the dataset; NaN where it says nothing."""

    logits: Float[Tensor, "*u c"]
    fused: Float[Tensor, "*u h"]
    states: Float[Tensor, "*u 3 h"]

    def of(self, batch: Batch) -> "References":
        """The references of a batch's utterances, in its shape; padding gets those of row 0."""
        row = batch.row.clamp(min=0)
        return References(self.logits[row], self.fused[row], self.states[row])

    def to(self, device: torch.device | str) -> "References":
        return References(*(getattr(self, field.name).to(device) for field in fields(self)))

    @property
    def known(self) -> Bool[Tensor, "*u"]:
        """Utterances that the teacher has judged."""
        return torch.isfinite(self.logits).all(dim=-1)


def total(terms: Mapping[str, Float[Tensor, ""]], weights: Weights) -> Float[Tensor, ""]:
    """The weighted sum: the only place where terms are added. Raises ValueError if there is no term."""
    if not terms:
        raise ValueError("no loss term has a weight above 0, so there is nothing to learn from")
    return torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()


def task_term(output: Output, batch: Batch, options: Options) -> Float[Tensor, ""]:
    """L_task of one view."""
    if options.regression:
        return losses.task_regression(output.logits, batch.score, batch.scored, options.huber)
    return losses.task(output.logits, batch.label, batch.labelled, options.class_weight, options.smoothing)


def auxiliary_term(output: Output, batch: Batch, options: Options) -> Float[Tensor, ""]:
    """Task loss of the modality heads on the slots that the view shows, mean over modalities."""
    parts = []
    for index in range(3):
        there = batch.available[..., index]
        logits = output.modality_logits[:, :, index]
        if options.regression:
            term = losses.task_regression(logits, batch.score, batch.scored & there, options.huber)
        else:
            term = losses.task(
                logits, batch.label, batch.labelled & there, options.class_weight, options.smoothing
            )
        parts.append(term)
    return torch.stack(parts).mean()


def distillation_terms(
    output: Output, view: Batch, references: References, weights: Weights, options: Options
) -> dict[str, Float[Tensor, ""]]:
    """CSA: L_pred, L_fused and L_mod of an incomplete view against the stored references."""
    known = view.valid & references.known
    terms = {}
    if weights.prediction > 0:
        terms["prediction"] = _prediction(output, references, known, options)
    if weights.fused > 0:
        terms["fused"] = losses.fused(output.fused, references.fused, known, options.distance)
    if weights.modality > 0:
        slots = known[..., None] & (view.available | (options.scope == "all"))
        terms["modality"] = losses.modality(output.states, references.states, slots, options.distance)
    return terms


def conflict_terms(
    output: Output, conflict: Conflict, references: References | None, weights: Weights, options: Options
) -> dict[str, Float[Tensor, ""]]:
    """NCE: the parts of L_nce on the utterances in conflict."""
    batch, terms = conflict.batch, {}
    if weights.nce_task > 0:
        if options.regression:
            mask = batch.scored & conflict.swapped
            terms["nce_task"] = losses.task_regression(output.logits, batch.score, mask, options.huber)
        else:
            mask = batch.labelled & conflict.swapped
            terms["nce_task"] = losses.task(
                output.logits, batch.label, mask, options.class_weight, options.smoothing
            )
    if weights.nce_margin > 0:
        if options.regression:
            terms["nce_margin"] = losses.margin_regression(
                output.logits, batch.score, conflict.donor, conflict.other, options.margin
            )
        else:
            donor = torch.nan_to_num(conflict.donor, nan=-1.0).long()
            terms["nce_margin"] = losses.margin(
                output.logits, batch.label, donor, conflict.other, options.margin
            )
    if weights.nce_reference > 0 and references is not None:
        known = conflict.swapped & references.known
        terms["nce_reference"] = _prediction(output, references, known, options)
    return terms


def _prediction(
    output: Output, references: References, mask: Bool[Tensor, "b n"], options: Options
) -> Float[Tensor, ""]:
    if options.regression:
        return losses.prediction_regression(output.logits, references.logits, mask)
    return losses.prediction(output.logits, references.logits, mask, options.temperature)


def terms_of(
    network: Network,
    batch: Batch,
    incomplete: Batch | None,
    conflict: Conflict | None,
    references: References | None,
    weights: Weights,
    options: Options,
) -> dict[str, Float[Tensor, ""]]:
    """All terms whose weight is above 0, by name, in the order of `Weights`.

    `batch` is the complete view. Views that no term reads may be None and are not computed. `references`
    are those of this batch. The views go through the network together, as dialogues of one batch.
    """
    views = []
    if weights.sees_complete:
        views.append(batch)
    if weights.sees_incomplete and incomplete is not None:
        views.append(incomplete)
    if weights.sees_conflict and conflict is not None:
        views.append(conflict.batch)
    outputs = iter(_outputs(network, views))
    terms: dict[str, Tensor] = {}
    if weights.sees_complete:
        output = next(outputs)
        if weights.complete > 0:
            terms["complete"] = task_term(output, batch, options)
        if weights.auxiliary > 0:
            terms["auxiliary"] = auxiliary_term(output, batch, options)
    if weights.sees_incomplete and incomplete is not None:
        output = next(outputs)
        if weights.incomplete > 0:
            terms["incomplete"] = task_term(output, incomplete, options)
        if references is not None:
            terms |= distillation_terms(output, incomplete, references, weights, options)
        if weights.reconstruction > 0:
            hidden = batch.available & ~incomplete.available
            terms["reconstruction"] = losses.reconstruction(output.guesses, batch.features, hidden)
    if weights.sees_conflict and conflict is not None:
        terms |= conflict_terms(next(outputs), conflict, references, weights, options)
    return terms


def _outputs(network: Network, views: Sequence[Batch]) -> list[Output]:
    """One pass over several views of the same dialogues."""
    if not views:
        return []
    first = views[0]
    stacked = Batch(
        features={name: torch.cat([view.features[name] for view in views]) for name in first.features},
        **{
            field.name: torch.cat([getattr(view, field.name) for view in views])
            for field in fields(Batch)
            if field.name != "features"
        },
    )
    output, count = network(stacked), first.valid.shape[0]
    return [output[index * count : (index + 1) * count] for index in range(len(views))]
