"""The command line of a stage."""

import pytest

from pipeline import stage
from pipeline.errors import PipelineError
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
def test_a_fault_is_one_paragraph_and_status_one(tmp_path, capsys, params, said):
    with pytest.raises(SystemExit) as stop:
        _main("--params", params, "--parts", "--table", str(tmp_path / "t"))
    assert stop.value.code == 1
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "t").exists()
