"""Writes `config.yaml` and `docs/config.md` from the settings models: `python -m pipeline.config_page`.

Only the block `variants` of `config.yaml` and the value of `compare` are kept as they stand there: which
ablations there are is written by hand.
"""

import re
from collections.abc import Iterator
from inspect import getdoc
from pathlib import Path

import yaml

from pipeline.config import BASE, Config
from pipeline.core import artefacts
from pipeline.settings.schema import Key, keys, plain

PAGE = Path("docs/config.md")
WIDTH = 118
KEPT = ("compare", "variants")

HEAD = """\
# The embedded run: every key of the configuration with its default; overlays in config/ change some.
# Check with `snakemake -n`: a wrong key or value stops before any job and says what was expected.
# Written by `make config` from pipeline/settings/, all but `compare` and `variants`; ranges: docs/config.md.
"""

INTRODUCTION = """\
# Every key of the configuration

Written by `make config` from the settings in `pipeline/settings/` and `pipeline/config.py`.

Values come from `config.yaml`, then from the files given with `--configfile`, in their order, then from
`--config`; the last one wins, and sections are merged key by key (a list replaces the whole list).

An overlay holds just the keys that differ:

```yaml
run: longer
training:
  epochs: 60
```

Put words such as `no`, `on` and `off` in quotes where text is meant. A wrong key, type or value stops before
any job, and so does a key that stands twice. Where an overlay is not there, is no YAML at all, or holds
itself, Snakemake itself stops first, in its own words; the same check without Snakemake says it in one line:

```sh
python -m pipeline.config config/reported.yaml
```
"""


def as_yaml(shown: str) -> str:
    """`config.yaml`; `shown` is its present text, whose hand-written parts are kept."""
    lines = [HEAD]
    for key in keys(Config()):
        indent = "  " * (len(key.path) - 1)
        if key.path == ("variants",):
            lines += ["", _variants(shown)]
        elif key.section:
            lines += [""] if len(key.path) == 1 else []
            lines.append(f"{indent}{key.path[-1]}:  # {key.meaning}")
        else:
            value = yaml.safe_load(shown)["compare"] if key.path == ("compare",) else key.default
            line, comment = f"{indent}{key.path[-1]}: {plain(value)}", f"# {key.meaning}"
            together = f"{line}  {comment}"
            lines += [together] if len(together) <= WIDTH else [indent + comment, line]
    return "\n".join(lines).strip() + "\n"


def _variants(shown: str) -> str:
    """The block of the variants, with the comment above it, word for word."""
    lines = shown.splitlines()
    first = lines.index("variants:")
    last = next(n for n in range(first + 1, len(lines)) if lines[n] and not lines[n].startswith((" ", "#")))
    while lines[first - 1].startswith("#"):
        first -= 1
    return "\n".join(lines[first:last]).rstrip()


def as_page() -> str:
    """`docs/config.md`: a table for each section."""
    top: list[Key] = []
    sections: list[list[Key]] = []
    groups: dict[tuple[str, ...], list[Key]] = {}
    for key in keys(Config()):
        if key.section:
            groups[key.path] = [key]
            sections.append(groups[key.path])
        else:
            groups.get(key.path[:-1], top).append(key)
    lines = [INTRODUCTION, "## Top level", "", *_table(top)]
    for section, *inner in sections:
        about = (getdoc(section.section) or "").partition("\n\n")[0]
        if section.meaning.lower() not in about.lower():
            about = f"{section.meaning[:1].upper()}{section.meaning[1:]}. {about}"
        lines += ["", f"{'#' * min(len(section.path) + 1, 4)} `{section.name}`", "", about]
        lines += ["", *_table(inner)] if inner else []
    return "\n".join(lines) + "\n"


def _table(rows: list[Key]) -> Iterator[str]:
    yield "| key | type and range | default | meaning |"
    yield "|---|---|---|---|"
    for key in rows:
        default = "see `config.yaml`" if key.path in [(name,) for name in KEPT] else f"`{_cell(key.default)}`"
        kind, meaning = (text.replace("|", "\\|") for text in (key.kind, key.meaning))
        yield f"| `{key.name}` | {kind} | {default} | {meaning} |"


def _cell(value: object) -> str:
    """A default that fits a table: checksums are cut."""
    return re.sub(r"\b([0-9a-f]{8})[0-9a-f]{56}\b", r"\1...", plain(value)).replace("|", "\\|")


def main() -> None:
    """Write both files, from the project's folder."""
    artefacts.save_text(BASE, as_yaml(BASE.read_text(encoding="utf-8")))
    artefacts.save_text(PAGE, as_page())


if __name__ == "__main__":
    main()
