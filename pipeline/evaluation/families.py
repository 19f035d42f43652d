"""All registered protocols together: their views, their headline conditions, and what people call them."""

from collections.abc import Iterable, Iterator
from functools import cache

from models.conditions import COMPLETE, Condition
from pipeline.core.errors import PipelineError
from pipeline.core.registries import protocols
from pipeline.evaluation.protocol import Frozen, Protocol, Swaps, View


@cache
def registered() -> tuple[Protocol, ...]:
    """Every protocol, in the order of the registry."""
    return tuple(protocols.protocol(family).PROTOCOL for family in protocols.PROTOCOLS)


def of(condition: Condition) -> Protocol:
    """The protocol of a condition; raises PipelineError if none is registered for its family."""
    for protocol in registered():
        if protocol.family == condition.family:
            return protocol
    raise PipelineError(
        f"condition {str(condition)!r}: no protocol of the family {condition.family!r} is registered in "
        "pipeline/core/registries/protocols.py. Register it, or evaluate again without it."
    )


def views(frozen: Frozen) -> Iterator[View]:
    """Every view in which all utterances are judged at once. Each condition of a corpus comes from here."""
    for protocol in registered():
        yield from protocol.views(frozen)


def swaps(frozen: Frozen) -> Iterator[Swaps]:
    """Every condition in which utterances are judged one at a time."""
    for protocol in registered():
        yield from protocol.swaps(frozen)


def coinciding(frozen: Frozen) -> dict[Condition, str]:
    """Conditions that would test this corpus on nothing new, and what each is, in words: left out."""
    return {name: same for protocol in registered() for name, same in protocol.coinciding(frozen).items()}


def heading(condition: Condition, between: str = " + ") -> str:
    """A condition in words: "complete", "text only", "text + audio", "random 0.3", "both swapped: same"."""
    return of(condition).title(condition, between)


@cache
def headlines() -> dict[Condition, str]:
    """The conditions of the main tables, which are also those that are tested, and their names."""
    means = [Condition(protocol.family).mean for protocol in registered() if protocol.headline]
    return {mean: heading(mean) for mean in means}


def lines(conditions: Iterable[Condition]) -> list[list[Condition]]:
    """Conditions as the lines of a figure: a family each, the complete view before the first other one.

    A family of many conditions has no line.
    """
    by_family: dict[str, list[Condition]] = {protocol.family: [] for protocol in registered()}
    for condition in conditions:
        if not of(condition).many:
            by_family[of(condition).family].append(condition)
    whole = by_family.pop(COMPLETE.family)
    first, *rest = by_family.values()
    return [line for line in ([*whole, *first], *rest) if line]


def together(family: str) -> str:
    """All conditions of a family at once, in words."""
    return of(Condition(family)).together
