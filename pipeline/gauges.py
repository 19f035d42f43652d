"""Stage gauges: how reliable the words, the sound and the face of every utterance of a shard look."""

from pathlib import Path

import numpy as np
import polars as pl

from models.modalities import MODALITIES
from pipeline.core import artefacts, stage
from pipeline.core.errors import PipelineError
from pipeline.core.progress import Tally
from pipeline.core.registries.gauges import GAUGES, table_name
from pipeline.extraction import gauges as measures
from pipeline.extraction.shard import check_generated, load_shard
from pipeline.extraction.sound import heard
from pipeline.settings.base import Settings
from pipeline.settings.encoders import AudioSettings
from pipeline.settings.media import MediaSettings


class Params(Settings):
    """Settings of the stage: those by which the sound of an utterance is there or absent."""

    encoder: AudioSettings = AudioSettings()
    media: MediaSettings = MediaSettings()


def run(params: Params, *, shard: Path, faces: Path, gauges: Path) -> None:
    """Write one row an utterance: `utterance` and a column a gauge, null where it is not known.

    Raises PipelineError if the faces belong to another shard.
    """
    check_generated(shard)
    table = load_shard(shard, ["utterance", "text", "media", "start", "end", "withheld"])
    dialogues = artefacts.load_table(shard, {"utterance": pl.String, "dialogue": pl.String})
    rows = table.join(dialogues, on="utterance", maintain_order="left").to_dicts()
    found: dict[str, dict[str, np.ndarray]] = {name: {} for name in MODALITIES}
    told = [row for row in rows if row["text"] is not None and row["text"].strip()]
    pairs = measures.Pairs((row["dialogue"], row["text"]) for row in told)
    for row in told:
        found["text"][row["utterance"]] = measures.of_text(row["dialogue"], row["text"], pairs)
    used = table.filter(pl.col("withheld").is_null())
    with Tally("utterances", len(used)) as done:
        for group in used.partition_by("media", maintain_order=True):
            sounds = heard(group.to_dicts(), params.encoder, params.media, 1)
            for name, samples in sounds.sounds:
                found["audio"][name] = measures.of_sound(samples)
            done.add(len(group), len(sounds.reasons))
    found["visual"] = _of_faces(shard, faces, [row["utterance"] for row in rows])
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


def _of_faces(shard: Path, faces: Path, names: list[str]) -> dict[str, np.ndarray]:
    """By utterance that has a face."""
    chosen = artefacts.load_table(faces / "utterances.parquet", ["utterance", "score", "reason", "crops"])
    boxes = artefacts.load_table(faces / "crops.parquet", ["utterance", "probability"])
    crops = artefacts.load_tensors(faces / "crops.safetensors", ["crops"])["crops"]
    if chosen["utterance"].to_list() != names or len(boxes) != len(crops):
        raise PipelineError(
            f"{faces}: not the faces of {shard}. Delete the folder and rerun the stage faces."
        )
    probability, first, found = boxes["probability"].to_list(), 0, {}
    for name, score, reason, count in chosen.select("utterance", "score", "reason", "crops").iter_rows():
        last = first + count
        if reason is None:
            found[name] = measures.of_faces(probability[first:last], score, crops[first:last])
        first = last
    return found


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard", "faces"), outputs=("gauges",))
