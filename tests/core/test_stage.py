"""The command line of a stage, and what its log says."""

import re

import numpy as np
import polars as pl
import pytest

from pipeline.core import artefacts, stage
from pipeline.core.errors import PipelineError
from pipeline.core.progress import Tally, progress
from pipeline.settings.base import Settings


class Params(Settings):
    seed: int = 0


def _run(params, *, parts, table):
    if params.seed < 0:
        raise PipelineError("seed: negative. Give a number from 0.")
    table.write_text(f"{params.seed} {len(parts)}")


def _main(*argv):
    stage.main(_run, Params, inputs=("parts*",), outputs=("table",), argv=argv)


def test_settings_and_paths_arrive_typed_and_folders_are_made(tmp_path, caplog):
    target = tmp_path / "new" / "table"
    _main("--params", '{"seed": 3}', "--parts", "a", "b", "--table", str(target))
    assert target.read_text() == "3 2"


@pytest.mark.parametrize(
    ("params", "said"),
    [('{"sead": 1}', "sead"), ('{"seed": "x"}', "seed"), ("{", "JSON"), ('{"seed": -1}', "negative")],
)
@pytest.mark.fault(
    "command",
    "`--params` of a stage that is no JSON, or has a wrong key or value",
    "one paragraph, status 1, nothing written",
)
def test_a_fault_is_one_paragraph_and_status_one(tmp_path, capsys, params, said):
    with pytest.raises(SystemExit) as stop:
        _main("--params", params, "--parts", "--table", str(tmp_path / "t"))
    assert stop.value.code == 1
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "t").exists()


def test_a_log_begins_with_what_runs_and_ends_with_its_cost(tmp_path, capsys):
    _main("--params", '{"seed": 3}', "--parts", "a", "b", "c", "d", "--table", str(tmp_path / "t"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("stage test_stage")
    assert re.fullmatch(r"on \S+, \w+ \w+, \d+ CPU cores, Python 3\.\d+\.\d+", lines[1])
    assert lines[2] == 'settings {"seed": 3}'
    assert lines[3] == "reads parts a b c and 1 more"
    assert lines[4] == "device cpu (this stage uses no GPU)"
    assert lines[-2] == f"wrote table {tmp_path / 't'}: 3 B"
    assert re.fullmatch(r"done in \d+\.\d s, peak memory \d+ MB", lines[-1])


def test_the_log_of_a_fault_ends_with_the_fault_and_its_cost(tmp_path, capsys):
    with pytest.raises(SystemExit):
        _main("--params", '{"seed": -1}', "--parts", "--table", str(tmp_path / "t"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2] == "error: seed: negative. Give a number from 0."
    assert lines[-1].startswith("failed after ")


def test_what_was_written_is_counted(tmp_path):
    artefacts.save_table(tmp_path / "t.parquet", pl.DataFrame({"a": [1, 2, 3]}))
    artefacts.save_tensors(tmp_path / "t.safetensors", {"x": np.zeros((4, 2)), "y": np.float32(1)})
    assert artefacts.counts(tmp_path / "t.parquet").startswith("3 rows, ")
    assert artefacts.counts(tmp_path / "t.safetensors").startswith("x 4x2, y scalar, ")
    assert artefacts.counts(tmp_path).startswith("2 files, ")


def test_progress_in_a_log_is_whole_lines(monkeypatch, capsys):
    clock = iter(range(0, 10_000, 6))  # six seconds an item
    monkeypatch.setattr("tqdm.std.time", lambda: next(clock))
    assert list(progress(range(20), "files")) == list(range(20))
    said = capsys.readouterr().err
    assert "\r" not in said
    lines = said.splitlines()
    assert 2 <= len(lines) <= 21
    assert all(re.fullmatch(r"files: \d+ of 20, [\d:]+ gone, [\d:?]+ left", line) for line in lines), lines


def test_a_tally_in_a_log_tells_speed_and_absences(monkeypatch, capsys):
    clock = iter(range(0, 10_000, 6))  # six seconds a step
    monkeypatch.setattr("tqdm.std.time", lambda: next(clock))
    with Tally("utterances", 60) as done:
        for step in range(20):
            done.add(3, absent=int(step in (0, 5)))
    lines = capsys.readouterr().err.splitlines()
    form = r"utterances: \d+ of 60, [\d.]+ a second, [\d:]+ gone, [\d:?]+ left, absent=[12]"
    assert 2 <= len(lines) <= 21
    assert all(re.fullmatch(form, line) for line in lines), lines
    assert lines[-1].startswith("utterances: 60 of 60, 0.")
    assert lines[-1].endswith("absent=2")
