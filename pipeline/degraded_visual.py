"""Stage degraded_visual: the faces of test utterances, degraded in every way that is asked for, encoded.

Faces are not looked for again: what is degraded are the crops of the stage faces.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from pipeline.core import artefacts, stage
from pipeline.core.device import computing, prepare
from pipeline.core.errors import PipelineError
from pipeline.core.progress import Tally
from pipeline.core.registries import encoders
from pipeline.degradation import picture as degradation
from pipeline.degradation.drawing import generator
from pipeline.extraction import gauges
from pipeline.extraction.degraded import DegradedTable, asked, tested
from pipeline.extraction.shard import load_shard
from pipeline.settings.compute import EncodingSettings
from pipeline.settings.encoders import VisualSettings
from pipeline.settings.unreliable import UnreliableSettings


class Params(EncodingSettings):
    """Settings of the stage."""

    encoder: VisualSettings = VisualSettings()
    unreliable: UnreliableSettings = Field(UnreliableSettings(), description="what is done to the picture")


def run(
    params: Params,
    *,
    shard: Path,
    splits: Sequence[Path],
    faces: Path,
    encoder: Path,
    features: Path,
    index: Path,
) -> None:
    """Write the features of the shard's test utterances under every condition of the picture.

    An utterance without a face has none here. Raises PipelineError if the faces belong to another shard.
    """
    device = prepare(params.device, params.threads)
    names = load_shard(shard, ["utterance"])["utterance"].to_list()
    found = artefacts.load_table(faces / "utterances.parquet", ["utterance", "score", "reason", "crops"])
    boxes = artefacts.load_table(faces / "crops.parquet", ["utterance", "probability"])
    crops = artefacts.load_tensors(faces / "crops.safetensors", ["crops"])["crops"]
    counts = found["crops"].to_list()
    if found["utterance"].to_list() != names or sum(counts) != len(crops):
        raise PipelineError(
            f"{faces}: not the faces of {shard}. Delete the folder and rerun the stage faces."
        )
    batch = params.encoder.crops if device.type == "cuda" else params.encoder.batch
    settings = params.encoder.model_copy(update={"batch": batch})
    model = encoders.encoder("visual", encoder).load(encoder, settings, device)
    conditions = asked(params.unreliable, "visual")
    own = tested(shard, splits)
    output = DegradedTable(own, list(conditions), model.dimension)
    first = dict(zip(names, np.cumsum([0, *counts[:-1]]).tolist(), strict=True))
    reasons = dict(found.select("utterance", "reason").iter_rows())
    seen = [(name, first[name], count) for name, count in zip(names, counts, strict=True) if name in set(own)]
    for name, _, _ in seen:
        if reasons[name] is not None:
            output.absent(name, reasons[name])
    seen = [(name, low, count) for name, low, count in seen if reasons[name] is None]
    # what was known before a crop is degraded: faces are not looked for again
    sure, scores = boxes["probability"].to_list(), dict(found.select("utterance", "score").iter_rows())
    with Tally("conditions", len(conditions)) as done:
        for condition, (kind, level) in conditions.items():
            parts = []
            for name, low, count in seen:
                clean = crops[low : low + count]
                rng = generator(params.unreliable.seed, name, kind)
                parts.append(degradation.degraded(kind, clean, int(level), rng))
                output.realised[condition][name] = degradation.realised(kind, clean, parts[-1])
                told = gauges.of_faces(sure[low : low + count], scores[name], parts[-1])
                output.gauges[condition][name] = told
            with computing(device, params.precision):
                encoded = model.encode(np.concatenate([crops[:0], *parts]))
            edges = np.cumsum([0, *map(len, parts)])
            for (name, _, _), low, high in zip(seen, edges[:-1], edges[1:], strict=True):
                output.parts[condition].add(name, encoded[low:high])
            done.add(1)
    output.save(features, index)


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard", "splits*", "faces", "encoder"), outputs=("features", "index"))
