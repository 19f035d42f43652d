"""The benches run and measure what they say, and Snakemake thinks no longer than it should."""

import csv
import re
import subprocess
import sys

import films
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


@pytest.mark.slow
def test_the_bench_of_extraction_prints_stages_beside_what_bounds_them(tmp_path):
    """On films without a face, for the face detector alone."""
    (tmp_path / "clips").mkdir()
    for number in range(2):
        sound = films.tone(2.0, 48_000)
        films.write(tmp_path / "clips" / f"{number}.mp4", pictures=2 * films.FPS, sound=sound)
    table = tmp_path / "speeds.csv"
    command = [sys.executable, str(ROOT / "benchmarks" / "extraction.py"), "--clips", str(tmp_path / "clips")]
    command += [
        "--stages",
        "faces",
        "--utterances",
        "4",
        "--rounds",
        "1",
        "--growth",
        "4",
        "--csv",
        str(table),
    ]
    done = subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    rows = list(csv.DictReader(table.open()))
    assert [row["workers"] for row in rows] == ["1", "2"]
    one = {name: float(rows[0][name]) for name in ("ours, s", "bare, s", "decode, s", "share of bound")}
    assert one["share of bound"] == pytest.approx((one["bare, s"] + one["decode, s"]) / one["ours, s"])
    assert 0 < one["share of bound"] < 2
    assert re.search(r"peak memory, MB", done.stdout)
