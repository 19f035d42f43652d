"""The benches run and measure what they say, and Snakemake thinks no longer than it should."""

import csv
import re
import subprocess
import sys

import pytest
from workflow import ROOT


@pytest.mark.slow
def test_the_bench_of_training_prints_speeds_beside_the_bare_network(tmp_path):
    table = tmp_path / "speeds.csv"
    script = ROOT / "benchmarks" / "training.py"
    command = [sys.executable, str(script), "--small", "--rounds", "1", "--csv", str(table)]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, timeout=300)
    (row,) = csv.DictReader(table.open())
    assert (row["dialogues"], row["utterances each"]) == ("16", "4")
    shares = float(row["train share"]), float(row["evaluate share"])
    assert shares[0] == pytest.approx(float(row["train, utt/s"]) / float(row["bare, utt/s"]), rel=1e-6)
    assert all(0 < share < 2 for share in shares)


@pytest.mark.slow
def test_a_graph_of_mosei_is_planned_and_found_finished_in_time(tmp_path):
    """In CPU seconds, for the machine may be busy."""
    command = [sys.executable, str(ROOT / "benchmarks" / "graph.py"), "--rounds", "1"]
    done = subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    cpu = {
        name: float(seconds) for name, seconds in re.findall(r"(?m)^(\S.*?)  +[\d.]+ +([\d.]+)$", done.stdout)
    }
    assert set(cpu) == {
        "CMU-MOSEI, nothing made: dry run",
        "CMU-MOSEI, finished: dry run",
        "CMU-MOSEI, finished: run",
        "embedded run, finished: dry run",
        "embedded run, finished: run",
    }
    assert all(seconds < 10 for seconds in cpu.values()), cpu
    assert cpu["embedded run, finished: run"] < 5, cpu
