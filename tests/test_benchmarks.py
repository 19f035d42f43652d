"""The bench of training runs and measures what it says."""

import csv
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
