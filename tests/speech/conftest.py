"""What the tests of speech share: the recogniser, the encoder of voices, and the shard of a corpus."""

import fixture_trees as trees
import numpy as np
import pytest
from films import write
from spoken import CLEAR, RATE, RESEMBLYZER, load_recogniser, made, place_voices, speech

from pipeline import manifest


@pytest.fixture(scope="session")
def recogniser(tmp_path_factory):
    """The folder that the stage weights makes of what was placed by hand."""
    return load_recogniser(tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="session")
def shard(tmp_path_factory):
    """The slice of a folder: a talk of three sentences and one of silence, with other words in the CSVs."""
    base = tmp_path_factory.mktemp("corpus")
    wave, spans = speech(CLEAR)
    (base / "own").mkdir()
    write(base / "own/spoken.mp4", 2, wave, RATE)
    write(base / "own/silent.mp4", 2, np.zeros(3 * RATE, np.float32), RATE)
    lines = "".join(f"{start},{end},Ann,Wrong words,joy\n" for start, end in spans)
    trees.write_text(base / "own/spoken.csv", f"start,end,speaker,text,label\n{lines}")
    trees.write_text(base / "own/silent.csv", "start,end,speaker,text,label\n0.5,2.0,Ben,Words,anger\n")
    params = manifest.Params(corpus=trees.settings("folder", base / "own", shards=1))
    files = {name: base / name for name in ("manifest.parquet", "facts.json")}
    manifest.run(
        params,
        parts=[],
        manifest=files["manifest.parquet"],
        facts=files["facts.json"],
        shards=[base / "0.parquet"],
    )
    return base / "0.parquet"


@pytest.fixture(scope="session")
def voices(tmp_path_factory):
    """The folder that the stage weights makes of the wheel that was placed by hand."""
    base = tmp_path_factory.mktemp("voices")
    place_voices(base)
    return made(base, RESEMBLYZER, "speakers")
