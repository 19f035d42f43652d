"""docs/new-detector.md, followed word by word in a copy of the project."""

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import yaml
from documents import follow
from films import write
from workflow import ROOT, copy_project

from pipeline.core import artefacts
from pipeline.core.registries.detectors import DETECTORS
from pipeline.reruns import codehash


@pytest.mark.slow
def test_a_detector_added_by_the_page_finds_faces(tmp_path):
    project = copy_project(tmp_path / "project")
    follow(ROOT / "docs" / "new-detector.md", project)
    film = write(project / "film.mp4", pictures=20)
    row = {"utterance": "u", "media": str(film), "start": 0.0, "end": 1.0, "crop": None, "withheld": None}
    kinds = {"crop": pl.List(pl.Float32), "withheld": pl.String}
    artefacts.save_table(project / "shard.parquet", pl.DataFrame([row], schema_overrides=kinds))
    faces = yaml.safe_load((project / "config/central.yaml").read_text())["faces"]
    # the numbers on the pictures change like shots
    params = json.dumps({"faces": faces | {"cut": 1}, "device": "cpu"})
    flags = ["--params", params, "--shard", "shard.parquet", "--folder", "faces"]
    subprocess.run([sys.executable, "-m", "pipeline.faces", *flags], cwd=project, check=True)
    crops = artefacts.load_table(project / "faces" / "crops.parquet")
    assert crops.height > 1
    for column, value in {"probability": 1.0, "track": 0}.items():
        assert (crops[column] == value).all()
    middle = [(crops["x0"] + crops["x1"]).to_numpy() / 2, (crops["y0"] + crops["y1"]).to_numpy() / 2]
    assert np.ptp(middle, axis=1) == pytest.approx([0, 0])
    assert (crops["x1"] - crops["x0"]).to_numpy() == pytest.approx((crops["y1"] - crops["y0"]).to_numpy())


def test_only_the_selected_detector_stands_behind_the_stage():
    behind = codehash.closure("pipeline.faces")
    assert not set(DETECTORS.values()) & set(behind), "an edit of one would rerun the runs of all"
    assert DETECTORS["mtcnn"] in codehash.closure("pipeline.faces", DETECTORS["mtcnn"])
