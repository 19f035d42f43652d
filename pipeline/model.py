"""An exported model: one folder that annotates videos, or predicts from features, wherever it is taken.

    from pathlib import Path
    from pipeline.model import load

    model = load(Path("runs/embedded/model/corekd/0"))
    table = model.annotate(Path("talk.mp4"), out=Path("annotated"))

What the folder holds stands in docs/artefacts.md.
"""

from dataclasses import dataclass, fields
from pathlib import Path

import polars as pl

from pipeline.annotation import exported
from pipeline.annotation.annotating import annotate
from pipeline.settings.annotate import AnnotateSettings
from pipeline.settings.recognition import SentenceSettings
from pipeline.settings.speakers import TellingSettings


@dataclass(frozen=True)
class Model(exported.ExportedModel):
    """A network in eval mode on the CPU, and all that stands between a video and its features."""

    def annotate(
        self,
        video: Path,
        transcript: Path | None = None,
        out: Path | None = None,
        *,
        settings: AnnotateSettings | None = None,
        device: str = "auto",
        threads: int = 1,
        words: Path | None = None,
        sentences: SentenceSettings | None = None,
        voices: Path | None = None,
        telling: TellingSettings | None = None,
    ) -> pl.DataFrame:
        """The emotion of every utterance of a video (docs/annotate.md); with `out`, all files go there.

        words: what the stage transcribe recognised, for a video without a transcript; voices: the folder of
        an encoder that tells speakers apart, as the stage weights writes it; telling: how it does.
        Raises PipelineError if video or transcript cannot be read, nothing in it can be judged, or `out` is a
        file or a folder that holds anything but annotations.
        """
        return annotate(
            self,
            video,
            transcript,
            out,
            settings or AnnotateSettings(),
            device=device,
            threads=threads,
            words=words,
            sentences=sentences,
            voices=voices,
            telling=telling,
        )


def load(folder: Path | str) -> Model:
    """Read an exported model; says its notice, if it has one.

    Raises PipelineError if the folder is no exported model, is of another format, or its parts contradict
    each other.
    """
    found = exported.load(folder)
    return Model(**{field.name: getattr(found, field.name) for field in fields(found)})
