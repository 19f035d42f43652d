"""What keeps parts of states apart and teaches one modality by the others (docs/neighbours.md, DHMD).

Parts are indexed shared, own; each term is a mean over the slots that it counts, and 0 where there is none.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from models.losses import nothing


def apart(parts: Float[Tensor, "b n 2 3 w"], shown: Bool[Tensor, "b n 3"]) -> Float[Tensor, ""]:
    """Squared cosine of the two parts of each shown state: 0 at right angles, 1 on one line."""
    if not shown.any():
        return nothing(parts)
    shared, own = parts[:, :, 0][shown], parts[:, :, 1][shown]
    return F.cosine_similarity(shared, own, dim=-1).square().mean()


def edges(match: Float[Tensor, "b n 2 3 3"], shown: Bool[Tensor, "b n 3"]) -> Float[Tensor, "b n 2 3 3"]:
    """How much each shown modality listens to each other shown one: softmax of `match` over these, else 0."""
    itself = torch.eye(3, dtype=torch.bool, device=shown.device)
    listens = (shown[..., :, None] & shown[..., None, :] & ~itself)[:, :, None].expand_as(match)
    # a row of nothing but -inf would be NaN
    some = listens.any(dim=-1, keepdim=True)
    return torch.where(listens, match.masked_fill(~listens & some, -torch.inf).softmax(dim=-1), 0.0)


def asked(
    logits: Float[Tensor, "b n 2 3 c"], weight: Float[Tensor, "b n 2 3 3"], regression: bool
) -> Float[Tensor, "b n 2 3 c"]:
    """What the others say to each modality: log of their mixed probabilities, or their mixed scores.

    The answers are constants, so that a gradient reaches the edges alone.
    """
    told = logits.detach()
    if regression:
        return weight @ told
    return (weight @ told.softmax(dim=-1)).clamp(min=1e-12).log()


def taught(
    logits: Float[Tensor, "b n 2 3 c"],
    said: Float[Tensor, "b n 2 3 c"],
    learns: Bool[Tensor, "b n 2 3"],
    regression: bool,
) -> Float[Tensor, ""]:
    """KL from what the others say to what a modality says; squared error of scores. The others stay."""
    if not learns.any():
        return nothing(logits)
    told, own = said.detach()[learns], logits[learns]
    if regression:
        return (own - told).square().mean()
    return F.kl_div(own.log_softmax(dim=-1), told, reduction="batchmean", log_target=True)


def matched(matches: Float[Tensor, "b n 3 k"], shown: Bool[Tensor, "b n 3"]) -> Float[Tensor, ""]:
    """KL between what two shown modalities of an utterance match, and how unevenly prototypes are used.

    Each is to match what the other does (a constant to it), mean over ordered pairs. The second part, log K
    minus the entropy of the mean match, is 0 where all are used alike: without it all would match one.
    """
    if not shown.any():
        return nothing(matches)
    mean = matches[shown].exp().mean(dim=0)
    uneven = math.log(matches.shape[-1]) + (mean * mean.clamp(min=1e-12).log()).sum()
    apart = []
    for one, other in itertools.permutations(range(3), 2):
        both = shown[..., one] & shown[..., other]
        told, own = matches[:, :, other][both].detach(), matches[:, :, one][both]
        apart.append(F.kl_div(own, told, reduction="none", log_target=True).sum(dim=-1))
    pairs = torch.cat(apart)
    return uneven + (pairs.mean() if len(pairs) else 0.0)
