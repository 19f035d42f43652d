"""A fault of the configuration in one paragraph: where it is, what was expected, the nearest right name."""

import difflib
import re
import types
import typing
from collections.abc import Sequence

from pydantic import BaseModel, ValidationError

from pipeline.settings import schema
from pipeline.settings.config import Config, FoldSettings
from pipeline.settings.files import Place, Source, where

# keys of earlier versions, and what to write instead
GONE = {
    "imputer": "the imputer is a network of its own; write `network: imputation` in place of "
    "`imputer: true`, and leave out `imputer: false`",
}


def explain(error: ValidationError, above: Place, model: type[BaseModel], sources: Sequence[Source]) -> str:
    """One paragraph on the first fault; `above` is the path of `model` in the configuration."""
    faults = error.errors()
    fault, first = faults[0], _without_kind(model, faults[0]["loc"])
    inner = tuple(str(part) for part in first)
    names = tuple(part for part in first if isinstance(part, str))
    # a value that is of none of several kinds is one fault
    others = sum(_without_kind(model, other["loc"]) != first for other in faults)
    more = f" ({others} more after this one.)" if others else ""
    if fault["type"] == "value_error":
        said = str(fault["ctx"]["error"])
        place, section = (*above, *names), _section_at(model, names)
        # what concerns several keys of a section begins with the one to look at
        named = re.match(r"([A-Za-z0-9_.]+): ", said)
        if named and section and named[1].partition(".")[0] in section.model_fields:
            place, said = (*place, *named[1].split(".")), said[named.end() :]
        return f"{where(place, sources)}: {'.'.join(place)}: {said}.{more}"
    place, key = (*above, *names), ".".join((*above, *inner))
    if fault["type"] == "extra_forbidden" and inner[-1] in GONE:
        return f"{where(place, sources)}: there is no key {key!r} any more: {GONE[inner[-1]]}.{more}"
    if fault["type"] == "extra_forbidden":
        return f"{where(place, sources)}: there is no key {key!r}. {_nearest(model, above, inner)}{more}"
    holder = _section_at(model, names[:-1]) if names else None
    field = holder.model_fields.get(names[-1]) if holder else None
    section = _section_at(model, names)
    if field is None:
        said = f"expected a section of {', '.join(section.model_fields)}" if section else fault["msg"]
        return f"{where(place, sources)}: {key}: {said} (got {schema.plain(fault['input'])}).{more}"
    kind = f"a section of {', '.join(section.model_fields)}" if section else schema.kind_of(field)
    near = difflib.get_close_matches(str(fault["input"]), schema.choices(field.annotation), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"{where(place, sources)}: the key {key!r} is {schema.plain(fault['input'])}; expected: {kind} "
        f"({(field.description or '').rstrip('.')}).{hint}{more}"
    )


def _without_kind(model: type[BaseModel], path: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The path of a value, without the kind that it was tried as, where it may be of several."""
    kind: typing.Any = model
    for place, part in enumerate(path, 1):
        if typing.get_origin(kind) is dict:
            kind = typing.get_args(kind)[1]
        elif _is_section(kind) and part in kind.model_fields:
            kind = kind.model_fields[part].annotation
        else:
            return path
        if typing.get_origin(kind) in (typing.Union, types.UnionType):
            return path[:place]
    return path


def _nearest(model: type[BaseModel], above: Place, path: Place) -> str:
    """The right name that is nearest to a wrong one: in its section, or anywhere."""
    section = _section_at(model, path[:-1])
    known = list(section.model_fields) if section else []
    if near := difflib.get_close_matches(path[-1], known, n=1):
        return f"Did you mean {near[0]!r}?"
    everywhere = {key.path[-1]: key.name for key in schema.keys(Config())}
    if (fold := (*above, *path)[:2])[0] == "by_fold":
        # of what may stand there
        allowed = [key for key in schema.keys(Config()) if key.path[0] in FoldSettings.model_fields]
        everywhere = {key.path[-1]: ".".join((*fold, *key.path)) for key in allowed}
    if near := difflib.get_close_matches(path[-1], everywhere, n=1, cutoff=0.8):
        return f"Did you mean {everywhere[near[0]]!r}?"
    return f"Known keys there: {', '.join(known)}."


def _section_at(model: type[BaseModel], path: Place) -> type[BaseModel] | None:
    """The settings model that lies at `path` below `model` (or in a mapping), or None if there is none."""
    kind: typing.Any = model
    for part in path:
        if typing.get_origin(kind) is dict:
            kind = typing.get_args(kind)[1]
        elif _is_section(kind) and part in kind.model_fields:
            kind = kind.model_fields[part].annotation
        else:
            return None
    return kind if _is_section(kind) else None


def _is_section(kind: typing.Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
