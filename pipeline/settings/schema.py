"""What the settings models say of themselves: every key with its kind, range, default and meaning."""

import json
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import annotated_types as ranges
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Key:
    """One key of the configuration, or one section of keys."""

    path: tuple[str, ...]
    kind: str  # what a value must be, in words
    default: Any
    meaning: str
    section: type[BaseModel] | None = None

    @property
    def name(self) -> str:
        return ".".join(self.path)


def keys(model: BaseModel, path: tuple[str, ...] = ()) -> Iterator[Key]:
    """All keys below a settings object in the order of their definition, a section before its keys.

    The object's values are taken as the defaults.
    """
    for name, field in type(model).model_fields.items():
        value, here = getattr(model, name), (*path, name)
        meaning = _small((field.description or "").rstrip("."))
        if isinstance(value, BaseModel):
            yield Key(here, "section", None, meaning, type(value))
            yield from keys(value, here)
        else:
            yield Key(here, kind_of(field), value, meaning)


def _small(text: str) -> str:
    """With a small first letter, unless it begins with a name or an abbreviation."""
    first = text.partition(" ")[0]
    return text[:1].lower() + text[1:] if first[1:].islower() else text


def kind_of(field: FieldInfo) -> str:
    """What a value of this field must be: type and range in words."""
    return _kind(field.annotation, field.metadata)


def choices(annotation: Any) -> tuple[str, ...]:
    """The words that a field (or the entries of its list) may be; empty if any value will do."""
    if typing.get_origin(annotation) is typing.Literal:
        return tuple(str(value) for value in typing.get_args(annotation))
    return tuple(word for part in typing.get_args(annotation) for word in choices(part))


def _kind(annotation: Any, limits: Sequence[Any]) -> str:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _kind(parts[0], [limit for part in parts[1:] for limit in getattr(part, "metadata", [part])])
    if origin is typing.Literal:
        return _either([f"`{value}`" for value in parts])
    if origin in (typing.Union, types.UnionType):
        return _either([_kind(part, limits) for part in parts])
    if origin in (list, tuple):
        some = any(isinstance(limit, ranges.MinLen) for limit in limits)
        return f"list{', not empty,' if some else ''} of: {_kind(parts[0], [])}"
    if origin is dict:
        return f"mapping of names to: {_kind(parts[1], [])}"
    # a limit is the number's, not of the null beside it
    return ", ".join([_word(annotation), *(_limits(limits) if annotation is not types.NoneType else [])])


def _word(kind: type) -> str:
    if issubclass(kind, BaseModel):
        return f"section of {', '.join(kind.model_fields)}"
    words = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text", dict: "mapping"}
    return words.get(kind, "`null`")


def _either(words: Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _limits(limits: Sequence[Any]) -> list[str]:
    """The range of a number, or the form of a text, in words."""
    least = [limit.ge for limit in limits if isinstance(limit, ranges.Ge)]
    most = [limit.le for limit in limits if isinstance(limit, ranges.Le)]
    said = []
    if least and most:
        said.append(f"{plain(least[-1])} to {plain(most[-1])}")
    else:
        said += [f"at least {plain(value)}" for value in least]
        said += [f"above {plain(limit.gt)}" for limit in limits if isinstance(limit, ranges.Gt)]
        said += [f"at most {plain(value)}" for value in most]
        said += [f"below {plain(limit.lt)}" for limit in limits if isinstance(limit, ranges.Lt)]
    said += [f"a multiple of {limit.multiple_of}" for limit in limits if isinstance(limit, ranges.MultipleOf)]
    said += ["not empty" for limit in limits if isinstance(limit, ranges.MinLen)]
    said += [f"of the form `{limit.pattern}`" for limit in limits if getattr(limit, "pattern", None)]
    return said


def _bare(text: str) -> bool:
    """Whether YAML reads a text as itself without quotes."""
    try:
        return bool(text) and not set(text) & set(":#,[]{}\n") and yaml.safe_load(text) == text
    except (yaml.YAMLError, ValueError):
        # what YAML takes for the beginning of something else, for a date that is none, or not at all
        return False


def plain(value: Any) -> str:
    """A value as a person writes it in YAML, on one line."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {plain(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(plain(entry) for entry in value) + "]"
    if isinstance(value, str):
        return value if _bare(value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return repr(value)
