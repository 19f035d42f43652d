"""The face that a trained network takes for the voice's: Light-ASD, by its own published weights."""

from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from pipeline.core import media, seals
from pipeline.core.errors import PipelineError
from pipeline.core.origins import source_of
from pipeline.encoders.light_asd import FRAMES, HOP, RATE, SIDE, WINDOW, SpeakingNetwork
from pipeline.encoders.light_asd import load as load_network
from pipeline.extraction.detection import Face
from pipeline.extraction.looking import View
from pipeline.extraction.tracking import Track

# What the network was trained to see of a face, relative to the longer side of its box: a square of 0.7 of
# it, a fifth of it below the middle; beyond the picture all is GREY.
PART, LOWER, GREY = 0.7, 0.2, 110
LEAST = 3  # pictures
SOFT = 4.0  # log-odds that count for 1.5 of 2


class LearnedJudge:
    """Asks a network."""

    def __init__(self, network: SpeakingNetwork) -> None:
        self.network = network

    def patch(self, view: View, face: Face) -> UInt8[np.ndarray, "112 112"]:
        """The lower middle of a face, grey, out of the whole picture."""
        return lower_face(view.picture, face.box)

    def score(self, track: Track, sound: np.ndarray, start: float, end: float) -> float:
        """The mean of the log-odds over a track's pictures, bent into -2 to 2; 0 for one seen for a moment.

        The border 0 is the network's own; .5 are odds of 2.8 to 1, 1 are 9 to 1.
        """
        # a picture that is shown for long has its middle elsewhere
        times = np.clip(track.patch_times, start, end)
        if len(times) < LEAST:
            return 0.0
        begins = times[0] - 0.5 / RATE
        count = max(LEAST, round((times[-1] - times[0]) * RATE) + 1)
        wanted = times[0] + np.arange(count) / RATE
        faces = np.stack([track.patches[place] for place in nearest(times, wanted)])
        odds = self.network.log_odds(faces, heard(sound, begins, count))
        return float(2 * np.tanh(odds.mean() / SOFT))


def lower_face(picture: UInt8[np.ndarray, "h w 3"], box: np.ndarray) -> UInt8[np.ndarray, "112 112"]:
    """The part of a face in a box (x0, y0, x1, y1 in pixels) that the network sees."""
    x0, y0, x1, y1 = (float(value) for value in box)
    longer = max(x1 - x0, y1 - y0, 1.0)
    side = max(2, round(PART * longer))
    left, top = round((x0 + x1) / 2 - side / 2), round((y0 + y1) / 2 + LOWER * longer - side / 2)
    height, width = picture.shape[:2]
    part = np.full((side, side, 3), GREY, np.uint8)
    rows, columns = slice(max(0, top), min(height, top + side)), slice(max(0, left), min(width, left + side))
    if rows.start < rows.stop and columns.start < columns.stop:
        part[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = picture[
            rows, columns
        ]
    how = cv2.INTER_AREA if side > SIDE else cv2.INTER_LINEAR
    return cv2.resize(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=how)


def nearest(times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """For each wanted time the place of the nearest of the rising `times`, the earlier of two."""
    after = np.searchsorted(times, wanted).clip(1, len(times) - 1)
    return np.where(wanted - times[after - 1] <= times[after] - wanted, after - 1, after)


def heard(sound: np.ndarray, begins: float, pictures: int) -> np.ndarray:
    """The sound from `begins` (s) on that goes with so many pictures, silence before the file's beginning."""
    first = round(begins * media.SAMPLE_RATE)
    last = max(0, first + FRAMES * HOP * pictures + WINDOW)
    return np.concatenate([np.zeros(max(0, -first), np.float32), sound[max(0, first) : last]])


def load(folder: Path | None, device: torch.device) -> LearnedJudge:
    """The network of a folder.

    Raises PipelineError if it is none that the stage weights made, or its files are not as they were written.
    """
    if folder is None or not (folder / "model.safetensors").is_file():
        raise PipelineError(
            f"{folder or 'faces.choice light_asd'}: no model.safetensors, so no network chooses a face. Let "
            "the stage weights write this folder: snakemake runs it by itself (rule chooser)."
        )
    seals.check_folder(folder, source_of(folder))
    return LearnedJudge(load_network(folder, device))
