"""Two hours of sound are transcribed in under 2 GB, with progress and every sentence where it was said."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from spoken import CLEAR, RATE, speech, word_errors
from workflow import ROOT

from pipeline.settings.recognition import SentenceSettings
from pipeline.speech.sentences import sentences

HOURS, EVERY = 2, 300  # s from the beginning of one talk to that of the next
PARAMS = json.dumps({"device": "cpu", "threads": 1})


def two_hours(path: Path) -> list[tuple[float, float]]:
    """A faint hiss with three sentences every five minutes; from where to where (s) each is said."""
    wave, spans = speech(CLEAR)
    rng = np.random.default_rng(0)
    found = []
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        for part in range(HOURS * 3600 // EVERY):
            stretch = rng.normal(0, 1e-4, EVERY * RATE).astype(np.float32)
            # now here, now there, so that talks also lie where a piece may end
            first = (part * 47 % (EVERY - 20)) * RATE
            stretch[first : first + len(wave)] += wave
            file.write(stretch)
            begins = part * EVERY + first / RATE
            found += [(begins + start, begins + end) for start, end in spans]
    return found


@pytest.mark.long
def test_two_hours_in_two_gigabytes(recogniser, tmp_path):
    spans = two_hours(tmp_path / "talk.flac")
    command = [sys.executable, "-m", "pipeline.transcribe", "--params", PARAMS]
    command += [
        "--recogniser",
        recogniser,
        "--media",
        tmp_path / "talk.flac",
        "--words",
        tmp_path / "w.parquet",
    ]
    with open(tmp_path / "log.txt", "w") as log:
        child = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=log)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    said = (tmp_path / "log.txt").read_text()
    assert child.returncode == 0, said
    peak, spent = used.ru_maxrss * 1024, used.ru_utime + used.ru_stime
    print(f"peak {peak / 1e9:.2f} GB, {spent:.0f} s of processor time")
    assert peak < 2e9
    told = re.findall(r"recognised pieces of sound: (\d+) of (\d+), \S+ gone, \S+ left", said)
    assert told and len({total for _, total in told}) == 1
    assert [int(done) for done, _ in told] == sorted(int(done) for done, _ in told)
    words = pl.read_parquet(tmp_path / "w.parquet")
    found = sentences(words, SentenceSettings())
    assert len(found) == len(spans)
    for sentence, (start, end) in zip(found, spans, strict=True):
        assert (sentence.start, sentence.end) == (pytest.approx(start, abs=0.3), pytest.approx(end, abs=0.3))
    assert word_errors(" ".join(CLEAR * (len(spans) // 3)), " ".join(one.text for one in found)) <= 0.05
