"""When an utterance begins and ends, held to what its medium can hold."""

import logging
from typing import NamedTuple

from pipeline.core.absence import NO_LENGTH, OUT_OF_RANGE
from pipeline.core.errors import PipelineError

log = logging.getLogger("pipeline")

SLACK = 60.0  # s that a file may go on after the length that it declares
LONGEST = 3600.0  # s of an utterance of a file that declares no length
FARTHEST = 3e5  # s (83 hours) after which no medium goes on, unless it declares so
TICK = 0.001  # s of an utterance that has no length


class Span(NamedTuple):
    """Start and end (s) of an utterance, 0 <= start < end, and why its sound and picture are withheld."""

    start: float
    end: float
    withheld: str | None


def in_order(start: float, end: float, where: str) -> None:
    """Raise PipelineError naming `where` if an utterance ends before it begins."""
    if end < start:
        raise PipelineError(f"{where}: ends at {end} s, starts at {start} s. Mend the times.")


def span(start: float, end: float, duration: float | None, where: str) -> Span:
    """The times of an utterance, drawn back to what its medium can hold; that is logged.

    duration: what the medium declares (s), 0 or None if nothing. An utterance without a length is withheld,
    and so is one that ends before the medium begins. One that begins after the medium stays, for extraction
    to say so. Raises PipelineError naming `where` if it ends before it begins.
    """
    in_order(start, end, where)
    begins = min(max(0.0, start), max(FARTHEST, duration or 0.0))
    if end == start:
        log.info("%s: no length, from %g s to %g s: %s", where, start, end, NO_LENGTH)
        return Span(begins, begins + TICK, NO_LENGTH)
    if end <= 0:
        log.info("%s: ends at %g s, before the file begins: %s", where, end, OUT_OF_RANGE)
        return Span(0.0, TICK, OUT_OF_RANGE)
    most = max(0.0, duration - begins) + SLACK if duration else LONGEST
    if end - begins <= most and begins == max(0.0, start):
        return Span(begins, end, None)
    last = duration if duration and begins < duration else begins + most
    last = min(end, last) if end > begins else begins + TICK
    log.info(
        "%s: from %g s to %g s, where the file has %s: read as %g s to %g s",
        where,
        start,
        end,
        f"{duration:g} s" if duration else "no length of its own",
        begins,
        last,
    )
    return Span(begins, last, None)
