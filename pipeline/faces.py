"""Stage faces: find the speaker's face of every utterance and cut aligned crops."""

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import polars as pl

from pipeline.core import artefacts, media, stage
from pipeline.core.device import prepare
from pipeline.core.progress import Tally
from pipeline.core.registries import choices, detectors, encoders
from pipeline.extraction.casting import casting
from pipeline.extraction.faces import CROPS, absent
from pipeline.extraction.shard import check_generated, load_shard
from pipeline.extraction.together import Rows, of_pieces
from pipeline.reruns.partial import Piece, Pieces, in_pieces, run_digest
from pipeline.settings.compute import ComputeSettings
from pipeline.settings.faces import FacesSettings
from pipeline.settings.media import MediaSettings

log = logging.getLogger("pipeline")

PIECE = 16  # utterances, at least, that are kept together if the stage is interrupted
BATCHED = 16  # times as many where pictures of many files are looked at together


class Params(ComputeSettings):
    """Settings of the stage."""

    faces: FacesSettings = FacesSettings()
    media: MediaSettings = MediaSettings()


UTTERANCES = {
    "utterance": pl.String,
    "frames": pl.Int32,
    "found": pl.Int32,
    "cuts": pl.Int32,
    "faces": pl.Int32,
    "people": pl.Int32,
    "track": pl.Int32,
    "score": pl.Float32,
    "crops": pl.Int32,
    "reason": pl.String,
}


def _stacked(crops: list[np.ndarray], settings: FacesSettings) -> np.ndarray:
    return np.stack(crops) if crops else np.zeros((0, settings.crop_size, settings.crop_size, 3), np.uint8)


def _in_order(crops: dict[str, list[np.ndarray]], order: list[str], settings: FacesSettings) -> np.ndarray:
    """One array of all crops; `crops` is emptied, so that they are in memory about once."""
    count = sum(len(own) for own in crops.values())
    array = np.zeros((count, settings.crop_size, settings.crop_size, 3), np.uint8)
    first = 0
    for name in order:
        for pixels in crops.pop(name, []):
            array[first] = pixels
            first += 1
    return array


def run(
    params: Params,
    *,
    shard: Path,
    folder: Path,
    encoder: Path | None = None,
    chooser: Path | None = None,
    cores: int = 1,
) -> None:
    """Find, choose and cut the faces of one shard; an interrupted shard goes on by pieces.

    encoder: folder of the visual encoder, by which tracks are linked across cuts (faces.link); chooser: of
    the network that chooses the speaker (faces.choice); cores: of the job; as many files are worked on side
    by side as have `threads` of them each.
    """
    device = prepare(params.device, params.threads)
    cv2.setNumThreads(params.threads)
    detector = detectors.detector(params.faces.detector).load(params.faces, device)
    cast = casting(params.faces, device, encoder, chooser)
    check_generated(shard)
    table = load_shard(shard, ["utterance", "media", "start", "end", "crop", "withheld"])
    used = table.filter(pl.col("withheld").is_null())
    kept_back = table.filter(pl.col("withheld").is_not_null()).to_dicts()
    files = [group.to_dicts() for group in used.partition_by("media", maintain_order=True)]

    workers = max(1, cores // params.threads)

    def found(todo: list[list[Rows]]) -> Iterator[Piece]:
        for piece in of_pieces(todo, detector, params.media, workers, cast):
            crops = [pixels for file in piece for pixels in file.crops]
            utterances = [row for file in piece for row in file.utterances]
            boxes = [row for file in piece for row in file.boxes]
            yield {"crops": _stacked(crops, params.faces)}, {"utterances": utterances, "boxes": boxes}

    inputs = [shard, *(Path(rows[0]["media"]) for rows in files)]
    settings = params.model_dump(mode="json")
    also = [detectors.DETECTORS[params.faces.detector]]
    if cast.judge is not None:
        also.append(choices.CHOICES[params.faces.choice])
    if chooser is not None:
        inputs.append(chooser)
    if cast.link is not None and encoder is not None:
        inputs.append(encoder)
        also += encoders.modules("visual")
    pieces = Pieces(folder, run_digest("pipeline.faces", settings, inputs, device.type, also=also))
    utterances: dict[str, dict] = {row["utterance"]: absent(row, row["withheld"]) for row in kept_back}
    crop_rows: dict[str, list[dict]] = {}
    crops: dict[str, list[np.ndarray]] = {}
    tasks = in_pieces(files, PIECE * BATCHED if detector.batches else PIECE)
    with Tally("utterances", len(used)) as done, closing(pieces.streamed(tasks, found)) as made:
        for arrays, told in made:
            utterances |= {row["utterance"]: row for row in told["utterances"]}
            for row, pixels in zip(told["boxes"], arrays["crops"], strict=True):
                crop_rows.setdefault(row["utterance"], []).append(row)
                crops.setdefault(row["utterance"], []).append(pixels)
            done.add(len(told["utterances"]), sum(row["reason"] is not None for row in told["utterances"]))
    asked = used["utterance"].to_list()
    media.check_readable(used["media"].to_list(), [utterances[name]["reason"] for name in asked])
    order = table["utterance"].to_list()
    array = _in_order(crops, order, params.faces)
    with artefacts.replacing_folder(folder) as target:
        artefacts.save_tensors(target / "crops.safetensors", {"crops": array})
        boxes = [row for name in order for row in crop_rows.get(name, [])]
        artefacts.save_table(target / "crops.parquet", pl.DataFrame(boxes, schema=CROPS))
        facts = pl.DataFrame([utterances[name] for name in order], schema=UTTERANCES)
        artefacts.save_table(target / "utterances.parquet", facts)
    pieces.clear()
    absences = facts["reason"].drop_nulls().value_counts(sort=True).iter_rows()
    log.info("%d utterances, %d crops, absent: %s", len(order), len(array), dict(absences))


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard", "encoder?", "chooser?"), outputs=("folder",), cores=True)
