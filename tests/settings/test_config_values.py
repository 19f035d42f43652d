"""Values of YAML that no one can read."""

import pytest

from pipeline.config import read_files
from pipeline.core.errors import PipelineError


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(
            "2024-13-45", marks=pytest.mark.fault("config", "a date that is none", "refused"), id="date"
        ),
        pytest.param(
            '"\\ud800"', marks=pytest.mark.fault("config", "half a character", "refused"), id="surrogate"
        ),
        pytest.param(
            "9" * 5000, marks=pytest.mark.fault("config", "a number of 5,000 digits", "refused"), id="digits"
        ),
    ],
)
def test_a_value_that_cannot_be_read_is_refused(tmp_path, value):
    path = tmp_path / "mine.yaml"
    path.write_text(f'{{"run": {value}}}\n')
    with pytest.raises(PipelineError, match=r"mine\.yaml.*: holds a value that cannot be read"):
        read_files([path])
