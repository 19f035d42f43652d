"""Stage: choose the donors of the conflict views once (docs/method.md, section "Protocols", P4).

Targets and donors are utterances of the test split, so no donor was ever trained on. One donor serves the
swaps of sound, of picture and of both.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from pydantic import Field

from pipeline.core import artefacts, stage
from pipeline.core.errors import PipelineError
from pipeline.settings.base import Settings
from pipeline.settings.protocol import ConflictSettings

log = logging.getLogger("pipeline")
KIND_STREAMS = {"different": 0, "same": 1, "shuffled": 2}
# regression: two scores this near count as the same
SAME_SCORE = 0.5


@dataclass(frozen=True)
class _Pairs:
    """Rows of targets and donors, and the label or score of every row of the dataset."""

    targets: np.ndarray
    donors: np.ndarray
    value: np.ndarray
    regression: bool


VIEWS = {"kind": pl.String, "draw": pl.Int16, "row": pl.Int32, "donor": pl.Int32, "reference": pl.Int32}


class Params(Settings):
    """Settings of the conflicts stage."""

    conflict: ConflictSettings = Field(ConflictSettings(), description="The conflict protocol, P4.")
    seed: int = Field(7, ge=0, description="Seed of the donors.")


def run(params: Params, *, dataset: Path, conflicts: Path) -> None:
    """Write one row a conflict view: `kind`, `draw`, `row`, `donor`, `reference`."""
    utterances = artefacts.load_table(
        dataset / "utterances.parquet", ["row", "dialogue", "split", "label", "score"]
    )
    available = artefacts.load_tensors(dataset / "features.safetensors", ["available"])["available"] > 0
    task = artefacts.load_json(dataset / "facts.json", ["task"])["task"]
    table = choose_donors(utterances, available, task, params.conflict, params.seed)
    artefacts.save_table(conflicts, table)


def choose_donors(
    utterances: pl.DataFrame, available: np.ndarray, task: str, settings: ConflictSettings, seed: int
) -> pl.DataFrame:
    """Conflict views of the test split.

    `available` is (U, 3). A target is labelled and has all three modalities; a donor is labelled, has both
    nonverbal ones and comes from another dialogue. `different` donors have another label (regression: a score
    at least `distance` away), `same` donors the same one (within 0.5), `shuffled` donors any. `reference` is
    the label whose rate is measured: the donor's, and for `shuffled` that of a further random utterance,
    whose rate is chance. Regression: 1 where that score is positive, 0 where negative, null at zero; a target
    whose true score is 0 is on neither side too, and counts for the rates but not for the accuracy.
    A target without a possible donor is left out; without any target the table is empty. Raises PipelineError
    if there are targets and nothing is left of a kind.
    """
    told = utterances["label" if task == "classification" else "score"].cast(pl.Float64)
    value = told.fill_null(np.nan).to_numpy()
    known = np.isfinite(value) & (value >= 0) if task == "classification" else np.isfinite(value)
    test = (utterances["split"] == "test").to_numpy() & known
    donors = np.flatnonzero(test & available[:, 1] & available[:, 2])
    targets = np.flatnonzero(test & available.all(axis=1))
    _, dialogue = np.unique(utterances["dialogue"].to_numpy(), return_inverse=True)
    apart = dialogue[targets][:, None] != dialogue[donors][None, :]
    distance = np.abs(value[targets][:, None] - value[donors][None, :])
    least, most = (0.5, 0.5) if task == "classification" else (settings.distance, SAME_SCORE)
    allowed = {"different": apart & (distance >= least), "same": apart & (distance < most), "shuffled": apart}
    pairs = _Pairs(targets, donors, value, task == "regression")
    if not len(targets):
        # a modality that the corpus lacks altogether leaves nothing to swap
        log.info("no test utterance has all three modalities: there are no conflict views")
        return pl.DataFrame(schema=VIEWS)
    frames = []
    for kind in settings.kinds:
        if not allowed[kind].any():
            raise PipelineError(
                f"conflict kind {kind!r}: none of {len(targets)} complete test utterances has a donor in "
                "another test dialogue. Enlarge the test split, or take it out of protocol.conflict.kinds."
            )
        for draw in range(settings.draws):
            rng = np.random.default_rng([seed, KIND_STREAMS[kind], draw])
            frames.append(_draw(kind, draw, pairs, allowed[kind], rng))
        log.info("conflict %s: %d of %d targets have a donor", kind, frames[-1].height, len(targets))
    return pl.concat(frames)


def _draw(kind: str, draw: int, pair: _Pairs, allowed: np.ndarray, rng: np.random.Generator) -> pl.DataFrame:
    """One donor a target, each allowed one with the same chance."""
    chance = np.where(allowed, rng.random(allowed.shape, dtype=np.float32), np.float32(-1))
    first = chance.argmax(axis=1)
    source, needed = first, 1
    if kind == "shuffled":
        # the runner-up is the further utterance, so it takes two to serve a target
        chance[np.arange(len(first)), first] = -1
        source, needed = chance.argmax(axis=1), 2
    has = allowed.sum(axis=1) >= needed
    targets, donor = pair.targets[has], pair.donors[first[has]]
    reference = pl.Series(pair.value[pair.donors[source[has]]], dtype=pl.Float64)
    if pair.regression:
        reference = reference.sign().replace_strict({1.0: 1, -1.0: 0, 0.0: None}, return_dtype=pl.Int32)
    columns = {
        "kind": [kind] * len(targets),
        "draw": np.full(len(targets), draw),
        "row": targets,
        "donor": donor,
        "reference": reference.cast(pl.Int32),
    }
    return pl.DataFrame(columns, schema=VIEWS)


if __name__ == "__main__":
    stage.main(run, Params, inputs=("dataset",), outputs=("conflicts",))
