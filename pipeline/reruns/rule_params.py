"""What Snakemake compares of a stage's settings: one line a key, so that the reason it prints names the key.

Snakemake records the parameters of a job as a set of values and prints those that differ. A line
`training.epochs=30` is both the value and its name; one JSON text of all keys would be printed as a whole.
"""

import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from pipeline.reruns.codehash import code_lines

# what `of_wildcards` says of itself
SIGNATURE = inspect.signature(lambda wildcards: None)


def of_wildcards(function: Callable[[Any], str]) -> Callable[[Any], str]:
    """A function of a job's wildcards, marked as one: Snakemake asks three times a job what each takes."""
    vars(function)["__signature__"] = SIGNATURE
    return function


def _leaves(value: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _leaves(getattr(value, name), f"{path}.{name}")
    else:
        yield path, to_jsonable_python(value)


def flat(settings: Mapping[str, object], unread: Sequence[str] = ()) -> dict[str, object]:
    """JSON-able values by dotted key, without the keys and sections named in `unread`.

    `settings`: the sections and keys of one stage. A mapping within a section (such as the checksums of
    `weights.files`) is one value. Raises ValueError if a name in `unread` fits no key.
    """
    found = dict(pair for name, value in settings.items() for pair in _leaves(value, name))
    for name in unread:
        below = [key for key in found if key == name or key.startswith(f"{name}.")]
        if not below:
            raise ValueError(f"unread: there is no key {name!r} among {', '.join(found)}")
        for key in below:
            del found[key]
    return found


def line(key: str, value: object) -> str:
    """`key=value`, the value as JSON."""
    return f"{key}={json.dumps(value, sort_keys=True, ensure_ascii=False)}"


def nested(found: Mapping[str, object]) -> str:
    """The JSON object that a stage reads, from dotted keys."""
    top: dict = {}
    for key, value in found.items():
        *sections, name = key.split(".")
        place = top
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    return json.dumps(top, sort_keys=True, ensure_ascii=False)


def code_params(
    always: Sequence[str], selected: Callable[[Any], Sequence[str]], among: Iterable[str]
) -> dict[str, Callable]:
    """A line for each file behind the modules that a registry selects for a job, beside those of `always`.

    `always`: the modules of every job of the rule; `selected`: those of a job, for its wildcards, out of
    `among`. The keys are the same for all jobs; where a job has no use for a file, its line is one that the
    job has already, for Snakemake compares sets of lines. So a network that comes to the registry, or is
    edited, concerns no job that does not train it.
    """
    known = code_lines(*always)
    repeated = next(iter(known.values()))

    def of(path: str) -> Callable[[Any], str]:
        return of_wildcards(lambda wildcards: code_lines(*always, *selected(wildcards)).get(path, repeated))

    return {path: of(path) for path in code_lines(*always, *among) if path not in known}


def setting_params(
    settings: Mapping | Callable[[Any], Mapping], sample: object, unread: Sequence[str] = ()
) -> dict[str, str | Callable]:
    """Parameters of a rule: a line for each key, which Snakemake records, and `cfg`, the JSON of all.

    `settings`: the sections and keys of the stage, or a function that gives them for the wildcards of a job.
    Its keys (not its values) are the same for all jobs, so they are read off `sample`, some job's wildcards.
    """
    known: dict[tuple, dict] = {}

    def found(wildcards: Any) -> dict[str, object]:
        if not callable(settings):
            return everyone
        job = tuple(wildcards.items())
        if job not in known:
            known[job] = flat(settings(wildcards), unread)
        return known[job]

    def of(key: str) -> str | Callable[[Any], str]:
        # a function where values differ by job, and where Snakemake would take braces for wildcards
        plain = line(key, everyone[key])
        if not callable(settings) and "{" not in plain and "}" not in plain:
            return plain
        return of_wildcards(lambda wildcards: line(key, found(wildcards)[key]))

    def cfg(wildcards: Any, input: object) -> str:
        # Snakemake does not record what a function makes of the input, and the lines say it all
        return nested(found(wildcards))

    everyone = flat(settings(sample) if callable(settings) else settings, unread)
    return {**{key: of(key) for key in everyone}, "cfg": cfg}
