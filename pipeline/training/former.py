"""Networks as they were stored before they had names: read here, and nowhere else.

There was one network; `imputer` in its shape said whether it filled absent features first, and the parameters
of what read them then stood beside the imputer's.
"""

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def described(stored: Mapping) -> tuple[str, dict]:
    """Registered name and shape from what was stored: its `network` and `shape`, or `shape` alone.

    Raises KeyError if there is no shape, and ValueError for a name that is no text.
    """
    shape = dict(stored["shape"])
    if name := stored.get("network"):
        if not isinstance(name, str):
            raise ValueError("the name of the network is text")
        return name, shape
    return "imputation" if shape.pop("imputer", False) else "attention", shape


def named_now(parameters: Mapping[str, T]) -> dict[str, T]:
    """The parameters of an imputation network by their names of today, whichever they have."""
    inner = ("imputer.", "reader.")
    return {name if name.startswith(inner) else f"reader.{name}": value for name, value in parameters.items()}
