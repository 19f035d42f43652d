"""Stage: search the settings of one variant, on the validation split alone (docs/method.md, Search).

Every trial trains the variant with each seed of the search and scores it by the validation mix that also
chooses epochs; the test split is never read. The first trial is what the config says already, so a search
never ends below it. What was tried and what was best are artefacts; nothing takes them over by itself.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import optuna
import polars as pl
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import TPESampler
from pydantic import Field, ValidationError

from pipeline.core import artefacts, stage
from pipeline.core.device import prepare
from pipeline.core.errors import PipelineError
from pipeline.core.registries.networks import NETWORKS
from pipeline.reruns.partial import PartialFolder, run_digest
from pipeline.settings.base import Settings
from pipeline.settings.compute import ComputeSettings
from pipeline.settings.search import Choices, Range, Space, networks_tried
from pipeline.training.dialogues import Dataset
from pipeline.training.networks import as_read_by
from pipeline.training.student import StudentSettings, train

log = logging.getLogger("pipeline")


class Params(ComputeSettings, StudentSettings):
    """Settings of one search; those of a student are where it begins."""

    space: Space = Field(min_length=1, description="What is searched, by key")
    trials: int = Field(24, ge=1, description="Settings tried")
    random: int = Field(8, ge=1, description="Of these, drawn before the sampler learns")
    seeds: list[int] = Field([0], min_length=1, description="Training seeds a trial")
    seed: int = Field(0, ge=0, description="Seed of the sampler")


def run(
    params: Params,
    *,
    dataset: Path,
    masks: Path,
    references: list[Path],
    teacher: list[Path],
    trials: Path,
    best: Path,
    names: Sequence[Path] = (),
    trust: Sequence[Path] = (),
) -> None:
    """Write one row a trial, and the best trial with the space that it was chosen from.

    `references` holds, for each kind that a trial may ask for, one file a seed in the order of the seeds;
    `teacher` one file a seed, or none; `names` one file of the labels' names, or none;
    `trust` one file of reliability inputs if some trial's network reads them, or none. A search that was
    interrupted goes on after its last whole trial.
    """
    device = prepare(params.device, params.threads)
    data = Dataset.load(dataset)
    stored = by_kind(references)
    digest = run_digest(
        "pipeline.search",
        params.model_dump(mode="json"),
        [dataset, masks, *references, *teacher, *names, *trust],
        device.type,
        also=[NETWORKS[name] for name in networks_tried(params.network.name, params.objective, params.space)],
    )
    resume = PartialFolder(trials, digest)

    def score(values: Mapping[str, object]) -> dict[str, float]:
        chosen = with_values(params, values)
        wanted = stored.get(chosen.objective.references, [])
        scores = []
        for place, seed in enumerate(params.seeds):
            own = StudentSettings(
                network=chosen.network, training=chosen.training, objective=chosen.objective, seed=seed
            )
            files = (wanted[place : place + 1], teacher[place : place + 1])
            read = as_read_by(own.own_network.name, data, trust)
            _, done = train(own, read, masks, *files, device, names=names)
            scores.append(done.history[done.selected - 1])
        return {
            name: float(np.mean([row[name] for row in scores]))
            for name in scores[0]
            if name.startswith("val")
        }

    rows = search(params, score, resume)
    finish(params, rows, trials=trials, best=best)
    resume.clear()


def by_kind(references: list[Path]) -> dict[str, list[Path]]:
    """The references files by their kind, in the order given."""
    found: dict[str, list[Path]] = {}
    for path in references:
        found.setdefault(artefacts.load_metadata(path).get("references", ""), []).append(path)
    return found


def search(
    params: Params, score: Callable[[Mapping[str, object]], Mapping[str, float]], resume: PartialFolder
) -> list[dict]:
    """All trials: `number`, `values` by key, and the validation scores. `score` maps values to scores."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = {key: distribution(values) for key, values in params.space.items()}
    study = optuna.create_study(direction="maximize")
    state = resume.folder / "trials.json"
    rows = artefacts.load_json(state)["trials"] if state.exists() else []
    for row in rows:
        study.add_trial(
            optuna.trial.create_trial(params=row["values"], distributions=space, value=row["validation"])
        )
    if rows:
        log.info("resumed after trial %d", len(rows))
    for number in range(len(rows), params.trials):
        # a sampler of its own for each trial, so that a resumed search draws what an uninterrupted one does
        study.sampler = TPESampler(
            seed=int(np.random.SeedSequence([params.seed, number]).generate_state(1)[0]),
            n_startup_trials=params.random,
            multivariate=True,
        )
        if number == 0:
            study.enqueue_trial(present(params))
        trial = study.ask(space)
        row = {"number": number, "values": dict(trial.params), **score(trial.params)}
        study.tell(trial, row["validation"])
        rows.append(row)
        artefacts.save_json(state, {"trials": rows})
        log.info("trial %d of %d: %.4f with %s", number + 1, params.trials, row["validation"], row["values"])
    return rows


def finish(params: Params, rows: list[dict], *, trials: Path, best: Path) -> None:
    """Write the table of trials and the best of them; of equal ones the earlier."""
    top = max(rows, key=lambda row: (row["validation"], -row["number"]))
    scores = [name for name in rows[0] if name.startswith("val") and name != "values"]
    table = pl.DataFrame(
        [
            {
                "number": row["number"],
                **{name: row[name] for name in scores},
                **{key: row["values"][key] for key in params.space},
            }
            for row in rows
        ],
        strict=False,
        infer_schema_length=None,
    )
    artefacts.save_table(trials, table)
    facts = {
        "space": params.model_dump(mode="json")["space"],
        "trials": params.trials,
        "random": params.random,
        "seeds": params.seeds,
        "sampler": f"TPE, seed {params.seed}",
        "start": {name: rows[0][name] for name in ("values", *scores)},
        "best": {name: top[name] for name in ("number", "values", *scores)},
    }
    artefacts.save_json(best, facts)
    log.info("best of %d: trial %d, %.4f", len(rows), top["number"] + 1, top["validation"])


def distribution(values: Range | Choices) -> BaseDistribution:
    """Optuna's distribution of one key."""
    if isinstance(values, Range):
        if values.kind == "int":
            return IntDistribution(round(values.low), round(values.high))
        return FloatDistribution(values.low, values.high, log=values.kind == "log")
    return CategoricalDistribution(values)


def present(params: Params) -> dict[str, object]:
    """What the settings say now of the searched keys.

    Raises PipelineError if a key does not exist, or if its present value is null or outside its space.
    """
    found = {}
    for key, values in params.space.items():
        place: object = params
        for part in key.split("."):
            place = getattr(place, part, Settings())
        if isinstance(place, Settings):
            raise PipelineError(f"search: there is no setting {key!r}. Name a key of config.yaml's sections.")
        if place is None:
            raise PipelineError(
                f"search, key {key!r}: its present value is null, and a search begins at the settings. "
                "Give it a value within its space."
            )
        inside = (
            isinstance(place, int | float) and values.low <= place <= values.high
            if isinstance(values, Range)
            else list(place) in values
            if isinstance(place, tuple)
            else place in values
        )
        if not inside:
            raise PipelineError(
                f"search, key {key!r}: its present value {place!r} lies outside its space {values}. "
                "Widen the space, so that the search can compare with what is there."
            )
        found[key] = place
    return found


def with_values(params: Params, values: Mapping[str, object]) -> Params:
    """The settings with some keys (dotted) replaced.

    Raises PipelineError naming the key if a value is not allowed there.
    """
    plain = params.model_dump(mode="json")
    for key, value in values.items():
        *folders, name = key.split(".")
        place = plain
        for part in folders:
            place = place[part]
        place[name] = value
    try:
        return Params.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        # what concerns several sections has no place of its own
        key = ".".join(str(part) for part in first["loc"]) or ", ".join(values)
        raise PipelineError(
            f"search, key {key!r}: {first['msg']} (tried {first['input']!r}). Narrow its space in the config."
        ) from error


if __name__ == "__main__":
    stage.main(
        run,
        Params,
        inputs=("dataset", "masks", "references*", "teacher*", "names*", "trust*"),
        outputs=("trials", "best"),
    )
