"""The files that the configuration comes from, with the line of every key, so that a fault can be placed."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from pipeline.core.errors import PipelineError

Place = tuple[str, ...]
MOST_KEYS = 20_000  # of a file; this project's own has some hundreds


@dataclass(frozen=True)
class Source:
    """One file (or the command line) that gives values; `lines` holds the line of every key by its path."""

    name: str
    values: Mapping
    lines: Mapping[Place, int] = field(default_factory=dict)

    def holds(self, place: Place) -> bool:
        """Whether a value is given at this path."""
        values = self.values
        for part in place:
            if not isinstance(values, Mapping) or part not in values:
                return False
            values = values[part]
        return True


def read_source(path: Path) -> Source:
    """Read a YAML (or JSON) file of settings.

    Raises PipelineError, with the line, if it cannot be read, gives a key twice, has a key that is no text,
    or is not a mapping.
    """
    name = shown(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineError(
            f"{name}: cannot be read ({error}). Check the path given with --configfile."
        ) from None
    try:
        lines, values = _parsed(name, text)
    except yaml.YAMLError as error:
        raise PipelineError(_unreadable(name, text, error)) from None
    except RecursionError:
        raise PipelineError(
            f"{name}: nested without end (an anchor `&` whose alias `*` stands within it), or too deeply. "
            "Write the values out."
        ) from None
    except ValueError as error:
        # a date that is none, a number of thousands of digits, half a character
        raise PipelineError(f"{name}: holds a value that cannot be read ({error}). Mend it.") from None
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise PipelineError(
            f"{name}: holds {type(values).__name__} where keys with values were expected. "
            "Write `key: value`, one a line."
        )
    return Source(name, values, lines)


def _parsed(name: str, text: str) -> tuple[dict[Place, int], Any]:
    """The lines of the keys, and the values; raises RecursionError for what is nested too deeply.

    Raises ValueError for a value that YAML can spell and that is none.
    """
    try:
        json.loads(text)
        # PyYAML takes no tab in JSON, where tabs are as good as spaces
        text = text.replace("\t", " ")
    except ValueError:
        pass
    loader = yaml.SafeLoader(text)
    root = loader.get_single_node()
    lines = dict(islice(_lines(root, name, ()), MOST_KEYS + 1))
    if len(lines) > MOST_KEYS:
        raise PipelineError(
            f"{name}: over {MOST_KEYS} keys, by aliases (`*`) of aliases. Write the values out."
        )
    # of the same nodes: reading a text takes longer than all else that is done with it
    values = None if root is None else loader.construct_document(root)
    # half a character, which JSON can spell, is no text
    json.dumps(values, ensure_ascii=False, default=str).encode()
    return lines, values


def shown(path: Path) -> str:
    """A path as a person would type it: below the working folder, or in full."""
    full, here = Path(path).absolute(), Path.cwd()
    return str(full.relative_to(here)) if full.is_relative_to(here) else str(full)


def where(place: Place, sources: Sequence[Source]) -> str:
    """The file and line that give the value at `place`: the last of the sources wins.

    Where none gives it, the nearest section above it that one does give.
    """
    for length in range(len(place), 0, -1):
        for source in reversed(sources):
            if source.holds(place[:length]):
                line = source.lines.get(place[:length])
                return f"{source.name}, line {line}" if line else source.name
    return "config"


def _lines(node: yaml.Node | None, name: str, place: Place) -> Iterator[tuple[Place, int]]:
    """(path, line) of every key below a node.

    Raises PipelineError at the first that is wrong in itself, and at a number that YAML reads as another one.
    """
    if isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            # keys within a list have no path
            for _ in _lines(entry, name, place):
                pass
    if isinstance(node, yaml.ScalarNode):
        _check_number(node, name, place)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.tag == "tag:yaml.org,2002:merge":
            continue
        if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
            said = key.value if isinstance(key, yaml.ScalarNode) else "a list or mapping"
            raise PipelineError(
                f"{name}, line {line}: the key {said} is not text (YAML reads words such as yes, no, on and "
                "off as truth values, and digits as numbers). Put it in quotes."
            )
        if key.value in seen:
            raise PipelineError(
                f"{name}, line {line}: the key {'.'.join((*place, key.value))!r} stands twice, first in line "
                f"{seen[key.value]}; YAML would take the last without a word. Keep one."
            )
        seen[key.value] = line
        yield (*place, key.value), line
        yield from _lines(value, name, (*place, key.value))


def _check_number(node: yaml.ScalarNode, name: str, place: Place) -> None:
    """Raise PipelineError for a number that is not read as it stands there: 010 (8), 1:30 (90), 0x1f (31)."""
    if node.tag != "tag:yaml.org,2002:int" or re.fullmatch(r"[-+]?(0|[1-9][0-9]*)", node.value):
        return
    value = yaml.safe_load(node.value)
    raise PipelineError(
        f"{name}, line {node.start_mark.line + 1}: {'.'.join(place)}: YAML reads {node.value} as {value}. "
        f"Write {value}, or put it in quotes if it is text."
    )


def _unreadable(name: str, text: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return f"{name}: not YAML ({' '.join(str(error).split())}). Mend the file."
    rows = text.splitlines()
    row = rows[mark.line] if mark.line < len(rows) else ""
    if "\t" in row:
        return (
            f"{name}, line {mark.line + 1}: a tab, which YAML does not take as indentation. Use spaces, "
            "two for each level."
        )
    what = " ".join(part for part in (getattr(error, "context", ""), getattr(error, "problem", "")) if part)
    return (
        f"{name}, line {mark.line + 1}, column {mark.column + 1}: not YAML ({what}). Check the line and the "
        "one above it: indentation by spaces, `key: value` with a space after the colon, brackets and "
        "quotes closed."
    )
