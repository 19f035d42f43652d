"""Stage annotate: the emotion of every utterance of a video, by an exported model.

    python -m pipeline.annotate --model FOLDER --video talk.mp4 --out FOLDER [--transcript talk.srt]

Nothing is trained. Without --transcript one of the same name beside the video is taken, if there is one.
"""

from pathlib import Path

from pydantic import Field

from pipeline.annotation.annotating import annotate
from pipeline.annotation.exported import load
from pipeline.core import stage
from pipeline.settings.annotate import AnnotateSettings
from pipeline.settings.compute import ComputeSettings


class Params(ComputeSettings):
    """Settings of the stage."""

    annotate: AnnotateSettings = Field(AnnotateSettings(), description="how a video is annotated")


def run(params: Params, *, model: Path, video: Path, transcript: Path | None, out: Path) -> None:
    """Write all files of docs/artefacts.md, "Annotations", into the folder `out`."""
    annotate(
        load(model),
        video,
        transcript,
        out,
        params.annotate,
        device=params.device,
        threads=params.threads,
    )


if __name__ == "__main__":
    stage.main(run, Params, inputs=("model", "video", "transcript?"), outputs=("out",), defaults=True)
