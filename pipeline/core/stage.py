"""How every stage is run: `python -m pipeline.<stage> --params JSON --<name> PATH ...`.

A stage module ends with

    if __name__ == "__main__":
        stage.main(run, Params, inputs=("manifest", "faces*"), outputs=("features", "index"))

where `run(params, *, manifest, faces, features, index)` does the work. A name that ends in `*` takes any
number of paths and arrives as a list; one that ends in `?` may be left out and is then None. The log goes to
standard error: it begins with the stage, the machine, the settings, the inputs and the device, and ends with
what was written, the time and the peak memory.
"""

import argparse
import json
import logging
import os
import platform
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.core import artefacts, disk
from pipeline.core.errors import PipelineError

P = TypeVar("P", bound=BaseModel)
log = logging.getLogger("pipeline")


def parser(
    name: str, inputs: Sequence[str], outputs: Sequence[str], defaults: bool = False, cores: bool = False
) -> argparse.ArgumentParser:
    """The command line of a stage: one JSON object of settings and one flag an artefact.

    defaults: the settings may be left out; cores: the number of cores may be given, which changes no result.
    """
    top = argparse.ArgumentParser(prog=f"python -m {name}", allow_abbrev=False)
    about = "the stage's settings as one JSON object"
    top.add_argument("--params", required=not defaults, default="{}", help=about)
    if cores:
        top.add_argument(
            "--cores", type=int, default=1, help="CPU cores of this job; no result depends on it"
        )
    for group, names in (("inputs", inputs), ("outputs", outputs)):
        section = top.add_argument_group(group)
        for flag in names:
            many = flag.endswith("*")
            section.add_argument(
                "--" + flag.rstrip("*?").replace("_", "-"),
                dest=flag.rstrip("*?"),
                type=Path,
                nargs="*" if many else None,
                required=not flag.endswith("?"),
            )
    return top


def read_params(params_type: type[P], text: str) -> P:
    """Validate the JSON settings of one stage.

    Raises PipelineError naming the key and what was expected.
    """
    try:
        return params_type.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "(the object itself)"
        raise PipelineError(
            f"--params, key {key}: {first['msg']} (got {first['input']!r}). "
            "Pass the JSON that Snakemake prints for this stage, or mend this key."
        ) from error


@contextmanager
def leaving_on_sigterm() -> Iterator[None]:
    """Within the block SIGTERM (a cluster's walltime or preemption) leaves by SystemExit, status 143.

    So temporary files are cleaned up on the way out.
    """
    former = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def main(
    run: Callable[..., None],
    params_type: type[P],
    *,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    defaults: bool = False,
    cores: bool = False,
    argv: Sequence[str] | None = None,
) -> None:
    """Parse the command line, run the stage, report its cost; exit 1 with one paragraph on a fault.

    defaults: a person may leave out --params; cores: the stage can use several (`--cores`, `run(cores=...)`).
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s", force=True)
    name = run.__globals__["__spec__"].name if run.__globals__.get("__spec__") else run.__module__
    arguments = vars(parser(name, inputs, outputs, defaults, cores).parse_args(argv))
    start = time.monotonic()
    try:
        params = read_params(params_type, arguments.pop("params"))
        _begin(
            name, run.__globals__.get("__doc__"), params, {flag: arguments[flag] for flag in _names(inputs)}
        )
        for flag in _names(outputs):
            for path in _paths(arguments[flag]):
                path.parent.mkdir(parents=True, exist_ok=True)
        with leaving_on_sigterm():
            run(params, **arguments)
    except PipelineError as error:
        _failed(error, start)
    except Exception as error:
        # what a file system refuses is a fault of the machine, wherever it shows
        if (fault := disk.refused(error)) is None:
            raise
        _failed(fault, start)
    for flag in _names(outputs):
        for path in _paths(arguments[flag]):
            log.info("wrote %s %s: %s", flag, path, artefacts.counts(path))
    log.info("done in %s", cost(start))


def _failed(error: PipelineError, start: float) -> NoReturn:
    log.error("error: %s", error)
    log.info("failed after %s", cost(start))
    sys.exit(1)


def _names(flags: Sequence[str]) -> list[str]:
    return [flag.rstrip("*?") for flag in flags]


def _paths(value: Path | list[Path] | None) -> list[Path]:
    return value if isinstance(value, list) else [value] if value is not None else []


def _begin(name: str, about: str | None, params: BaseModel, inputs: Mapping[str, Path | list[Path]]) -> None:
    """The first lines of a log: what runs, where, on what, with which settings."""
    first = (about or "").strip().partition("\n")[0].partition(": ")[2]
    log.info("stage %s%s", name, f": {first}" if first else "")
    log.info(
        "on %s, %s %s, %s CPU cores, Python %s",
        platform.node(),
        platform.system(),
        platform.machine(),
        os.cpu_count(),
        platform.python_version(),
    )
    log.info("settings %s", json.dumps(params.model_dump(mode="json"), sort_keys=True))
    for flag, value in inputs.items():
        paths = _paths(value)
        shown = " ".join(str(path) for path in paths[:3]) if paths else "none"
        log.info("reads %s %s%s", flag, shown, f" and {len(paths) - 3} more" if len(paths) > 3 else "")
    # a stage that knows a device says itself which one it got
    if "device" not in type(params).model_fields:
        log.info("device cpu (this stage uses no GPU)")


def cost(start: float) -> str:
    """Time since `start` (of time.monotonic) and peak memory, of the GPU too if torch used one."""
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    # ru_maxrss is in kilobytes on Linux and in bytes on macOS
    megabytes = peak / (1024 if sys.platform != "darwin" else 1024**2)
    spent = f"{time.monotonic() - start:.1f} s, peak memory {megabytes:.0f} MB"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        spent += f", on the GPU {torch.cuda.max_memory_reserved() / 1024**2:.0f} MB"
    return spent
