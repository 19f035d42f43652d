"""The rule `annotate`: whatever a video is called, its annotations have a folder of their own."""

import shutil
from pathlib import Path

import fixture_trees as trees
import polars as pl
import pytest
from fixture_model import write_model, write_talk
from workflow import copy_project, planned, snakemake

from pipeline.annotation.facts import EMBEDDED_NOTICE

pytestmark = pytest.mark.slow
RUN = Path("runs/embedded")
DONE = "the recipe of docs/annotate.md works"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = copy_project(tmp_path_factory.mktemp("rule") / "project")
    write_model(folder / RUN / "model/corekd/0")
    return folder


def annotate(project: Path, *named: str, check: bool = True):
    arguments = ("annotate", "--forcerun", "annotate", "--config", *named, "device=cpu")
    return snakemake(project, "--cores", "1", *arguments, check=check)


@pytest.mark.fault(
    "names", "a file of one's own among annotations that are made anew by Snakemake", "it stays"
)
def test_a_name_that_a_shell_and_yaml_mind_is_annotated_and_notes_stay(project):
    video = write_talk(project / "It's a #1 tälk {b}.mp4", 2.0, bursts=((0.5, 1.5),))
    trees.write_text(project / "-it's told.srt", "1\n00:00:00,500 --> 00:00:01,500\nWords\n")
    named = (f'video= "{video.name}" ', "transcript=-it's told.srt")
    annotate(project, *named)
    folder = project / RUN / "annotations/It_s_a__1_tälk__b_"
    assert pl.read_parquet(folder / "annotations.parquet")["text"].to_list() == ["Words"]
    assert EMBEDDED_NOTICE in (project / RUN / f"logs/annotate/{folder.name}.log").read_text()
    assert (project / RUN / f"benchmarks/annotate/{folder.name}.tsv").is_file()
    assert planned(project, "annotate", "--config", *named, "device=cpu") == {}
    trees.write_text(folder / "notes.txt", "mine")
    annotate(project, *named)
    assert (folder / "notes.txt").read_text() == "mine"
    other = shutil.copy(video, project / "It s a #1 tälk {b}.mp4")
    done = annotate(project, f'video= "{Path(other).name}" ', check=False)
    assert (
        done.returncode
        and f"holds the annotations of another video, {video.name}" in done.stdout + done.stderr
    )


@pytest.mark.fault("names", "`annotate` is refused a video named `...mp4`", "the run's folder stays as it is")
def test_a_refused_video_takes_nothing_with_it(project):
    (project / "...mp4").write_text("no film")
    names = ("x", "annotations/y", "annotations/__/z")
    kept = [trees.write_text(project / RUN / name, "mine") for name in names]
    done = annotate(project, "video=...mp4", check=False)
    assert done.returncode and "undecodable" in done.stdout + done.stderr
    assert all(path.read_text() == "mine" for path in kept)
    assert (project / RUN / "model/corekd/0/config.json").is_file()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("Talk #1.mp4", marks=pytest.mark.fault("names", "a `#` in the name of a video", DONE)),
        pytest.param(
            "a: b.mp4", marks=pytest.mark.fault("names", "a colon and a blank in a video's name", DONE)
        ),
    ],
)
def test_a_name_is_given_in_quotes_between_blanks(project, name):
    write_talk(project / name, 0.5)
    assert planned(project, "annotate", "--config", f'video= "{name}" ', "device=cpu") == {"annotate": 1}


@pytest.mark.fault(
    "names", "a `#` in the name of a video, not in quotes", "refused; the docs say how to write it"
)
def test_a_name_that_yaml_cuts_off_is_explained(project):
    done = snakemake(project, "-n", "annotate", "--config", "video=Talk #1.mp4", check=False)
    assert done.returncode == 1
    assert (
        "error: annotate: there is no file Talk. Mend the path given as video; docs/annotate.md"
        in done.stderr
    )
    assert "Traceback" not in done.stderr
