"""Who is who, and who of them speaks: what is asked of the tracks of an utterance."""

from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.extraction.judging import Judge, judging
from pipeline.extraction.people import Link, linking
from pipeline.settings.faces import FacesSettings


@dataclass(frozen=True)
class Casting:
    """judge: scores the tracks (None: the largest face is taken); link: joins tracks across cuts."""

    judge: Judge | None = None
    link: Link | None = None


def casting(
    settings: FacesSettings, device: torch.device, encoder: Path | None = None, chooser: Path | None = None
) -> Casting:
    """As the settings say; encoder: folder of the visual encoder, chooser: of a choice that has weights.

    Raises PipelineError if one of them is needed and not named, or its weights do not fit.
    """
    return Casting(judging(chooser, settings, device), linking(encoder, settings, device))
