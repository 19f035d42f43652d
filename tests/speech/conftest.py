"""The recogniser that the tests of speech share."""

import pytest
from spoken import load_recogniser


@pytest.fixture(scope="session")
def recogniser(tmp_path_factory):
    """The folder that the stage weights makes of what was placed by hand."""
    return load_recogniser(tmp_path_factory.mktemp("hub"))
