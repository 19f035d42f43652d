"""Where torch computes: the one place that picks a device and fixes threads and determinism."""

import fcntl
import logging
import os
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from pipeline.core.errors import PipelineError

K = TypeVar("K")
log = logging.getLogger("pipeline")
PLACES = 16  # jobs on a GPU that are counted
_kept: list[int] = []  # open files whose locks last as long as this process


def prepare(device: str, threads: int) -> torch.device:
    """Pick the device and make results repeatable.

    `device` is `auto` (a GPU if one is visible, else the CPU, and the log says which), `cpu` or `cuda`.
    `threads` is torch's thread count on the CPU: fixed by the configuration and not by `--cores`, since
    sums depend on it. Raises PipelineError if `cuda` is asked for and no GPU is visible.
    """
    # cuBLAS repeats its sums under one of two workspaces only, and reads this when it starts
    if device != "cpu":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    # the same switch as use_deterministic_algorithms, which would import torch's compiler for seconds
    torch.set_deterministic_debug_mode("warn")
    torch.backends.cudnn.benchmark = False
    visible = torch.cuda.is_available()
    if device == "cuda" and not visible:
        raise PipelineError(
            "device: cuda was asked for, but torch sees no GPU in this job. Set `device: auto` or "
            "`device: cpu` in the config, or run the job on a node with a GPU and its driver."
        )
    chosen = torch.device("cuda" if visible and device != "cpu" else "cpu")
    if chosen.type == "cuda":
        if torch.cuda.device_count() > 1:
            torch.cuda.set_device(_own())
        log.info("device cuda: %s", torch.cuda.get_device_name(chosen))
    else:
        why = "no GPU is visible" if device == "auto" else "as configured"
        log.info("device cpu (%s), %d thread(s)", why, threads)
    return chosen


@cache
def _own() -> int:
    """The GPU of this process: chosen once, for what was computed on one cannot meet what is on another."""
    count = torch.cuda.device_count()
    identities = [str(torch.cuda.get_device_properties(number).uuid) for number in range(count)]
    return unused(identities, Path(tempfile.gettempdir()))


def unused(identities: Sequence[str], folder: Path) -> int:
    """The first of several GPUs that the fewest jobs of this person have taken.

    A job keeps its place on a GPU by a lock on a file in `folder`, which the system drops when the job ends,
    however it ends. A cluster shows each job its own GPU alone, and there is nothing to choose.
    """
    for place in range(PLACES):
        for number, identity in enumerate(identities):
            name = f"core-kd-{os.getuid()}-gpu-{identity}" + (f"-{place}" if place else "")
            handle = os.open(folder / f"{name}.lock", os.O_CREAT | os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
            else:
                _kept.append(handle)
                if place:
                    log.info("every GPU has a job already; this one shares GPU %d with %d", number, place)
                return number
    log.info("every GPU has %d jobs already; this one shares the first", PLACES)
    return 0


def mixed_precision(device: torch.device) -> AbstractContextManager:
    """Products in bfloat16 on a GPU that has it, float32 everywhere else: `training.precision: mixed`."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def computing(device: torch.device, precision: str) -> AbstractContextManager:
    """How encoders compute in this thread: products in bfloat16 where `precision` says so, else float32.

    Weights, norms and sums stay float32 (torch's autocast). It is entered once for many inputs, for the
    weights are converted anew each time.
    """
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


def onto(device: torch.device, values: Tensor) -> Tensor:
    """The values on the device; to a GPU they are copied from pinned memory, while the CPU goes on."""
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def fetched(begun: Iterable[tuple[K, Tensor]]) -> Iterator[tuple[K, np.ndarray]]:
    """What a device was set to compute, as arrays and in order.

    Each is fetched, which waits for a GPU, only when the next one is begun: the GPU computes while the CPU
    prepares.
    """
    waiting: deque[tuple[K, Tensor]] = deque()
    for item in begun:
        waiting.append(item)
        if len(waiting) > 1:
            key, values = waiting.popleft()
            yield key, values.cpu().numpy()
    for key, values in waiting:
        yield key, values.cpu().numpy()


@contextmanager
def fitting(keys: str) -> Iterator[None]:
    """Raise PipelineError that names the `keys` to lower if the device has too little memory for the work."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        said = ". ".join(str(error).split(". ")[:2])
        raise PipelineError(
            f"config, key {keys}: so much at a time does not fit into the memory of the GPU ({said}). Lower "
            "it, or give the job a GPU with more memory."
        ) from error
