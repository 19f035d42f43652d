"""Parameters of a test that are each a kind of fault of its own (the marker `fault`, docs/faults.md)."""

from collections.abc import Mapping
from typing import Any

import pytest


def cases(area: str, kinds: Mapping[Any, str], ends: str) -> list:
    """For `parametrize`: each value with the kind of fault that it is; all end alike."""
    return [pytest.param(value, marks=pytest.mark.fault(area, kind, ends)) for value, kind in kinds.items()]
