"""Whether a machine has bfloat16 in hardware: asked while jobs are planned, so without torch."""

import platform
import subprocess
from pathlib import Path

from pipeline.core.errors import PipelineError

CPU_FLAGS = {"avx512_bf16", "amx_bf16"}
CPU_INFO = Path("/proc/cpuinfo")
AMPERE = 8.0  # compute capability from which a GPU of NVIDIA has it


def resolved(precision: str, gpu: bool) -> str:
    """`float32` or `bfloat16`: what `auto` means for the GPU, or else the CPU, of this machine.

    Raises PipelineError if a GPU does not tell what it can.
    """
    if precision != "auto":
        return precision
    return "bfloat16" if (_gpus_have_it() if gpu else _cpu_has_it()) else "float32"


def _cpu_has_it() -> bool:
    if platform.system() != "Linux":
        return False
    lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    return any(bool(CPU_FLAGS & set(line.split())) for line in lines if line.startswith("flags"))


def _gpus_have_it() -> bool:
    command = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split()
        return bool(told) and min(float(value) for value in told) >= AMPERE
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise PipelineError(
            "config, key encoders.precision: `auto` asks nvidia-smi what the GPU can, and it did not tell "
            f"({error}). Say float32 or bfloat16."
        ) from error
