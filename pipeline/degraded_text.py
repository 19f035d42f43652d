"""Stage degraded_text: the words of test utterances as a recogniser mistakes them, encoded."""

import logging
from collections.abc import Sequence
from pathlib import Path

import polars as pl
from pydantic import Field

from pipeline.core import absence, artefacts, stage
from pipeline.core.device import computing, prepare
from pipeline.core.progress import Tally
from pipeline.core.registries import encoders
from pipeline.degradation import words as degradation
from pipeline.degradation.drawing import generator
from pipeline.extraction import gauges
from pipeline.extraction.degraded import DegradedTable, asked, tested
from pipeline.extraction.shard import load_words
from pipeline.settings.compute import EncodingSettings
from pipeline.settings.encoders import TextSettings
from pipeline.settings.unreliable import UnreliableSettings

log = logging.getLogger("pipeline")


class Params(EncodingSettings):
    """Settings of the stage."""

    encoder: TextSettings = TextSettings()
    unreliable: UnreliableSettings = Field(UnreliableSettings(), description="what is done to the words")
    unsure: float | None = None  # as of the stage text


def run(
    params: Params, *, shard: Path, splits: Sequence[Path], encoder: Path, features: Path, index: Path
) -> None:
    """Write the features of the shard's test utterances under every condition of the words.

    What words are taken for comes from the words of the shard. An utterance of which nothing is left is
    absent (`no_text`), as one without words is.
    """
    device = prepare(params.device, params.threads)
    known, texts, reasons = load_words(shard, params.unsure)
    dialogues = artefacts.load_table(shard, {"utterance": pl.String, "dialogue": pl.String})
    dialogue = dict(dialogues.iter_rows())
    names = set(tested(shard, splits))
    own = [name for name in known if name in names]
    model = encoders.encoder("text", encoder).load(encoder, params.encoder, device)
    conditions = asked(params.unreliable, "text")
    output = DegradedTable(own, list(conditions), model.dimension)
    for name in own:
        if name in reasons:
            output.absent(name, reasons[name])
    confusions = degradation.Confusions(texts.values())
    pairs = gauges.Pairs((dialogue[name], text) for name, text in texts.items())
    with Tally("conditions", len(conditions)) as done:
        for condition, (kind, level) in conditions.items():
            wrong = said = 0
            heard = {}
            for name in (name for name in own if name in texts):
                rng = generator(params.unreliable.seed, name, kind)
                told = degradation.misheard(texts[name], level, rng, confusions)
                count, words = degradation.errors(texts[name], told)
                wrong, said = wrong + count, said + words
                output.realised[condition][name] = count / words
                if told.strip():
                    heard[name] = told
                    output.gauges[condition][name] = gauges.of_text(dialogue[name], told, pairs)
                else:
                    output.parts[condition].absent(name, absence.NO_TEXT)
            with computing(device, params.precision):
                encoded = model.encode(list(heard.values()))
            for name, frames in zip(heard, encoded, strict=True):
                output.parts[condition].add(name, frames)
            if said:
                log.info("%s: word error rate over the shard %.3f", condition, wrong / said)
            done.add(1)
    output.save(features, index)


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard", "splits*", "encoder"), outputs=("features", "index"))
