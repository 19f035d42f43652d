"""Stage degraded_visual: the faces of test utterances, degraded in every way that is asked for, encoded.

Faces are not looked for again: what is degraded are the crops of the stage faces.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from models.conditions import Condition
from pipeline.core import stage
from pipeline.core.device import computing, prepare
from pipeline.degradation import picture as degradation
from pipeline.degradation.drawing import generator
from pipeline.extraction import gauges
from pipeline.extraction.crops import Crops, loaded
from pipeline.extraction.degraded import DegradedTable, asked, one_by_one, tested
from pipeline.extraction.shard import load_shard
from pipeline.reruns.partial import Pieces, run_digest
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

    An utterance without a face has none here. An interrupted shard goes on, a condition a piece. Raises
    PipelineError if the faces belong to another shard.
    """
    device = prepare(params.device, params.threads)
    names = load_shard(shard, ["utterance"])["utterance"].to_list()
    found = Crops.load(faces, shard, names)
    model, _ = loaded(encoder, params.encoder, device)
    conditions = asked(params.unreliable, "visual")
    tests = set(tested(shard, splits))
    own = [one for one in found.chosen if one.utterance in tests]
    seen = [one for one in own if one.reason is None]

    def make(condition: Condition, kind: str, level: float) -> DegradedTable:
        table = DegradedTable([one.utterance for one in own], [condition], model.dimension)
        for one in own:
            if one.reason is not None:
                table.absent(one.utterance, one.reason)
        parts = []
        for one in seen:
            rng = generator(params.unreliable.seed, one.utterance, kind)
            parts.append(degradation.degraded(kind, one.crops, int(level), rng))
            table.realised[condition][one.utterance] = degradation.realised(kind, one.crops, parts[-1])
            # the detections are those from before a crop is degraded
            told = gauges.of_faces(one.probability, one.score, parts[-1])
            table.gauges[condition][one.utterance] = told
        with computing(device, params.precision):
            encoded = model.encode(np.concatenate([found.crops[:0], *parts]))
        edges = np.cumsum([0, *map(len, parts)])
        for one, low, high in zip(seen, edges[:-1], edges[1:], strict=True):
            table.parts[condition].add(one.utterance, encoded[low:high])
        return table

    digest = run_digest(
        "pipeline.degraded_visual",
        params.model_dump(mode="json"),
        [shard, *splits, faces, encoder],
        device.type,
        also=[type(model).__module__],
    )
    pieces = Pieces(features, digest)
    output = DegradedTable([one.utterance for one in own], list(conditions), model.dimension)
    one_by_one(output, conditions, pieces, make)
    output.save(features, index)
    pieces.clear()


if __name__ == "__main__":
    stage.main(run, Params, inputs=("shard", "splits*", "faces", "encoder"), outputs=("features", "index"))
