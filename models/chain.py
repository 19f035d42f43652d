"""The chain over the labels of a dialogue, the last layer of a network (docs/method.md, "Chain of labels").

    p(y_1 .. y_N | x)  ~  prod_i  exp(u_i[y_i] + own[y_own(i), y_i] + other[y_other(i), y_i])

u_i is the evidence for utterance i, own(i) the last utterance before it by the same speaker, other(i) the
last one by anybody else; a speaker's first utterance has the potentials `start` in place of `own`, and an
utterance before which nobody else spoke has no `other`. Labels that nobody knows are summed over: nothing
here asks for them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from models.batch import Batch

# exp(FAR) is 0 in float32, and FAR is finite, so that no difference of two of them is NaN
FAR = -1e4
LEAST = 1e-30  # share of a label's evidence in that of the likeliest one, so that none is impossible
SWEEPS = 3  # of the approximation for more than two speakers


@dataclass(frozen=True)
class Potentials:
    """Log-potentials between labels; rows are the earlier label."""

    start: Float[Tensor, "c"]  # of a speaker's first label
    own: Float[Tensor, "c c"]  # after the speaker's own last label
    other: Float[Tensor, "c c"] | None = None  # after somebody else's last label; None: no link


def marginals(
    evidence: Float[Tensor, "b n c"],
    potentials: Potentials,
    speaker: Int[Tensor, "b n"],
    valid: Bool[Tensor, "b n"],
) -> Float[Tensor, "b n c"]:
    """Log-probabilities of every label given the evidence of the whole dialogue; 0 on padding.

    Exact for any number of speakers without `other`, and with it for two. For more the dependence between
    speakers is approximated by structured mean field: each speaker's own chain stays exact, and sees of the
    others what they are believed to have felt, in `SWEEPS` rounds that begin without it.
    """
    # what stands on padding must reach neither a value nor a gradient
    evidence = torch.where(valid[..., None], evidence, 0.0)
    chains = Chains.of(speaker, valid)
    if potentials.other is None:
        return chains.marginals(evidence, potentials.start, potentials.own)
    crowd = speaker.masked_fill(~valid, 0).amax(dim=1) > 1
    parts = []
    for wanted, method in ((~crowd, _pairs), (crowd, _mean_field)):
        chosen = wanted.nonzero()[:, 0]
        if len(chosen):
            found = method(evidence[chosen], potentials, potentials.other, speaker[chosen], valid[chosen])
            parts.append((chosen, found))
    if len(parts) == 1:
        return parts[0][1]
    order = torch.cat([chosen for chosen, _ in parts]).argsort()
    return torch.cat([found for _, found in parts])[order]


@dataclass(frozen=True)
class Chains:
    """The utterances of B dialogues as K chains of at most L, one a dialogue and speaker."""

    places: Int[Tensor, "k l"]  # flat places b * n + i in order, -1 on padding

    @staticmethod
    def of(speaker: Int[Tensor, "b n"], valid: Bool[Tensor, "b n"]) -> "Chains":
        """Chains of a padded batch; speakers are dialogue-relative numbers from 0."""
        places = valid.flatten().nonzero()[:, 0]
        width = int(speaker.max()) + 1 if len(places) else 1
        dialogue = places // speaker.shape[1]
        group = dialogue * width + speaker.flatten()[places]
        group, order = group.sort(stable=True)
        # sorted already, so the order of the groups stays
        counts = torch.unique(group, return_counts=True)[1]
        within = torch.arange(len(group), device=group.device)
        within = within - (counts.cumsum(0) - counts).repeat_interleave(counts)
        chain = torch.arange(len(counts), device=group.device).repeat_interleave(counts)
        longest = int(counts.max()) if len(counts) else 0
        found = torch.full((len(counts), longest), -1, dtype=torch.long, device=group.device)
        found[chain, within] = places[order]
        return Chains(found)

    def marginals(
        self, evidence: Float[Tensor, "b n c"], start: Float[Tensor, "c"], own: Float[Tensor, "c c"]
    ) -> Float[Tensor, "b n c"]:
        """Log marginals of independent chains by forward-backward; 0 where no chain passes."""
        real = self.places >= 0
        if not real.any():
            return torch.zeros_like(evidence)
        flat = evidence.flatten(0, 1)
        there = real[..., None]
        e = torch.where(there, flat[self.places.clamp(min=0)], 0.0)
        # each direction is read from its own end, so that all chains begin together and padding comes last
        length = real.sum(dim=1, keepdim=True)
        turned = (length - 1 - torch.arange(real.shape[1], device=real.device)).clamp(min=0)[..., None]
        turned = turned.expand_as(e)
        both = torch.stack([e, e.gather(1, turned)])  # (2, k, l, c)
        likelihood = _likelihood(both)
        first = _likelihood(torch.stack([start, torch.zeros_like(start)]))[:, None]
        tables = _likelihood(torch.stack([own, own.T]).flatten(1)).view(2, *own.shape)
        # (unbound, for the gradient of a slice is as large as the whole)
        begin, *later = likelihood.unbind(dim=2)
        states = [_shares(first * begin)]
        for step in later:
            states.append(_shares((states[-1] @ tables) * step))
        forward, backward = torch.stack(states, dim=2).clamp(min=LEAST).log()
        # what is behind tells of each label with its own evidence, and so does what is ahead
        joint = forward + backward.gather(1, turned) - likelihood[0].log()
        found = joint.log_softmax(dim=-1)[real]
        return torch.zeros_like(flat).index_put((self.places[real],), found).view_as(evidence)


def _likelihood(log: Float[Tensor, "*k c"]) -> Float[Tensor, "*k c"]:
    """exp(log) over the largest of a row; nothing is impossible, so that no sum of products is 0."""
    return (log - log.amax(dim=-1, keepdim=True).detach()).exp().clamp(min=LEAST)


def _shares(weights: Float[Tensor, "*k c"]) -> Float[Tensor, "*k c"]:
    return weights / weights.sum(dim=-1, keepdim=True)


def _push(message: Float[Tensor, "*k c"], table: Float[Tensor, "c d"]) -> Float[Tensor, "*k d"]:
    """log sum over the first label of exp(message + table), as a product of matrices."""
    top = message.amax(dim=-1, keepdim=True).detach()
    high = table.amax().detach()
    return ((message - top).exp() @ (table - high).exp()).clamp(min=1e-30).log() + top + high


def _pairs(
    evidence: Float[Tensor, "b n c"],
    potentials: Potentials,
    coupling: Float[Tensor, "c c"],
    speaker: Int[Tensor, "b n"],
    valid: Bool[Tensor, "b n"],
) -> Float[Tensor, "b n c"]:
    """Two speakers: forward-backward over pairs (last label of who speaks, last label of the other).

    Label number c stands for "has not spoken yet".
    """
    batch, count, classes = evidence.shape
    nobody = evidence.new_zeros(1, classes)
    own = torch.cat([potentials.own, potentials.start[None]])  # (c + 1, c)
    other = torch.cat([coupling, nobody])  # (c + 1, c)
    same = torch.zeros_like(valid)
    same[:, 1:] = speaker[:, 1:] == speaker[:, :-1]
    state = evidence.new_full((batch, classes + 1, classes + 1), FAR)  # (own, other)
    state[:, classes, classes] = 0.0
    states = []
    # (unbound, for the gradient of a slice is as large as the whole)
    steps = evidence[:, :, None].unbind(dim=1)
    for step in range(count):
        before = state if step == 0 else torch.where(same[:, step, None, None], state, state.mT)
        reached = _push(before.mT, own) + other + steps[step]  # (b, other, label)
        after = torch.cat([reached.mT, evidence.new_full((batch, 1, classes + 1), FAR)], dim=1)
        state = torch.where(valid[:, step, None, None], after, state)
        states.append(state)
    ahead = torch.zeros_like(state)
    found = []
    for step in range(count - 1, -1, -1):
        found.append(torch.logsumexp(states[step] + ahead, dim=2)[:, :classes])
        if step:
            coming = ahead[:, :classes].mT + other + steps[step]  # (b, other, label)
            before = _push(coming, own.T).mT  # (b, own, other)
            before = torch.where(same[:, step, None, None], before, before.mT)
            ahead = torch.where(valid[:, step, None, None], before, ahead)
    log = torch.stack(found[::-1], dim=1).log_softmax(dim=-1)
    return torch.where(valid[..., None], log, 0.0)


def last_own(speaker: Int[Tensor, "b n"], valid: Bool[Tensor, "b n"]) -> Int[Tensor, "b n"]:
    """The position of the speaker's own last utterance, -1 where there is none."""
    return _last(speaker[:, :, None] == speaker[:, None, :], valid)


def last_other(speaker: Int[Tensor, "b n"], valid: Bool[Tensor, "b n"]) -> Int[Tensor, "b n"]:
    """The position of the last utterance by somebody else, -1 where there is none."""
    return _last(speaker[:, :, None] != speaker[:, None, :], valid)


def count_labels(
    batches: Iterable[Batch], classes: int
) -> tuple[Float[Tensor, "c"], Float[Tensor, "c c"], Float[Tensor, "c c"]]:
    """How often each label stands, and follows the speaker's own last one, and another's (rows: the earlier).

    An utterance without a label breaks a pair.
    """
    alone, own, other = (torch.zeros(shape) for shape in ((classes,), (classes, classes), (classes, classes)))
    for batch in batches:
        label = batch.label
        alone += torch.bincount(label[label >= 0], minlength=classes)
        for table, find in ((own, last_own), (other, last_other)):
            place = find(batch.speaker, batch.valid)
            earlier = label.gather(1, place.clamp(min=0))
            known = (place >= 0) & (label >= 0) & (earlier >= 0)
            pairs = earlier[known] * classes + label[known]
            table.add_(torch.bincount(pairs, minlength=classes**2).view(classes, classes))
    return alone, own, other


def _last(linked: Bool[Tensor, "b n n"], valid: Bool[Tensor, "b n"]) -> Int[Tensor, "b n"]:
    place = torch.arange(valid.shape[1], device=valid.device)
    earlier = place[None, :] < place[:, None]  # (i, j)
    found = torch.where(earlier & linked & valid[:, None, :] & valid[:, :, None], place, -1)
    return found.amax(dim=2)


def _mean_field(
    evidence: Float[Tensor, "b n c"],
    potentials: Potentials,
    coupling: Float[Tensor, "c c"],
    speaker: Int[Tensor, "b n"],
    valid: Bool[Tensor, "b n"],
) -> Float[Tensor, "b n c"]:
    """More than two speakers: exact chains of each, coupled by what the others are expected to feel."""
    chains, link = Chains.of(speaker, valid), last_other(speaker, valid)
    there = (link >= 0)[..., None]
    index = link.clamp(min=0)[..., None].expand_as(evidence)
    log = chains.marginals(evidence, potentials.start, potentials.own)
    for _ in range(SWEEPS):
        belief = torch.where(valid[..., None], log.exp(), 0.0)
        behind = torch.where(there, belief.gather(1, index) @ coupling, 0.0)
        told = torch.where(there, belief @ coupling.T, 0.0)
        ahead = torch.zeros_like(evidence).scatter_add(1, index, told)
        log = chains.marginals(evidence + behind + ahead, potentials.start, potentials.own)
    return log


def score_posterior(
    mean: Float[Tensor, "b n"],
    precision: Float[Tensor, "b n"],
    pull: Float[Tensor, ""],
    stiffness: Float[Tensor, ""],
    speaker: Int[Tensor, "b n"],
    valid: Bool[Tensor, "b n"],
) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]]:
    """The Gaussian counterpart: posterior mean and variance of every score, 0 and 0 on padding.

    Evidence: score i is `mean` up to a variance 1 / `precision` (0 where nothing is known). Prior: each
    speaker's scores are stationary around 0 with variance 1 / (stiffness * (1 - pull^2)), score i being
    `pull` times the speaker's last one up to a variance 1 / `stiffness`. Exact (a linear system) for any
    number of speakers.
    """
    chains = Chains.of(speaker, valid)
    count = mean.shape[1]
    first, later = chains.places[:, :-1], chains.places[:, 1:]
    pairs = later >= 0
    earlier, later = first[pairs], later[pairs]
    dialogue, i, j = earlier // count, earlier % count, later % count
    begins = torch.zeros_like(mean).index_put(
        (chains.places[:, 0] // count, chains.places[:, 0] % count), torch.ones_like(mean[0, :1])
    )
    follows = torch.where(valid, 1 - begins, 0.0)
    diagonal = stiffness * (follows + begins * (1 - pull**2)) + precision
    diagonal = diagonal.index_put((dialogue, i), stiffness * pull**2 * torch.ones_like(diagonal[0, :1]), True)
    matrix = torch.diag_embed(torch.where(valid, diagonal, 1.0))
    coupling = (-stiffness * pull).expand(len(i))
    matrix = matrix.index_put((dialogue, i, j), coupling, True).index_put((dialogue, j, i), coupling, True)
    inverse = torch.linalg.inv(matrix)
    posterior = (inverse @ torch.where(valid, precision * mean, 0.0)[..., None])[..., 0]
    variance = inverse.diagonal(dim1=1, dim2=2)
    return torch.where(valid, posterior, 0.0), torch.where(valid, variance, 0.0)
