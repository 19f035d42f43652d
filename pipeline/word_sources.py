"""Stage word_sources: the words of test utterances by each source that is compared, encoded.

Nothing is trained for it: the networks are asked again with the words of a transcript, of a recogniser of
speech, of a stated confusion model, or with none.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from models.conditions import Condition
from pipeline.core import absence, artefacts, stage
from pipeline.core.device import computing, prepare
from pipeline.core.errors import PipelineError
from pipeline.core.progress import Tally
from pipeline.core.registries import encoders
from pipeline.core.registries.degradations import OTHER_WORDS, SOURCES
from pipeline.degradation import words as degradation
from pipeline.degradation.drawing import generator
from pipeline.extraction import gauges
from pipeline.extraction.degraded import DegradedTable, tested
from pipeline.extraction.shard import load_words
from pipeline.settings.compute import EncodingSettings
from pipeline.settings.encoders import TextSettings
from pipeline.settings.protocol import SourceName
from pipeline.settings.unreliable import UnreliableSettings

log = logging.getLogger("pipeline")


class Params(EncodingSettings):
    """Settings of the stage."""

    encoder: TextSettings = TextSettings()
    words: tuple[SourceName, ...] = Field(("given",), description="sources, as protocol.words")
    unreliable: UnreliableSettings = Field(UnreliableSettings(), description="how words are mistaken")
    unsure: float = Field(0.5, description="recognised words below this confidence are an absence")
    text: Literal["given", "recognised"] = Field(
        "given", description="the source that networks were trained with, as corpus.text"
    )


def run(
    params: Params,
    *,
    shard: Path,
    heard: Sequence[Path] = (),
    splits: Sequence[Path],
    encoder: Path,
    features: Path,
    index: Path,
) -> None:
    """Write the features of the shard's test utterances with the words of every source.

    heard: the recognised words of the same utterances, one file where a source needs them. The word error
    rate of each utterance is against the given words; what a recogniser does not hear counts as deleted.
    Raises PipelineError if recognised words are needed and not there.
    """
    device = prepare(params.device, params.threads)
    names = tested(shard, splits)
    read = {"given": _words(shard, params.unsure), "none": ({}, dict.fromkeys(names, absence.NO_TEXT))}
    if heard:
        read["recognised"] = _words(heard[0], params.unsure)
    if params.text not in read or ("recognised" in params.words and not heard):
        raise PipelineError(
            f"{shard}: the words that a recogniser hears are needed, and --heard names none. Name the table "
            "that the stage recognised writes of this shard."
        )
    told = _given(shard)
    table = artefacts.load_table(shard, {"utterance": pl.String, "dialogue": pl.String})
    dialogue = dict(table.iter_rows())
    pairs = gauges.Pairs((dialogue[name], text) for name, text in read[params.text][0].items())
    confusions = degradation.Confusions(read["given"][0].values())
    model = encoders.encoder("text", encoder).load(encoder, params.encoder, device)
    conditions = _asked(params)
    output = DegradedTable(names, list(conditions), model.dimension)
    with Tally("sources", len(conditions)) as done:
        for condition, (source, level) in conditions.items():
            if source == "misheard":
                texts, reasons = _misheard(*read["given"], level, params.unreliable.seed, confusions)
            else:
                texts, reasons = read[source]
            own = {name: texts[name] for name in names if name in texts}
            if source != "none":
                # a recogniser is measured by all that it heard, also by what is not sure enough to be read
                said = load_words(heard[0], None)[1] if source == "recognised" else own
                _measure(output, condition, told, {name: said.get(name, "") for name in names})
            with computing(device, params.precision):
                encoded = model.encode(list(own.values()))
            for name, frames in zip(own, encoded, strict=True):
                output.parts[condition].add(name, frames)
                output.gauges[condition][name] = gauges.of_text(dialogue[name], own[name], pairs)
            for name in names:
                if name not in own:
                    output.absent_under(condition, name, reasons.get(name, absence.NO_TEXT))
            done.add(1)
    output.save(features, index)


def _asked(params: Params) -> dict[Condition, tuple[str, float]]:
    """The conditions in the order of the results, each with its source and level."""
    found = {}
    for source, about in SOURCES.items():
        # the others are compared with the given words
        if source in params.words or source == "given":
            levels = params.unreliable.levels(source) if about.scale else [0.0]
            for level in levels:
                written = f"{level:g}" if about.scale else ""
                found[Condition(OTHER_WORDS, kind=source, level=written)] = (source, level)
    return found


def _words(path: Path, unsure: float) -> tuple[dict[str, str], dict[str, str]]:
    """The words of a shard's utterances, and why some have none; unsure ones only where a confidence is."""
    known = "words_confidence" in artefacts.load_table(path).columns
    _, texts, reasons = load_words(path, unsure if known else None)
    return texts, reasons


def _given(shard: Path) -> dict[str, str]:
    """What the corpus itself says was said: of a folder's videos without a transcript nothing."""
    table = artefacts.load_table(shard)
    if "words" in table.columns:
        table = table.filter(pl.col("words") == "given")
    return {name: text for name, text in table.select("utterance", "text").iter_rows() if text}


def _misheard(
    texts: Mapping[str, str],
    reasons: Mapping[str, str],
    level: float,
    seed: int,
    confusions: degradation.Confusions,
) -> tuple[dict[str, str], dict[str, str]]:
    """The words as P5 makes them at a word error rate; those of which nothing is left are not there."""
    found = {
        name: degradation.misheard(text, level, generator(seed, name, "misheard"), confusions)
        for name, text in texts.items()
    }
    return {name: text for name, text in found.items() if text.strip()}, dict(reasons)


def _measure(
    output: DegradedTable, condition: Condition, told: Mapping[str, str], heard: Mapping[str, str]
) -> None:
    """Note the word error rate of every utterance whose words are known, and log that of all together."""
    wrong = said = 0
    for name in (name for name in heard if name in told):
        count, words = degradation.errors(spoken(told[name]), spoken(heard[name]))
        if words:
            output.realised[condition][name] = count / words
            output.of[condition][name] = words
            wrong, said = wrong + count, said + words
    if said:
        log.info("%s: word error rate over the shard's test utterances %.3f", condition, wrong / said)


def spoken(text: str) -> str:
    """A text without what stands alone and is no word, such as a dash."""
    return " ".join(word for word in text.split() if degradation.bare(word))


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard", "heard*", "splits*", "encoder"), outputs=("features", "index"))
