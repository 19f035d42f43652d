"""`snakemake --lint` without what `.ci/lint.yaml` accepts; 1 if a finding is new or an accepted one gone.

It does not see that rules/*.smk share one namespace: a name that two of the files give is a finding, too.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import yaml
from snakemake.parser import parse
from snakemake.sourcecache import LocalSourceFile

ROOT = Path(__file__).resolve().parents[1]
ACCEPTED = Path(__file__).with_suffix(".yaml")


def findings(said: str) -> set[tuple[str, str]]:
    """(file, finding) of what the linter said; a place within the file is left out, for lines move."""
    found = set()
    for block in re.split(r"^Lints for (?:snakefile|rule) ", said, flags=re.M)[1:]:
        place, _, text = block.partition("\n")
        name = re.sub(r" \(line.*", "", place.rstrip(":")).removeprefix(f"{ROOT}/")
        for finding in re.findall(r"^    \* (.+):$", text, flags=re.M):
            found.add((name, re.sub(r"\.? in line \d+\.?$", "", finding)))
    return found


def given(node: ast.AST) -> Iterator[tuple[str, str]]:
    """(name, where it comes from) of all that compiled code gives to the workflow; rules as `rule NAME`."""
    for own in ast.iter_child_nodes(node):
        if isinstance(own, ast.FunctionDef | ast.ClassDef):
            rules = [
                word.value.value
                for call in own.decorator_list
                for word in getattr(call, "keywords", [])
                if word.arg == "name" and ast.unparse(call.func) in ("workflow.rule", "workflow.checkpoint")
            ]
            yield from ((f"rule {name}", "") for name in rules or [])
            if not own.name.startswith("__"):
                yield own.name, ""
        elif isinstance(own, ast.Import | ast.ImportFrom):
            module = getattr(own, "module", "")
            yield from ((one.asname or one.name.split(".")[0], f"{module} {one.name}") for one in own.names)
        elif isinstance(own, ast.Name) and isinstance(own.ctx, ast.Store):
            yield own.id, ""
        # the names within these are their own
        elif not isinstance(own, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            yield from given(own)


def clashes(files: Sequence[Path]) -> list[str]:
    """Names that two of these files give, for the later silently wins; one import of both is no clash."""
    places: dict[str, dict[str, set[str]]] = {}

    def read(file: LocalSourceFile) -> StringIO:
        return StringIO(Path(file.get_path_or_uri(secret_free=True)).read_text(encoding="utf-8"))

    # all that the parser asks of a workflow
    opened = SimpleNamespace(sourcecache=SimpleNamespace(open=read))
    for path in files:
        code, _ = parse(LocalSourceFile(str(path)), opened, {})
        for name, source in given(ast.parse(code)):
            places.setdefault(name, {}).setdefault(path.name, set()).add(source)
    return [
        f"{' and '.join(own)}: both give {name}, and the later silently wins; rename one"
        for name, own in sorted(places.items())
        if len(own) > 1 and (len(sources := set.union(*own.values())) > 1 or "" in sources)
    ]


def main() -> int:
    """Say what is new and what is accepted for nothing."""
    done = subprocess.run(["snakemake", "--lint"], cwd=ROOT, capture_output=True, text=True, check=False)
    found = findings(done.stdout + done.stderr)
    # status 1 without a finding is an error of the workflow itself
    if done.returncode and not found:
        print(done.stdout + done.stderr, file=sys.stderr)
        return 1
    entries = yaml.safe_load(ACCEPTED.read_text(encoding="utf-8"))
    used = set()
    faults = []
    for name, finding in sorted(found):
        for number, entry in enumerate(entries):
            if fnmatch(name, entry["file"]) and entry["finding"] == finding:
                used.add(number)
                break
        else:
            faults.append(f"{name}: {finding}")
    faults += [
        f"{ACCEPTED.name}: nothing is found like {entry['file']}, {entry['finding']!r}; take the entry out"
        for number, entry in enumerate(entries)
        if number not in used
    ]
    faults += clashes([ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))])
    print("\n".join(faults) or "snakemake --lint: nothing but what is accepted", file=sys.stderr)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
