"""The common base of all settings: frozen, typed, closed to unknown keys, and strict where YAML is not."""

import types
import typing
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator, model_validator


class Settings(BaseModel):
    """One section of the configuration; every field carries a type, a default and a description."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=False, allow_inf_nan=False, validate_default=True
    )

    @model_validator(mode="before")
    @classmethod
    def _truth_is_no_number(cls, raw: Any) -> Any:
        """Raises ValueError for true or false where a number is expected: they would count as 1 and 0."""
        for name, value in raw.items() if isinstance(raw, Mapping) else ():
            kinds = set(_kinds(cls.model_fields[name].annotation)) if name in cls.model_fields else set()
            if kinds & {int, float} and kinds <= {int, float, str, types.NoneType}:
                for entry in value if isinstance(value, (list, tuple)) else [value]:
                    if isinstance(entry, bool):
                        raise ValueError(
                            f"{name}: {str(entry).lower()} is a truth value; a number is expected"
                        )
        return raw

    @field_validator("*", mode="after")
    @classmethod
    def _no_entry_twice(cls, value: Any) -> Any:
        """Raises ValueError for a list that names something twice: it would count twice."""
        entries = value if isinstance(value, (list, tuple)) else []
        if all(isinstance(entry, Hashable) for entry in entries) and len(set(entries)) < len(entries):
            twice = next(entry for place, entry in enumerate(entries) if entry in entries[:place])
            raise ValueError(f"an entry stands twice: {twice!r}")
        return value


def _kinds(annotation: Any) -> Iterator[Any]:
    """The plain types that an annotation is made of, those within lists, unions and `Annotated`, too."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        yield from _kinds(parts[0])
    elif origin is typing.Literal:
        yield from {type(part) for part in parts}
    elif origin in (list, tuple, typing.Union, types.UnionType):
        for part in parts:
            if part is not Ellipsis:
                yield from _kinds(part)
    else:
        yield annotation
