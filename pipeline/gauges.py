"""Stage gauges: how reliable the words, the sound and the face of every utterance of a shard look."""

from pathlib import Path

import numpy as np
import polars as pl

from models.modalities import MODALITIES
from pipeline.core import artefacts, stage
from pipeline.core.progress import Tally
from pipeline.core.registries.gauges import GAUGES, table_name
from pipeline.extraction import gauges as measures
from pipeline.extraction.crops import Crops
from pipeline.extraction.shard import check_generated, load_confidence, load_shard, load_words
from pipeline.extraction.sound import heard
from pipeline.settings.base import Settings
from pipeline.settings.encoders import AudioSettings
from pipeline.settings.media import MediaSettings


class Params(Settings):
    """Settings of the stage: those by which the sound or the words of an utterance are there or absent."""

    encoder: AudioSettings = AudioSettings()
    media: MediaSettings = MediaSettings()
    unsure: float | None = None  # as of the stage text


def run(params: Params, *, shard: Path, faces: Path, gauges: Path) -> None:
    """Write one row an utterance: `utterance` and a column a gauge, null where it is not known.

    Recognised words that are not sure are absent, so nothing of them is measured.

    Raises PipelineError if the faces belong to another shard.
    """
    check_generated(shard)
    table = load_shard(shard, ["utterance", "media", "start", "end", "withheld"])
    dialogues = artefacts.load_table(shard, {"utterance": pl.String, "dialogue": pl.String})
    rows = table.join(dialogues, on="utterance", maintain_order="left").to_dicts()
    found: dict[str, dict[str, np.ndarray]] = {name: {} for name in MODALITIES}
    _, texts, _ = load_words(shard, params.unsure)
    dialogue, sure = dict(dialogues.iter_rows()), load_confidence(shard, params.unsure)
    pairs = measures.Pairs((dialogue[name], text) for name, text in texts.items())
    for name, text in texts.items():
        found["text"][name] = measures.of_text(dialogue[name], text, pairs, sure.get(name))
    used = table.filter(pl.col("withheld").is_null())
    with Tally("utterances", len(used)) as done:
        for group in used.partition_by("media", maintain_order=True):
            sounds = heard(group.to_dicts(), params.encoder, params.media, 1)
            for name, samples in sounds.sounds:
                found["audio"][name] = measures.of_sound(samples)
            done.add(len(group), len(sounds.reasons))
    for one in Crops.load(faces, shard, [row["utterance"] for row in rows]).chosen:
        if one.reason is None:
            found["visual"][one.utterance] = measures.of_faces(one.probability, one.score, one.crops)
    unknown = {name: np.full(len(own), np.nan) for name, own in GAUGES.items()}
    columns: dict[str, list[str] | pl.Series] = {"utterance": [row["utterance"] for row in rows]}
    for modality, own in GAUGES.items():
        values = np.array(
            [found[modality].get(row["utterance"], unknown[modality]) for row in rows], np.float32
        ).reshape(len(rows), len(own))
        for place, gauge in enumerate(own):
            name = table_name(modality, gauge)
            columns[name] = pl.Series(values[:, place], dtype=pl.Float32).fill_nan(None)
    artefacts.save_table(gauges, pl.DataFrame(columns))


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard", "faces"), outputs=("gauges",))
