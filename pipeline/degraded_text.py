"""Stage degraded_text: the words of test utterances as a recogniser mistakes them, encoded."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
from pydantic import Field

from models.conditions import Condition
from pipeline.core import absence, artefacts, stage
from pipeline.core.device import computing, prepare
from pipeline.core.registries import encoders
from pipeline.core.registries.degradations import HEARD
from pipeline.degradation import words as degradation
from pipeline.degradation.drawing import generator
from pipeline.extraction import gauges
from pipeline.extraction.degraded import DegradedTable, asked, heard_words, one_by_one, tested
from pipeline.extraction.shard import load_confidence, load_words
from pipeline.reruns.partial import Pieces, run_digest
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
    params: Params,
    *,
    shard: Path,
    words: Sequence[Path] = (),
    splits: Sequence[Path],
    encoder: Path,
    features: Path,
    index: Path,
) -> None:
    """Write the features of the shard's test utterances under every condition of the words.

    What words are taken for comes from the words of the shard; what a recogniser hears in degraded sound from
    `words`, the table of the stage degraded_words, where that is asked for. An utterance of which nothing is
    left is absent (`no_text`), as one without words is. An interrupted shard goes on, a condition a piece.
    Raises PipelineError if what was heard is not there.
    """
    device = prepare(params.device, params.threads)
    known, texts, reasons = load_words(shard, params.unsure)
    dialogues = artefacts.load_table(shard, {"utterance": pl.String, "dialogue": pl.String})
    dialogue = dict(dialogues.iter_rows())
    names = set(tested(shard, splits))
    own = [name for name in known if name in names]
    model = encoders.encoder("text", encoder).load(encoder, params.encoder, device)
    conditions = asked(params.unreliable, "text")
    confusions = degradation.Confusions(texts.values())
    sure = load_confidence(shard, params.unsure)
    heard = heard_words(words, [name for name, (kind, _) in conditions.items() if kind == HEARD], own)
    pairs = gauges.Pairs((dialogue[name], text) for name, text in texts.items())

    def told(condition: Condition, kind: str, level: float) -> Iterator[tuple[str, str, float | None]]:
        """Utterance, words and how sure they are, of those that have words in the corpus."""
        for name in (name for name in own if name in texts):
            if kind == HEARD:
                yield name, *heard[str(condition), name]
            else:
                rng = generator(params.unreliable.seed, name, kind)
                # the confidence is that from before
                yield name, degradation.misheard(texts[name], level, rng, confusions), sure.get(name)

    def make(condition: Condition, kind: str, level: float) -> DegradedTable:
        table = DegradedTable(own, [condition], model.dimension)
        for name in (name for name in own if name in reasons):
            table.absent(name, reasons[name])
        wrong = said = 0
        left = {}
        for name, text, confidence in told(condition, kind, level):
            count, number = degradation.errors(texts[name], text)
            wrong, said = wrong + count, said + number
            table.realised[condition][name] = count / number
            if not text.strip():
                table.absent(name, absence.NO_TEXT)
            elif params.unsure is not None and confidence is not None and confidence < params.unsure:
                table.absent(name, absence.ASR_UNSURE)
            else:
                left[name] = text
                # a gate that has learnt of given words alone can make nothing of a confidence
                known = None if params.unsure is None else confidence
                table.gauges[condition][name] = gauges.of_text(dialogue[name], text, pairs, known)
        with computing(device, params.precision):
            encoded = model.encode(list(left.values()))
        for name, frames in zip(left, encoded, strict=True):
            table.parts[condition].add(name, frames)
        if said:
            log.info("%s: word error rate over the shard %.3f", condition, wrong / said)
        return table

    digest = run_digest(
        "pipeline.degraded_text",
        params.model_dump(mode="json"),
        [shard, *words, *splits, encoder],
        device.type,
        also=[type(model).__module__],
    )
    pieces = Pieces(features, digest)
    output = DegradedTable(own, list(conditions), model.dimension)
    one_by_one(output, conditions, pieces, make)
    output.save(features, index)
    pieces.clear()


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard", "words*", "splits*", "encoder"), outputs=("features", "index"))
