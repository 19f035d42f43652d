"""Which slots of a dialogue are shown: fixed subsets and random missing rates.

A slot is one modality of one utterance. A mask never shows a slot that the corpus lacks. The laws stand in
docs/method.md, section "Protocols".
"""

from functools import lru_cache

import torch
from jaxtyping import Bool
from torch import Tensor

from models.modalities import has_letter


def _expected_rate(probability: float, counts: tuple[int, int, int]) -> float:
    """Expected missing rate when each slot drops with `probability` and full drops are redrawn."""
    p = probability
    # (p - p^k) / (1 - p^k) with the factor 1 - p divided out, so that p = 1 needs no limit
    by_slots = (0.0, p / (1 + p), p * (1 + p) / (1 + p + p * p))
    slots = sum(k * count for k, count in enumerate(counts, start=1))
    return sum(k * n * rate for (k, n), rate in zip(enumerate(counts, 1), by_slots, strict=True)) / slots


@lru_cache(maxsize=4096)
def solve_probability(rate: float, counts: tuple[int, int, int] = (0, 0, 1)) -> float:
    """Drop probability whose expected missing rate is `rate`, when no utterance may lose everything.

    `counts` are the numbers of utterances with one, two and three available slots; for three slots the
    expected rate is p(1+p)/(1+p+p^2) (docs/method.md, section "Protocols"). A rate at or above the
    reachable maximum gives 1: every utterance keeps a single slot. Raises ValueError outside 0..1 or if
    there is no slot.
    """
    if not 0 <= rate <= 1 or sum(counts) == 0:
        raise ValueError(f"rate {rate} must be within 0..1 and counts {counts} must hold an utterance")
    if rate >= _expected_rate(1.0, counts):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _expected_rate(middle, counts) < rate else (low, middle)
    return (low + high) / 2


def reachable_rate(available: Bool[Tensor, "*u 3"], rate: float) -> float:
    """The missing rate that `random_masks` reaches: `rate`, to one slot, or the most that can go missing.

    Missing slots are counted against the slots that are really available; nothing available gives 0.
    """
    slots = int(available.sum())
    return _quota(available, rate) / slots if slots else 0.0


def missing_rate(available: Bool[Tensor, "*u 3"], shown: Bool[Tensor, "*u 3"]) -> float:
    """Masked slots divided by the slots that are really available (0 if there are none)."""
    slots = int(available.sum())
    return int((available & ~shown).sum()) / slots if slots else 0.0


def random_masks(
    available: Bool[Tensor, "*u 3"], rate: float, generator: torch.Generator
) -> Bool[Tensor, "*u 3"]:
    """Drop slots at a missing rate that is met exactly over all utterances given.

    Each slot drops with a probability solved from the rate, an utterance that would lose everything is
    redrawn, and single slots are then flipped at random to meet the quota. Every utterance keeps at least
    one available slot; an utterance with none stays so. `generator` lives on the device of `available`.
    """
    flat = available.reshape(-1, 3)
    count = flat.sum(dim=1)
    counts = tuple(int((count == k).sum()) for k in (1, 2, 3))
    if sum(counts) == 0:
        return available.clone()
    probability = solve_probability(rate, counts)
    shown = _keep_one(flat, generator) if probability == 1.0 else _drop(flat, probability, generator)
    shown = _meet_quota(flat, shown, _quota(flat, rate), generator)
    return shown.reshape(available.shape)


def fixed_mask(available: Bool[Tensor, "*u 3"], letters: str) -> Bool[Tensor, "*u 3"]:
    """Show the modalities in `letters` where they are available; an utterance may be left with nothing.

    Raises ValueError for a letter other than t, a, v.
    """
    return available & torch.tensor(has_letter(letters), device=available.device)


def _quota(available: Bool[Tensor, "*u 3"], rate: float) -> int:
    """How many slots have to be missing: `rate` of them, rounded, within what can go missing."""
    count = available.reshape(-1, 3).sum(dim=1)
    most = int((count - 1).clamp(min=0).sum())
    return min(int(rate * int(count.sum()) + 0.5), most)


def _draw(shape: torch.Size, generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device)


def _keep_one(available: Bool[Tensor, "u 3"], generator: torch.Generator) -> Bool[Tensor, "u 3"]:
    """One available slot an utterance, each with the same chance."""
    order = _draw(available.shape, generator).masked_fill(~available, -1.0)
    best = torch.nn.functional.one_hot(order.argmax(dim=1), 3).bool()
    return best & available


def _drop(
    available: Bool[Tensor, "u 3"], probability: float, generator: torch.Generator
) -> Bool[Tensor, "u 3"]:
    """Independent drops; utterances that lose everything are drawn again until they keep something."""
    # with p near 1 redraws take long; a thousand rounds leave nobody at any p that needs them in practice
    shown = available & (_draw(available.shape, generator) >= probability)
    for _ in range(1000):
        empty = available.any(dim=1) & ~shown.any(dim=1)
        if not empty.any():
            return shown
        again = available[empty]
        shown[empty] = again & (_draw(again.shape, generator) >= probability)
    shown[empty] = _keep_one(available[empty], generator)
    return shown


def _meet_quota(
    available: Bool[Tensor, "u 3"], shown: Bool[Tensor, "u 3"], quota: int, generator: torch.Generator
) -> Bool[Tensor, "u 3"]:
    """Flip single slots at random until exactly `quota` available slots are missing."""
    shown = shown.clone()
    while surplus := int((available & ~shown).sum()) - quota:
        order = _draw(available.shape, generator)
        if surplus > 0:
            candidates = available & ~shown
        else:
            # one slot an utterance and round, so that nobody loses the last one
            candidates = shown & (shown.sum(dim=1, keepdim=True) > 1)
            first = order.masked_fill(~candidates, 2.0).argmin(dim=1)
            candidates = candidates & torch.nn.functional.one_hot(first, 3).bool()
        chosen = order.masked_fill(~candidates, 2.0).flatten().argsort(stable=True)
        chosen = chosen[: min(abs(surplus), int(candidates.sum()))]
        shown.view(-1)[chosen] = surplus > 0
    return shown
