"""Which precision `auto` means: what the CPU's flags or the GPU's driver tell."""

import pytest
import torch

from pipeline.core import precision
from pipeline.core.device import computing
from pipeline.core.errors import PipelineError

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx512f avx512_bf16", "bfloat16"), ("fpu amx_bf16", "bfloat16"), ("fpu avx2 bf16x", "float32")],
)
def test_a_cpu_has_it_if_its_flags_say_so(tmp_path, monkeypatch, flags, expected):
    told = tmp_path / "cpuinfo"
    told.write_text(f"processor\t: 0\nmodel name\t: amx_bf16 for ever\nflags\t\t: {flags}\n")
    monkeypatch.setattr(precision, "CPU_INFO", told)
    monkeypatch.setattr(precision.platform, "system", lambda: "Linux")
    assert precision.resolved("auto", gpu=False) == expected
    assert precision.resolved("float32", gpu=False) == "float32"
    assert precision.resolved("bfloat16", gpu=True) == "bfloat16"


def smi(folder, monkeypatch, script: str) -> None:
    """Put a program in the place of nvidia-smi."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.parametrize(
    ("capabilities", "expected"), [("9.0", "bfloat16"), ("8.0\n10.0", "bfloat16"), ("9.0\n7.5", "float32")]
)
def test_all_gpus_must_have_it(tmp_path, monkeypatch, capabilities, expected):
    smi(tmp_path, monkeypatch, f"printf '{capabilities}\\n'")
    assert precision.resolved("auto", gpu=True) == expected


@pytest.mark.fault(
    "config", "`encoders.precision: auto` and a GPU that does not tell what it can", "one paragraph"
)
@pytest.mark.parametrize("script", ["exit 9", "echo '[N/A]'"])
def test_a_gpu_that_does_not_tell_is_an_error(tmp_path, monkeypatch, script):
    smi(tmp_path, monkeypatch, script)
    with pytest.raises(PipelineError, match=r"encoders\.precision.*Say float32 or bfloat16"):
        precision.resolved("auto", gpu=True)


def test_products_alone_are_in_bfloat16():
    layer = torch.nn.Linear(8, 8)
    values = torch.randn(4, 8)
    with computing(CPU, "bfloat16"), torch.inference_mode():
        assert layer(values).dtype == torch.bfloat16
        assert torch.nn.functional.layer_norm(values, (8,)).dtype == torch.float32
    with computing(CPU, "float32"), torch.inference_mode():
        assert layer(values).dtype == torch.float32
