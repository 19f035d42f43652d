"""The benches run and measure what they say, and Snakemake thinks no longer than it should."""

import argparse
import csv
import re
import subprocess
import sys

import films
import numpy as np
import pytest
from spoken import say
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
def test_the_bench_of_trainings_side_by_side_compares_with_the_first_way(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks" / "side_by_side.py"), "--rounds", "1", "--epochs", "1"]
    command += ["--dialogues", "10", "--utterances", "3", "--batch", "2", "--processes", "2"]
    done = subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    (first,) = re.findall(r"(?m)^one after another: .*CPU ([\d.]+) s$", done.stdout)
    (beside,) = re.findall(r"(?m)^2 side by side: .* and ([\d.]+) of one after another$", done.stdout)
    assert float(first) > 0 and float(beside) > 0
    shares = re.findall(r"(?m)^bare, .* and ([\d.]+) of one by one$", done.stdout)
    assert len(shares) == 4 and float(shares[0]) == 1


@pytest.mark.slow
def test_what_the_bench_stacks_is_the_network_that_is_trained(monkeypatch):
    """The same sum and gradients, but for the order of additions."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import side_by_side as bench
    import torch

    options = {"device": "cpu", "dialogues": 10, "utterances": 3, "batch": 2, "epochs": 1}
    trainer = bench.Trainer(argparse.Namespace(**options))
    network = bench.loop.build_network(trainer.data, bench.NetworkSettings(), 0).eval()
    (batch, *_) = trainer.data.batches(["train"], 2)
    said = []
    for own in (network, bench.by_equations(network)):
        loss = bench.Bare(own)(bench.tensors(batch))
        loss.backward()
        said.append({name: value.grad for name, value in own.named_parameters()} | {"loss": loss.detach()})
    assert said[0].keys() == said[1].keys()
    for name, value in said[0].items():
        torch.testing.assert_close(said[1][name], value, rtol=1e-4, atol=1e-6)


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
        "embedded run: a job on a cluster",
    }
    assert all(seconds < 10 for seconds in cpu.values()), cpu
    assert cpu["embedded run, finished: run"] < 5, cpu
    assert cpu["embedded run: a job on a cluster"] < 5, cpu


@pytest.mark.slow
def test_the_bench_of_speech_rates_the_network_beside_the_rule_of_energy():
    say("A test of the synthesiser.")
    command = [sys.executable, str(ROOT / "benchmarks" / "speech_activity.py"), "--sentences", "3"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()[2:]]
    mixed = {(name, level): list(map(float, cells)) for name, level, *cells in rows if level}
    assert len(mixed) == 20
    assert min(recall for recall, *_ in mixed.values()) > 70
    assert min(precision for _, precision, *_ in mixed.values()) > 80
    alone = {name: (cells[0], cells[2]) for name, _, *cells in rows if name.endswith("alone")}
    assert {cells[0] for name, cells in alone.items() if name != "speech alone"} == {"0.0 s"}
    assert float(alone["band alone"][1].removesuffix(" s")) > 50


@pytest.mark.slow
def test_the_bench_of_filmed_faces_knows_who_speaks(tmp_path, monkeypatch):
    """Small faces that move, whose owners are told; the mouth of the one who speaks follows the voice."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import filmed_speakers as bench

    assert bench.area([2.0, 3.0], [1.0, 2.0]) == 0.875
    scene = bench.film(0, tmp_path)
    own = bench.judges(None)["lips_in_step"]
    tracks = bench.followed(scene, own.detector, own.judge)
    long = [track for track in tracks if len(track.times) > 2]
    assert {bench.is_speaker(track, scene) for track in long} == {True, False}
    sides = np.concatenate([[face.box[2:] - face.box[:2] for face in track.faces] for track in long])
    assert 30 < np.median(sides[:, 0]) < 50 and 42 < np.median(sides[:, 1]) < 62
    # heads move by a good part of their size
    assert all(np.ptp([face.box[0] for face in track.faces]) > 5 for track in long)


@pytest.mark.long
def test_lips_in_step_tell_who_speaks_on_films_that_set_no_border():
    command = [sys.executable, str(ROOT / "benchmarks" / "filmed_speakers.py"), "--films", "20"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=1500)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()[3:]]
    areas = {name: float(area) for name, area, *_ in rows}
    assert areas.keys() == {"mouth_motion", "lips_in_step"}
    assert areas["lips_in_step"] >= 0.85


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


@pytest.mark.slow
def test_the_bench_of_cuts_compares_every_way_with_the_first(tmp_path):
    """On films without a face, where nothing can differ."""
    films.write(tmp_path / "one.mp4", pictures=2 * films.FPS, sound=films.tone(2.0, 48_000))
    command = [sys.executable, str(ROOT / "benchmarks" / "cuts_and_lips.py"), "--clips", str(tmp_path)]
    command += ["--utterances", "2", "--rounds", "1"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    _, head, _, *rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()
    ]
    told = [dict(zip(head, row, strict=True)) for row in rows]
    assert len(told) == 4 and told[0]["ratio"] == "1.000"
    assert {row["to the bit"] for row in told} == {"2 of 2"}
