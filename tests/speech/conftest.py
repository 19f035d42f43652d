"""The recogniser and the encoder of voices that the tests of speech share."""

import os

import pytest
from spoken import RESEMBLYZER, TINY, place_recogniser, place_voices

from pipeline import weights


@pytest.fixture(scope="session")
def recogniser(tmp_path_factory):
    """The folder that the stage weights makes of what was placed by hand."""
    base = tmp_path_factory.mktemp("hub")
    place_recogniser(base)
    former = os.getcwd()
    os.chdir(base)
    try:
        weights.run(weights.Params(weights=TINY, kind="recogniser"), folder=base / "recogniser")
    finally:
        os.chdir(former)
    return base / "recogniser"


@pytest.fixture(scope="session")
def voices(tmp_path_factory):
    """The folder that the stage weights makes of the wheel that was placed by hand."""
    base = tmp_path_factory.mktemp("voices")
    place_voices(base)
    former = os.getcwd()
    os.chdir(base)
    try:
        weights.run(weights.Params(weights=RESEMBLYZER, kind="speakers"), folder=base / "speakers")
    finally:
        os.chdir(former)
    return base / "speakers"
