"""Stage annotate: the emotion of every utterance of a video, by an exported model.

    python -m pipeline.annotate --model FOLDER --video talk.mp4 --out FOLDER [--transcript talk.srt]
        [--words talk.words.parquet] [--voices FOLDER]

Nothing is trained. Without --transcript one of the same name beside the video is taken, if there is one;
without any, the words that the stage transcribe recognised. --voices names an encoder of voices as the stage
weights writes it: where the transcript names no speakers, they are told apart by it.
"""

from pathlib import Path

from pydantic import Field

from pipeline.annotation.annotating import annotate
from pipeline.annotation.exported import load
from pipeline.core import stage
from pipeline.settings.annotate import AnnotateSettings
from pipeline.settings.compute import ComputeSettings
from pipeline.settings.recognition import SentenceSettings
from pipeline.settings.speakers import TellingSettings


class Params(ComputeSettings):
    """Settings of the stage."""

    annotate: AnnotateSettings = Field(AnnotateSettings(), description="how a video is annotated")
    telling: TellingSettings = Field(TellingSettings(), description="when two voices are two people")
    sentences: SentenceSettings = Field(SentenceSettings(), description="how words become utterances")


def run(
    params: Params,
    *,
    model: Path,
    video: Path,
    transcript: Path | None,
    words: Path | None,
    voices: Path | None,
    out: Path,
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
        voices=voices,
        telling=params.telling,
    )


if __name__ == "__main__":
    stage.main(
        run,
        Params,
        inputs=("model", "video", "transcript?", "words?", "voices?"),
        outputs=("out",),
        defaults=True,
    )
