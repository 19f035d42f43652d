"""README and docs as the tests read them: shell lines, examples, and the files that a reader is to write."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workflow import ROOT

PAGES = [*sorted(ROOT.glob("*.md")), ROOT / "config" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.S | re.M)
SUFFIXES = {"python": "py", "yaml": "yaml", "json": "json"}


@dataclass(frozen=True)
class Example:
    """A fenced block of a page, and the paragraph before it."""

    language: str
    text: str
    before: str


def examples(page: Path) -> list[Example]:
    """All fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Example(found[1], found[2], text[: found.start()].rstrip().rpartition("\n\n")[2])
        for found in FENCE.finditer(text)
    ]


def commands(page: Path) -> list[str]:
    """The shell lines of a page, without their comments."""
    blocks = "\n".join(example.text for example in examples(page) if example.language == "sh")
    lines = blocks.replace("\\\n", " ").splitlines()
    # a comment, and no `#` within a name
    told = [re.split(r"\s#(?=\s)", line)[0].strip() for line in lines if not line.startswith("#")]
    return [line for line in told if line]


def edits(page: Path) -> Iterator[tuple[str, tuple[str, str] | None, str]]:
    """What a page has its reader write: (path, None, text) of a whole file, or (path, (where, name), text).

    A file is named in the paragraph before its block. Text goes into the file that was named last: `in` a
    dictionary or a class, or at the `end of` it, are entries or fields; `above` a name is code that stands
    before the statement that defines it.
    """
    path = None
    for example in examples(page):
        suffix = SUFFIXES.get(example.language)
        named = re.findall(rf"`([\w./-]+\.{suffix})`", example.before) if suffix else []
        path = named[-1] if named else path
        place = re.search(r"\b([Ii]n|[Ee]nd of|[Aa]bove)\s`([A-Z]\w+)`", example.before)
        if suffix and place:
            yield path, (place[1].lower(), place[2]), example.text
        elif named:
            yield path, None, example.text


# where each place is, and what stands before and after the text there
PLACES = {
    "in": (r'^(?:{name} = {{|class {name}\b.*:\n +"""(?:.|\n)*?""")()', "\n", ""),
    "end of": (r"^{name} = {{\n(?:[^}}\n].*\n)*()}}", "", "\n"),
    "above": (r"^()(?:[#@].*\n)*(?:{name} = |class {name}\b)", "", "\n\n\n"),
}


def follow(page: Path, project: Path) -> None:
    """Make the edits of a page in a copy of the project."""
    for name, place, text in edits(page):
        path = project / name
        if place is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        else:
            before = path.read_text()
            pattern, first, last = PLACES[place[0]]
            found = re.search(pattern.format(name=place[1]), before, re.M)
            assert found, f"{page.name}: {name} has no {place[1]}"
            cut = found.start(1)
            path.write_text(f"{before[:cut]}{first}{text.rstrip()}{last}{before[cut:]}")
    for name, language, text in changes(page):
        path = project / name
        before = path.read_text()
        if language == "diff":
            old, new = ("".join(re.findall(rf"^\{sign}(.*\n)", text, re.M)) for sign in "-+")
            assert before.count(old) == 1, f"{page.name}: {name} has not just one place for\n{text}"
            path.write_text(before.replace(old, new))
        else:
            path.write_text(f"{before}\n\n{text}")


def changes(page: Path) -> Iterator[tuple[str, str, str]]:
    """(path, language, text) of each change of a file that is there: of lines, or a rule that comes last."""
    path = None
    for example in examples(page):
        named = re.findall(r"`([\w./-]+\.(?:py|smk))`", example.before)
        path = named[0] if named else path
        if example.language in ("diff", "snakemake"):
            yield path, example.language, example.text
