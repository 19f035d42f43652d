"""Where torch computes: the choice among several GPUs, and what is said without one."""

import subprocess
import sys

import pytest

from pipeline import device
from pipeline.errors import PipelineError

HOLD = """
import sys, time
from pathlib import Path
from pipeline.device import unused
print(unused(["a", "b"], Path(sys.argv[1])), flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has taken a GPU."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.wait()


def test_jobs_beside_each_other_take_a_gpu_each(tmp_path, holder, monkeypatch, caplog):
    monkeypatch.setattr(device, "_kept", [])
    assert holder.stdout.readline().strip() == "0"
    assert device.unused(["a", "b"], tmp_path) == 1
    caplog.set_level("INFO", "pipeline")
    assert device.unused(["a", "b"], tmp_path) == 0
    assert "every GPU has a job already" in caplog.text
    holder.kill()
    holder.wait()
    assert device.unused(["a", "b"], tmp_path) == 0, "the lock of a killed job is dropped"


def test_without_a_gpu_the_log_says_so_and_cuda_is_an_error(monkeypatch, caplog):
    monkeypatch.setattr(device.torch.cuda, "is_available", lambda: False)
    caplog.set_level("INFO", "pipeline")
    assert device.prepare("auto", 1).type == "cpu"
    assert "device cpu (no GPU is visible), 1 thread(s)" in caplog.text
    with pytest.raises(PipelineError, match="torch sees no GPU in this job"):
        device.prepare("cuda", 1)
