"""Stage `corpus`: render a part of the embedded corpus (docs/artefacts.md, Corpus and manifest).

Dialogues are dealt to parts by their number, so that parts can be rendered side by side and a dialogue is
the same whatever the number of parts. One process, one thread.
"""

from pathlib import Path

import cv2
import polars as pl
from pydantic import Field, model_validator

from pipeline.core import artefacts, stage
from pipeline.core.progress import progress
from pipeline.settings.base import Settings
from pipeline.settings.process import ProcessSettings
from pipeline.settings.rendering import RenderingSettings
from pipeline.synth.scene import Take, film_dialogue
from pipeline.synth.script import DialogueScript, write_dialogue

ROWS = pl.Schema(
    {
        "dialogue": pl.String,
        "position": pl.Int32,
        "utterance": pl.String,
        "speaker": pl.String,
        "text": pl.String,
        "label": pl.String,
        "split": pl.String,
        "media": pl.String,
        "start": pl.Float64,
        "end": pl.Float64,
    }
)
LATENT = pl.Schema(
    {
        "utterance": pl.String(),
        "emotion": pl.String(),
        "cue_text": pl.String(),
        "cue_audio": pl.String(),
        "cue_visual": pl.String(),
        "flat": pl.List(pl.String),
        "kind": pl.String(),
        "hidden": pl.String(),
        "two_shot": pl.Boolean(),
        "snr": pl.Float64(),
        "x0": pl.Float64(),
        "y0": pl.Float64(),
        "x1": pl.Float64(),
        "y1": pl.Float64(),
    }
)


class Params(Settings):
    """Settings of the stage `corpus`."""

    process: ProcessSettings = Field(ProcessSettings(), description="what is felt, shown and said")
    rendering: RenderingSettings = Field(RenderingSettings(), description="camera and microphone")
    seed: int = Field(0, ge=0, description="seed of the corpus: scripts, people, cameras")
    part: int = Field(0, ge=0, description="which part is rendered, from 0")
    parts: int = Field(1, ge=1, description="how many parts the corpus is rendered in")

    @model_validator(mode="after")
    def _part_exists(self) -> "Params":
        if self.part >= self.parts:
            raise ValueError("part must be below parts")
        return self


def run(params: Params, *, folder: Path) -> None:
    """Write `videos/`, `utterances.parquet` and `latent.parquet` of one part into `folder`."""
    cv2.setNumThreads(1)
    rows: list[dict] = []
    latent: list[dict] = []
    with artefacts.replacing_folder(folder) as temporary:
        (temporary / "videos").mkdir()
        for dialogue in progress(range(params.part, params.process.dialogues, params.parts), "dialogues"):
            script = write_dialogue(params.process, dialogue, params.seed)
            media = f"videos/{script.name}.mp4"
            takes = film_dialogue(script, params.rendering, params.seed, dialogue, temporary / media)
            rows += [utterance_row(script, take, media) for take in takes]
            latent += [latent_row(script, take) for take in takes]
        artefacts.save_table(temporary / "utterances.parquet", pl.DataFrame(rows, schema=ROWS))
        artefacts.save_table(temporary / "latent.parquet", pl.DataFrame(latent, schema=LATENT))


def utterance_name(script: DialogueScript, position: int) -> str:
    """The id of an utterance, unique over the corpus: `dia0007_utt03`."""
    return f"{script.name}_utt{position:02d}"


def utterance_row(script: DialogueScript, take: Take, media: str) -> dict:
    """What the manifest may know of an utterance."""
    spoken = take.script
    return {
        "dialogue": script.name,
        "position": spoken.position,
        "utterance": utterance_name(script, spoken.position),
        "speaker": f"S{spoken.speaker:03d}",
        "text": spoken.text,
        "label": spoken.emotion,
        "split": script.split,
        "media": media,
        "start": take.start,
        "end": take.end,
    }


def latent_row(script: DialogueScript, take: Take) -> dict:
    """What was really expressed, for ceilings and checks only."""
    spoken = take.script
    shown = {letter: "neutral" if cue == "flat" else cue for letter, cue in spoken.cues.items()}
    return {
        "utterance": utterance_name(script, spoken.position),
        "emotion": spoken.emotion,
        "cue_text": shown["t"],
        "cue_audio": shown["a"],
        "cue_visual": shown["v"],
        "flat": [letter for letter in "tav" if spoken.cues[letter] == "flat"],
        "kind": spoken.kind,
        "hidden": spoken.hidden,
        "two_shot": script.two_shot,
        "snr": spoken.snr,
        **dict(zip(("x0", "y0", "x1", "y1"), take.box or (None,) * 4, strict=True)),
    }


if __name__ == "__main__":
    stage.main(run, Params, outputs=("folder",))
