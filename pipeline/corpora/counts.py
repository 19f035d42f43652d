"""Whether a corpus has the size that the literature gives it."""

import logging
from collections.abc import Mapping
from typing import Literal

from pipeline.core.errors import PipelineError

log = logging.getLogger("pipeline")


def differences(expected: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """One line a count that is not as expected; a count that was not found is 0."""
    return [
        f"{name}: {found.get(name, 0)} instead of {count} ({found.get(name, 0) - count:+d})"
        for name, count in expected.items()
        if found.get(name, 0) != count
    ]


def compare(
    corpus: str,
    expected: Mapping[str, int],
    found: Mapping[str, int],
    mode: Literal["strict", "report", "off"],
) -> None:
    """Log, or with `strict` raise as PipelineError, what differs from the published counts."""
    if mode == "off":
        return
    wrong = differences(expected, found)
    if not wrong:
        log.info("%s: all %d counts are those of the literature", corpus, len(expected))
        return
    if mode == "strict":
        raise PipelineError(
            f"corpus {corpus}: its counts are not those of the literature: {'; '.join(wrong)}. Complete the "
            "corpus, or set corpus.counts to report if this part of it is what you want."
        )
    for line in wrong:
        log.info("%s: %s", corpus, line)
