"""Stage annotate: the emotion of every utterance of a video, by an exported model.

    python -m pipeline.annotate --model FOLDER --video talk.mp4 --out FOLDER [--transcript talk.srt]
        [--words talk.words.parquet]

Nothing is trained. Without --transcript one of the same name beside the video is taken, if there is one;
without any, the words that the stage transcribe recognised.
"""

from pathlib import Path

from pydantic import Field

from pipeline.annotation.annotating import annotate
from pipeline.annotation.exported import load
from pipeline.core import stage
from pipeline.settings.annotate import AnnotateSettings
from pipeline.settings.compute import ComputeSettings
from pipeline.settings.recognition import SentenceSettings


class Params(ComputeSettings):
    """Settings of the stage."""

    annotate: AnnotateSettings = Field(AnnotateSettings(), description="how a video is annotated")
    sentences: SentenceSettings = Field(SentenceSettings(), description="how words become utterances")


def run(
    params: Params, *, model: Path, video: Path, transcript: Path | None, words: Path | None, out: Path
) -> None:
    """Write all files of docs/artefacts.md, "Annotations", into the folder `out`."""
    annotate(
        load(model),
        video,
        transcript,
        out,
        params.annotate,
        device=params.device,
        threads=params.threads,
        words=words,
        sentences=params.sentences,
    )


if __name__ == "__main__":
    stage.main(
        run, Params, inputs=("model", "video", "transcript?", "words?"), outputs=("out",), defaults=True
    )
