"""Where torch computes: the choice among several GPUs, and what is said without one."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import device
from pipeline.core.device import fetched
from pipeline.core.errors import PipelineError

HOLD = """
import sys, time
from pathlib import Path
from pipeline.core.device import unused
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
    assert device.unused(["a", "b"], tmp_path) == 1, "jobs that share are spread over the GPUs"
    assert device.unused(["a", "b"], tmp_path) == 0
    holder.kill()
    holder.wait()
    assert device.unused(["a", "b"], tmp_path) == 0, "the lock of a killed job is dropped"
    assert device.unused(["a", "b"], tmp_path) == 1


def test_a_process_keeps_its_gpu(tmp_path, monkeypatch):
    """A model that annotates twice must not be asked for on another GPU the second time."""
    chosen = []
    fakes = {"is_available": lambda: True, "device_count": lambda: 2, "set_device": chosen.append}
    fakes |= {"get_device_name": lambda place: "fake"}
    fakes |= {"get_device_properties": lambda number: SimpleNamespace(uuid=f"gpu{number}")}
    for name, fake in fakes.items():
        monkeypatch.setattr(device.torch.cuda, name, fake)
    monkeypatch.setattr(device.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(device, "_kept", [])
    device._own.cache_clear()
    for _ in range(2):
        assert device.prepare("auto", 1).type == "cuda"
    device._own.cache_clear()
    assert chosen == [0, 0]


@pytest.mark.fault("command", "`device: cuda` where there is no GPU", "one paragraph")
def test_without_a_gpu_the_log_says_so_and_cuda_is_an_error(monkeypatch, caplog):
    monkeypatch.setattr(device.torch.cuda, "is_available", lambda: False)
    caplog.set_level("INFO", "pipeline")
    assert device.prepare("auto", 1).type == "cpu"
    assert "device cpu (no GPU is visible), 1 thread(s)" in caplog.text
    with pytest.raises(PipelineError, match="torch sees no GPU in this job"):
        device.prepare("cuda", 1)


class Begun:
    """A result that a device still computes: it tells when it is waited for."""

    def __init__(self, number: int, events: list) -> None:
        self.number, self.events = number, events
        events.append(("begun", number))

    def cpu(self) -> torch.Tensor:
        self.events.append(("fetched", self.number))
        return torch.tensor([self.number])


@given(st.integers(0, 5))
def test_the_next_batch_is_begun_before_one_is_waited_for(count):
    events: list = []
    found = [(key, int(values[0])) for key, values in fetched((k, Begun(k, events)) for k in range(count))]
    assert found == [(k, k) for k in range(count)]
    for k in range(count - 1):
        assert events.index(("begun", k + 1)) < events.index(("fetched", k))
    assert [number for what, number in events if what == "begun"] == list(range(count))
