"""`snakemake --lint` without what `.ci/lint.yaml` accepts; 1 if a finding is new or an accepted one gone."""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import yaml

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
    print("\n".join(faults) or "snakemake --lint: nothing but what is accepted", file=sys.stderr)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
