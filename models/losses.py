"""The loss terms, one function each (docs/method.md, Objective of the student).

The formulas are this project's reading of the source's abstract. Every term is a mean over the
utterances (or slots) that its mask names, and 0 where the mask names none. References are constants:
no gradient reaches them.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor


def nothing(like: Float[Tensor, "..."]) -> Float[Tensor, ""]:
    """A zero that keeps the graph, for a mask that names nothing."""
    return like.flatten()[:0].sum()


def mean(values: Float[Tensor, "u"], weight: Float[Tensor, "u"] | None) -> Float[Tensor, ""]:
    """The mean of values times weights; smaller weights make it smaller, for they are no shares."""
    return values.mean() if weight is None else (values * weight).mean()


def paced(value: Float[Tensor, ""], pace: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """The same value with its gradient times `pace`: the loss is logged, and what is learnt is weighed."""
    still = value.detach()
    return still + pace.detach() * (value - still)


def task(
    logits: Float[Tensor, "b n c"],
    label: Int[Tensor, "b n"],
    mask: Bool[Tensor, "b n"],
    class_weight: Float[Tensor, "c"] | None = None,
    smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Cross entropy, a weighted mean if the classes have weights."""
    if not mask.any():
        return nothing(logits)
    return F.cross_entropy(logits[mask], label[mask], weight=class_weight, label_smoothing=smoothing)


def task_regression(
    prediction: Float[Tensor, "b n 1"],
    score: Float[Tensor, "b n"],
    mask: Bool[Tensor, "b n"],
    delta: float = 1.0,
) -> Float[Tensor, ""]:
    """Huber loss; `delta` is where it turns from square to linear, in units of the score."""
    if not mask.any():
        return nothing(prediction)
    return F.huber_loss(prediction[..., 0][mask], score[mask], delta=delta)


def prediction(
    logits: Float[Tensor, "b n c"],
    reference: Float[Tensor, "b n c"],
    mask: Bool[Tensor, "b n"],
    temperature: float,
    weight: Float[Tensor, "b n"] | None = None,
) -> Float[Tensor, ""]:
    """L_pred: tau^2 KL( softmax(l_T / tau) || softmax(l_S / tau) ), each utterance times its weight."""
    if not mask.any():
        return nothing(logits)
    student = F.log_softmax(logits[mask] / temperature, dim=-1)
    teacher = F.log_softmax(reference[mask].detach() / temperature, dim=-1)
    apart = F.kl_div(student, teacher, reduction="none", log_target=True).sum(dim=-1)
    return temperature**2 * mean(apart, _of(weight, mask))


def _of(weight: Float[Tensor, "b n"] | None, mask: Bool[Tensor, "b n"]) -> Float[Tensor, "u"] | None:
    return None if weight is None else weight[mask]


def prediction_regression(
    score: Float[Tensor, "b n 1"],
    reference: Float[Tensor, "b n 1"],
    mask: Bool[Tensor, "b n"],
    weight: Float[Tensor, "b n"] | None = None,
) -> Float[Tensor, ""]:
    """L_pred for regression: squared error to the teacher's score, each utterance times its weight."""
    if not mask.any():
        return nothing(score)
    return mean((score[mask] - reference[mask].detach()).square()[:, 0], _of(weight, mask))


def distance(
    state: Float[Tensor, "u h"],
    reference: Float[Tensor, "u h"],
    kind: str,
    weight: Float[Tensor, "u"] | None = None,
) -> Float[Tensor, ""]:
    """Mean distance of two sets of states, each pair times its weight.

    `kind`: `cosine` (1 - cosine, 0 to 2), `mse` or `smooth_l1` (means over the dimensions too).
    Raises ValueError for any other kind.
    """
    reference = reference.detach()
    match kind:
        case "cosine":
            return mean(1 - F.cosine_similarity(state, reference, dim=-1), weight)
        case "mse":
            return mean((state - reference).square().mean(dim=-1), weight)
        case "smooth_l1":
            return mean(F.smooth_l1_loss(state, reference, reduction="none").mean(dim=-1), weight)
    raise ValueError(f"distance {kind!r} is not one of cosine, mse, smooth_l1")


def fused(
    state: Float[Tensor, "b n h"],
    reference: Float[Tensor, "b n h"],
    mask: Bool[Tensor, "b n"],
    kind: str,
    weight: Float[Tensor, "b n"] | None = None,
) -> Float[Tensor, ""]:
    """L_fused: distance( z_S, stopgrad z_T ), each utterance times its weight."""
    if not mask.any():
        return nothing(state)
    return distance(state[mask], reference[mask], kind, _of(weight, mask))


def modality(
    state: Float[Tensor, "b n 3 h"],
    reference: Float[Tensor, "b n 3 h"],
    mask: Bool[Tensor, "b n 3"],
    kind: str,
    weight: Float[Tensor, "b n"] | None = None,
) -> Float[Tensor, ""]:
    """L_mod: mean over the modalities that `mask` names of distance( h_S, stopgrad h_T ), by weights.

    `mask` is the student's view for the scope `observed`, every slot of an utterance for `all`.
    """
    parts = [
        fused(state[:, :, index], reference[:, :, index], mask[..., index], kind, weight)
        for index in range(mask.shape[-1])
        if mask[..., index].any()
    ]
    return torch.stack(parts).mean() if parts else nothing(state)


def margin(
    logits: Float[Tensor, "b n c"],
    label: Int[Tensor, "b n"],
    donor: Int[Tensor, "b n"],
    mask: Bool[Tensor, "b n"],
    gap: float,
) -> Float[Tensor, ""]:
    """softplus( log p(y_j) - log p(y_i) + gap ), y_j the donor's label: the margin part of L_nce.

    `mask` names the utterances in conflict whose donor has another label.
    """
    if not mask.any():
        return nothing(logits)
    chosen = F.log_softmax(logits[mask], dim=-1)
    own = chosen.gather(-1, label[mask][:, None])
    other = chosen.gather(-1, donor[mask][:, None])
    return F.softplus(other - own + gap).mean()


def margin_regression(
    prediction: Float[Tensor, "b n 1"],
    score: Float[Tensor, "b n"],
    donor: Float[Tensor, "b n"],
    mask: Bool[Tensor, "b n"],
    gap: float,
) -> Float[Tensor, ""]:
    """Hinge that |score - y_i| + gap be below |score - y_j|: the margin part of L_nce for regression."""
    if not mask.any():
        return nothing(prediction)
    guess = prediction[..., 0][mask]
    return F.relu((guess - score[mask]).abs() + gap - (guess - donor[mask]).abs()).mean()


def reconstruction(
    guess: dict[str, Float[Tensor, "b n _"]],
    features: dict[str, Float[Tensor, "b n _"]],
    mask: Bool[Tensor, "b n 3"],
) -> Float[Tensor, ""]:
    """Squared error of the imputer on slots that were hidden but really exist, mean over modalities."""
    parts = [
        F.mse_loss(guess[name][mask[..., index]], features[name][mask[..., index]])
        for index, name in enumerate(guess)
        if mask[..., index].any()
    ]
    return torch.stack(parts).mean() if parts else nothing(next(iter(guess.values())))


def anchor_pull(
    state: Float[Tensor, "b n h"],
    anchors: Float[Tensor, "k h"],
    label: Int[Tensor, "b n"],
    mask: Bool[Tensor, "b n"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Supervised contrast by cosines: a state against the other states that `mask` names and all anchors.

    Of each, the mean of -log softmax over what shares its label, its anchor always among them.
    """
    if not mask.any():
        return nothing(state) + nothing(anchors)
    own, kind = F.normalize(state[mask], dim=-1), label[mask]
    against = torch.cat([own, F.normalize(anchors, dim=-1)])
    kinds = torch.cat([kind, torch.arange(len(anchors), device=kind.device)])
    itself = torch.eye(len(own), len(against), dtype=torch.bool, device=kind.device)
    near = (own @ against.T / temperature).masked_fill(itself, -torch.inf).log_softmax(dim=-1)
    alike = (kind[:, None] == kinds) & ~itself
    return -(torch.where(alike, near, 0.0).sum(dim=-1) / alike.sum(dim=-1)).mean()


def anchor_angle(anchors: Float[Tensor, "k h"]) -> Float[Tensor, ""]:
    """1 - angle / pi of each anchor to its nearest other one, their mean: 1 where all coincide."""
    if len(anchors) < 2:
        return nothing(anchors)
    own = F.normalize(anchors, dim=-1)
    itself = torch.eye(len(own), dtype=torch.bool, device=own.device)
    # an arc cosine has no slope that can be followed where two anchors nearly coincide
    apart = torch.linalg.vector_norm(own[:, None] - own, dim=-1)
    along = torch.linalg.vector_norm(own[:, None] + own, dim=-1)
    angle = (2 * torch.atan2(apart, along)).masked_fill(itself, math.pi)
    return (1 - angle.min(dim=-1).values / math.pi).mean()
