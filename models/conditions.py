"""Names of the modalities and of the evaluation's conditions; no torch, so that tables can import it."""

MODALITIES = ("text", "audio", "visual")
LETTERS = ("t", "a", "v")
FIXED = ("t", "a", "v", "at", "tv", "av")
COMPLETE = "complete"
# means over the conditions of a family
FIXED_MEAN = "fixed/mean"
RANDOM_MEAN = "random/mean"


def fixed_name(letters: str) -> str:
    """Name of the condition that shows just `letters` (such as "at")."""
    return f"fixed/{letters}"


def random_name(rate: float) -> str:
    """Name of the condition with a nominal missing rate."""
    return f"random/{rate:g}"


def conflict_name(letters: str, kind: str) -> str:
    """Name of the condition whose channels `letters` come from a donor of kind `kind`."""
    return f"conflict/{letters}/{kind}"
