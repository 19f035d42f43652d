"""Stage examples: the degraded media of a few test utterances, for the explorer to play and show."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from pydantic import Field

from models.conditions import COMPLETE, Condition
from models.modalities import MODALITIES
from pipeline.core import artefacts, media, stage
from pipeline.core.registries.degradations import HEARD
from pipeline.degradation import picture, words
from pipeline.degradation import sound as sounds
from pipeline.degradation.drawing import generator
from pipeline.extraction.crops import Crops
from pipeline.extraction.degraded import asked, heard_words, tested
from pipeline.extraction.degraded_sound import Listener, Row, changed, crowd, spoken_rows
from pipeline.extraction.shard import load_shard, load_words
from pipeline.extraction.sound import utterance_sound
from pipeline.reporting.embedded_media import jpeg, opus
from pipeline.settings.base import Settings
from pipeline.settings.encoders import AudioSettings
from pipeline.settings.media import MediaSettings
from pipeline.settings.unreliable import UnreliableSettings

log = logging.getLogger("pipeline")

CLEAN = str(COMPLETE)  # what stands for the medium as it is
Shown: TypeAlias = Iterator[tuple[str, str, str]]  # utterance, condition, what is shown of it


class Params(Settings):
    """Settings of the stage."""

    encoder: AudioSettings = AudioSettings()
    media: MediaSettings = MediaSettings()
    unreliable: UnreliableSettings = Field(UnreliableSettings(), description="what is done to the media")
    unsure: float | None = None  # as of the stage text


def run(
    params: Params,
    *,
    shard: Sequence[Path],
    spoken: Sequence[Path],
    words: Sequence[Path] = (),
    faces: Sequence[Path] = (),
    splits: Sequence[Path],
    examples: Path,
) -> None:
    """Write by utterance and modality what is played (Opus), shown (JPEG) or read under each condition.

    The utterances are the first `unreliable.examples` test utterances. shard, spoken, words and faces: of all
    shards, in one order; `words` only where `heard` is asked for, `faces` only where pictures are degraded. A
    modality that an utterance lacks, or that a condition takes away, is left out, as are heard words that
    are too unsure to be read.
    """
    found: dict[str, dict[str, dict[str, str]]] = {}
    for number, path in enumerate(shard):
        left = params.unreliable.examples - len(found)
        names = tested(path, splits)[:left] if left else []
        found |= {name: {} for name in names}
        for modality in (one for one in MODALITIES if names and asked(params.unreliable, one)):
            if modality == "audio":
                beside = [other for other in (shard[(number + 1) % len(shard)],) if other != path]
                made = _sounds(params, path, beside, splits, names)
            elif modality == "text":
                made = _words(params, spoken[number], words[number : number + 1], splits, names)
            else:
                made = _crops(params, path, faces[number], names)
            for name, condition, told in made:
                found[name].setdefault(modality, {})[condition] = told
    log.info("examples of %d utterances", len(found))
    artefacts.save_json(examples, found)


def _sounds(
    params: Params, shard: Path, beside: Sequence[Path], splits: Sequence[Path], names: Sequence[str]
) -> Shown:
    listener, conditions = Listener(params.media), asked(params.unreliable, "audio")
    tests = set(tested(shard, splits))
    own = [row for row in spoken_rows(shard) if row["utterance"] in tests]

    def hear(row: Row) -> np.ndarray:
        return utterance_sound(listener.whole(row["media"]), row, params.encoder, 1, Path(row["media"]))

    many = any(kind in sounds.MANY for kind, _ in conditions.values())
    voices = crowd(shard, beside, own, hear) if many else []
    for row in (row for row in own if row["utterance"] in names and row["withheld"] is None):
        try:
            clean = hear(row)
        except media.MediaAbsence:
            continue
        made = {CLEAN: clean}
        for condition, (kind, level) in conditions.items():
            piece, _ = changed(listener, kind, level, row, clean, seed=params.unreliable.seed, voices=voices)
            if media.level(piece) >= params.encoder.silence:
                made[str(condition)] = piece
        # one gain for all, so that none is clipped by being played and louder noise is louder
        most = max(float(np.abs(piece).max()) for piece in made.values())
        for name, piece in made.items():
            yield row["utterance"], name, opus(piece / max(1.0, most), media.SAMPLE_RATE)


def _crops(params: Params, shard: Path, faces: Path, names: Sequence[str]) -> Shown:
    found = Crops.load(faces, shard, load_shard(shard, ["utterance"])["utterance"].to_list())
    for one in found.chosen:
        if one.utterance not in names or one.reason is not None:
            continue
        middle = len(one.crops) // 2
        yield one.utterance, CLEAN, jpeg(one.crops[middle])
        for condition, (kind, level) in asked(params.unreliable, "visual").items():
            rng = generator(params.unreliable.seed, one.utterance, kind)
            crops = picture.degraded(kind, one.crops, int(level), rng)
            yield one.utterance, str(condition), jpeg(crops[middle])


def _words(
    params: Params, spoken: Path, heard: Sequence[Path], splits: Sequence[Path], names: Sequence[str]
) -> Shown:
    _, texts, _ = load_words(spoken, params.unsure)
    conditions = asked(params.unreliable, "text")
    confusions = words.Confusions(texts.values())
    recognised: list[Condition] = [name for name, (kind, _) in conditions.items() if kind == HEARD]
    known = heard_words(heard, recognised, tested(spoken, splits))
    for name in (name for name in names if name in texts):
        yield name, CLEAN, texts[name]
        for condition, (kind, level) in conditions.items():
            if kind == HEARD:
                told, confidence = known[str(condition), name]
                if params.unsure is not None and confidence is not None and confidence < params.unsure:
                    continue  # no network reads it
            else:
                rng = generator(params.unreliable.seed, name, kind)
                told = words.misheard(texts[name], level, rng, confusions)
            if told.strip():
                yield name, str(condition), told


if __name__ == "__main__":
    stage.main(
        run,
        Params,
        inputs=("shard*", "spoken*", "words*", "faces*", "splits*"),
        outputs=("examples",),
    )
