"""The folder of a video's annotations is named after the video, whatever that is called."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.annotation.naming import LONGEST, folder_name

ENDS = "a folder of its own below `annotations/`"


@pytest.mark.parametrize(
    ("video", "name"),
    [
        ("talk.mp4", "talk"),
        ("It's a tälk.mp4", "It_s_a_tälk"),
        ("a.b-c.mp4", "a.b-c"),
        pytest.param(
            "...mp4", "__", marks=pytest.mark.fault("names", "a video named `...mp4` (stem `..`)", ENDS)
        ),
        pytest.param(
            "..mp4", "_", marks=pytest.mark.fault("names", "a video named `..mp4` (stem `.`)", ENDS)
        ),
        pytest.param("/x/.hidden.mp4", "_hidden", marks=pytest.mark.fault("names", "a hidden video", ENDS)),
        pytest.param(
            "{b} #1.mp4", "_b___1", marks=pytest.mark.fault("names", "braces and `#` in a video's name", ENDS)
        ),
        pytest.param(
            "\udcff.mp4", "_", marks=pytest.mark.fault("names", "a video's name that is not UTF-8", ENDS)
        ),
        ("", "none"),
    ],
)
def test_names(video, name):
    assert folder_name(video) == name


@pytest.mark.fault("names", "a video's name of 250 letters", f"{ENDS}, its name cut")
def test_long_names_are_cut_and_told_apart():
    first, second = (folder_name(f"{'ä' * 120}{end}.mp4") for end in "12")
    assert first != second and len(first.encode()) <= LONGEST


@given(st.text(st.characters(exclude_characters="\0", codec=None), max_size=300))
def test_a_name_is_one_folder_and_no_way_up(video):
    name = folder_name(video)
    assert Path("runs", name).name == name and not name.startswith(".") and 0 < len(name.encode()) <= LONGEST
