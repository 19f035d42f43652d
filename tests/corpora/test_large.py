"""A corpus of 25,000 utterances, drawn at random, through all stages within 6 GB each."""

import re

import fixture_trees as trees
import numpy as np
import pytest
from workflow import copy_project, snakemake, write_overlay

UTTERANCES, LENGTH, LABELS = (
    25_000,
    10,
    6,
)  # as many as all of CMU-MOSEI; in a dialogue; of RoBERTa-base and others
WIDTHS = {"text": 768, "audio": 768, "visual": 512}
MOST = 6000  # MB


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_large_corpus_passes_within_its_memory(tmp_path):
    project, draw = copy_project(tmp_path / "project"), np.random.default_rng(0)
    lines = ["utterance,dialogue,speaker,text,label,split"]
    for number in range(UTTERANCES):
        dialogue = number // LENGTH
        split = ("train", "train", "train", "val", "test")[dialogue % 5]
        lines.append(
            f"u{number},d{dialogue},s{draw.integers(3)},Words {number},l{draw.integers(LABELS)},{split}"
        )
    arrays = {
        name: {"pooled": draw.normal(size=(UTTERANCES, width)).astype(np.float32)}
        for name, width in WIDTHS.items()
    }
    trees.features(project / "given", "\n".join(lines) + "\n", arrays, ".safetensors")
    settings = {
        "run": "large",
        "corpus": {"name": "features", "folder": "given", "shards": 8},
        "compare": ["modality_dropout"],
        "training": {"epochs": 1},
        "report": {"reference": "modality_dropout", "resamples": 300, "oracle": False},
    }
    write_overlay(project, settings)
    snakemake(project, "--cores", "2", "results", "--configfile", "small.json")
    peaks = {
        path.relative_to(project).as_posix(): int(re.findall(r"peak memory (\d+) MB", path.read_text())[-1])
        for path in (project / "runs" / "large" / "logs").rglob("*.log")
    }
    print(sorted(peaks.items(), key=lambda pair: -pair[1])[:5])
    assert {name.split("/")[3].removesuffix(".log") for name in peaks} >= {
        "manifest",
        "dataset",
        "teacher",
        "tables",
    }
    assert max(peaks.values()) < MOST, peaks
    assert (project / "runs" / "large" / "results" / "tables" / "main.md").is_file()
