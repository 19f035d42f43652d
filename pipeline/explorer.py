"""Stage: one page on which every test utterance can be read under every condition, without a network."""

import json
from collections.abc import Sequence
from pathlib import Path

import vl_convert
from pydantic import Field

from models.modalities import MODALITIES
from pipeline.core import artefacts, stage
from pipeline.core.errors import PipelineError
from pipeline.evaluation.answers import load_answers, load_truth
from pipeline.evaluation.protocol import Frozen
from pipeline.evaluation.results import marks
from pipeline.reporting.explorer_page import (
    HIGH,
    LOW,
    NONE,
    TOP,
    charts,
    encoded,
    students,
    texts,
    utterances,
    views,
)
from pipeline.settings.base import Settings


class Params(Settings):
    """Settings of the explorer stage."""

    run: str = Field("run", description="Name of the run, for the heading.")
    reference: str = Field("corekd", min_length=1, description="Student that is shown first.")


def run(
    params: Params,
    *,
    dataset: list[Path],
    masks: list[Path],
    conflicts: list[Path],
    unreliable: Sequence[Path] = (),
    examples: Sequence[Path] = (),
    predictions: list[Path],
    manifest: Path,
    heard: Sequence[Path] = (),
    template: Path,
    page: Path,
) -> None:
    """Write the page: `template` with the data, the charts and Vega put in.

    heard: the recognised words of all shards, where networks read those. The networks are those of the first
    seed; of P3 and P4 the first draw is shown. examples: the degraded media of some utterances (stage
    examples), or none. Raises PipelineError if no prediction is given or the template lacks a place.
    """
    if not predictions:
        raise PipelineError("--predictions: no file was given. Evaluate at least one variant.")
    truth = load_truth(dataset, conflicts)
    seed = min(int(path.stem) for path in predictions)
    answers = [
        found
        for found in load_answers([path for path in predictions if int(path.stem) == seed], truth)
        if found.checkpoint == "selected"
    ]
    told = utterances(dataset, manifest, heard)
    degraded: list[Path | None] = [*unreliable] or [None] * len(dataset)
    frozen = [Frozen.load(*paths) for paths in zip(dataset, masks, conflicts, degraded, strict=True)]
    order = told["place"].to_numpy()
    note = f"Networks of seed {seed}; of random missing and of conflict the first draw."
    data = {
        "run": params.run,
        "reference": params.reference,
        "note": " ".join([note, *marks(found.variant for found in answers)]),
        "modalities": MODALITIES,
        "labels": list(truth.labels) if truth.task == "classification" else [],
        **{"top": TOP, "none": NONE, "low": LOW, "high": HIGH},
        **texts(told, truth),
        **views(frozen, order, answers[0], truth.task == "classification"),
        **students(answers),
        "examples": {name: own for path in examples for name, own in artefacts.load_json(path, []).items()},
        "answers": {found.variant: encoded(found, truth, order) for found in answers},
    }
    text = template.read_text(encoding="utf-8")
    # the data come last: what stands in them is no mark
    parts = {
        "@@SPECS@@": json.dumps(charts(truth)).replace("<", "\\u003c"),
        # its stub asks for what may be left out
        "@@VEGA@@": vl_convert.javascript_bundle().replace(  # type: ignore[call-arg]
            "</script", "<\\/script"
        ),
        # "<" stands in JSON within strings only; no script may end before its element does
        "@@DATA@@": json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"),
    }
    for mark, part in parts.items():
        if mark not in text:
            raise PipelineError(f"{template}: lacks the place {mark}. Restore the file from the repository.")
        text = text.replace(mark, part)
    artefacts.save_text(page, text)


if __name__ == "__main__":
    stage.main(
        run,
        Params,
        inputs=(
            *("dataset*", "masks*", "conflicts*", "unreliable*", "examples*"),
            *("predictions*", "manifest", "heard*", "template"),
        ),
        outputs=("page",),
    )
