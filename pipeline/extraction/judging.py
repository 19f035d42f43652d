"""Who judges which face speaks, and what a track keeps of every picture for that."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8

from pipeline.core.errors import PipelineError
from pipeline.core.registries.choices import LARGEST, LEARNED, choice
from pipeline.encoders.alignment import middle_patch
from pipeline.extraction.detection import Face
from pipeline.extraction.looking import View
from pipeline.extraction.tracking import Track
from pipeline.settings.faces import FacesSettings


@runtime_checkable
class Judge(Protocol):
    """Says of a track how much speaks for it that it is the speaker's."""

    def patch(self, view: View, face: Face) -> UInt8[np.ndarray, "height width"]:
        """What a track keeps of one picture; `face` is where it is there, between two detections."""

    def score(self, track: Track, sound: np.ndarray, start: float, end: float) -> float:
        """The evidence that the face of a track speaks, -2 to 2, 0 the border.

        sound: the whole file's, float32 at 16 kHz; start, end: of the utterance (s). Asked from several
        threads at once.
        """


class MouthJudge:
    """A judge that sees the middle of the aligned face, from below the eyes to the lower lip."""

    def patch(self, view: View, face: Face) -> UInt8[np.ndarray, "34 28"]:
        """As `alignment.middle_patch` cuts it."""
        return middle_patch(view.small, face.landmarks * view.scale)


def judging(folder: Path | None, settings: FacesSettings, device: torch.device) -> Judge | None:
    """The judge that `faces.choice` names, None for `largest`; folder: of its weights.

    Raises PipelineError if it needs weights and there is no folder, or they do not fit.
    """
    if settings.choice == LARGEST:
        return None
    if settings.choice in LEARNED and folder is None:
        raise PipelineError(
            f"config, key faces.choice: {settings.choice} is a network, and its weights were not named. Name "
            "their folder with --chooser (snakemake does: the rule chooser makes it), or set another choice."
        )
    return choice(settings.choice).load(folder, device)
