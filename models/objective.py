"""The objectives of teacher and student: named terms, summed in one place (docs/method.md, Objective)."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from models import losses, neighbours
from models.batch import Batch
from models.network import Chained, Imputed, Network, Output
from models.passes import Options, Pass, References, task_of
from models.terms import View, Weights
from models.views import Conflict


def task(seen: Pass) -> Float[Tensor, ""]:
    """L_task of one view."""
    return task_of(seen, seen.output.logits, seen.view.valid)


def auxiliary(seen: Pass) -> Float[Tensor, ""]:
    """Task loss of the modality heads on the slots that the view shows, mean over modalities."""
    logits, there = seen.output.modality_logits, seen.view.available
    return torch.stack([task_of(seen, logits[:, :, index], there[..., index]) for index in range(3)]).mean()


def nce_task(seen: Pass) -> Float[Tensor, ""]:
    """L_task on the utterances in conflict."""
    return task_of(seen, seen.output.logits, seen.conflict.swapped)


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
    **neighbours.COMPUTE,
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
