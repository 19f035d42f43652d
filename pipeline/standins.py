"""Stage `standins`: small encoders in the formats of RoBERTa, wav2vec2 and a face network.

They let the whole pipeline run without a model hub. The tokenizer sees the words of the training split and
nothing else; audio and visual are pretrained on voices and faces that are in no corpus, towards targets that
are no emotion labels but near to them (pipeline/synth/exercises.py).
"""

import logging
import time
from pathlib import Path

import cv2
import polars as pl
import torch
from pydantic import Field
from transformers.utils import logging as transformers_logging

from models.modalities import MODALITIES
from pipeline.core import artefacts, seals, stage
from pipeline.core.device import prepare
from pipeline.core.errors import PipelineError
from pipeline.core.progress import progress
from pipeline.settings.compute import ComputeSettings
from pipeline.settings.standins import StandinsSettings
from pipeline.synth import pretraining, standin_networks
from pipeline.synth.exercises import face_exercise, voice_exercise

log = logging.getLogger("pipeline")


class Params(ComputeSettings):
    """Settings of the stage `standins`."""

    standins: StandinsSettings = Field(StandinsSettings(), description="sizes and pretraining")
    seed: int = Field(0, ge=0, description="seed of weights and of the material")


def run(params: Params, *, utterances: list[Path], text: Path, audio: Path, visual: Path) -> None:
    """Write one `from_pretrained` folder a modality.

    Raises PipelineError if the tables hold no training text.
    """
    transformers_logging.disable_progress_bar()  # it would tear the job's log
    device = prepare(params.device, params.threads)
    cv2.setNumThreads(1)
    _text(params, training_text(utterances), text)
    _audio(params, audio, device)
    _visual(params, visual, device)


def training_text(tables: list[Path]) -> list[str]:
    """The words of the training split, in an order that does not depend on how parts were dealt."""
    rows = [artefacts.load_table(path, ["utterance", "text", "split"]) for path in tables]
    if rows:
        words = (
            pl.concat(rows).filter(pl.col("split") == "train").drop_nulls("text").sort("utterance")["text"]
        )
        if len(words):
            return words.to_list()
    raise PipelineError(
        f"--utterances: no row of {[str(path) for path in tables]} is of the split `train`, so the stand-in "
        "tokenizer has nothing to learn from. Give the corpus more dialogues or a larger train_share."
    )


def _text(params: Params, texts: list[str], folder: Path) -> None:
    settings = params.standins.text
    with artefacts.replacing_folder(folder) as temporary:
        size = standin_networks.save_tokenizer(temporary, texts, settings.vocabulary)
        standin_networks.new_roberta(settings, size, params.seed).save_pretrained(str(temporary))
        seals.seal_folder(temporary)


def _audio(params: Params, folder: Path, device: torch.device) -> None:
    settings, start = params.standins.audio, time.monotonic()
    exercises = [voice_exercise(number, params.seed) for number in progress(range(settings.voices), "voices")]
    log.info("%d voices in %.1f s", len(exercises), time.monotonic() - start)
    network = standin_networks.new_wav2vec2(settings, params.seed)
    network.to(device)  # type: ignore[arg-type]  # mypy takes the decorated method for a function
    pretraining.pretrain_audio(network, exercises, settings, params.seed, device)
    with artefacts.replacing_folder(folder) as temporary:
        network.save_pretrained(str(temporary))
        standin_networks.save_audio_processor(temporary)
        seals.seal_folder(temporary)
    log.info("audio done after %.1f s", time.monotonic() - start)


def _visual(params: Params, folder: Path, device: torch.device) -> None:
    settings, start = params.standins.visual, time.monotonic()
    exercises = [
        face_exercise(number, params.seed, settings.side)
        for number in progress(range(settings.faces), "faces")
    ]
    log.info("%d faces in %.1f s", len(exercises), time.monotonic() - start)
    network = standin_networks.new_resnet(settings, params.seed)
    network.to(device)  # type: ignore[arg-type]  # mypy takes the decorated method for a function
    pretraining.pretrain_visual(network, exercises, settings, params.seed, device)
    with artefacts.replacing_folder(folder) as temporary:
        network.save_pretrained(str(temporary))
        standin_networks.save_image_processor(temporary, settings.side)
        seals.seal_folder(temporary)
    log.info("visual done after %.1f s", time.monotonic() - start)


if __name__ == "__main__":
    stage.main(run, Params, inputs=("utterances*",), outputs=MODALITIES)
