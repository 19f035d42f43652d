"""The model card of an exported model: what it is, what was measured, what it is for and what it is not."""

from collections.abc import Mapping

import polars as pl

from models.conditions import Condition
from pipeline.annotation.facts import ModelFacts
from pipeline.evaluation.families import headlines
from pipeline.evaluation.protocols.conflict import MAIN
from pipeline.evaluation.results import Cell, Results, ordered, title
from pipeline.reporting.summary import OWN
from pipeline.reporting.units import shown
from pipeline.settings.encoders import WeightsSettings

CONTEXT = """\
## Intended use

Research on emotion recognition in conversations when words, sound or picture are missing or misleading: to
annotate one's own recordings for inspection, and to compare methods.

## Limits

- It names what a labeller would call an utterance, not what a person feels.
- It knows the people, the language, the cameras and the labels of its corpus. On others its probabilities
  are not calibrated and may be far off; measure it on labelled data of your own before any use.
- Where a modality is missing it judges by what is left and by the neighbouring utterances; the column
  `modalities` of every output says what was read.
- Without a transcript, utterances are found by a voice-activity network, and all are taken for one speaker's.
- Not for decisions about people: hiring, grading, policing, medicine, or surveillance of any kind.
"""


def model_card(facts: ModelFacts, results: Results, own: pl.DataFrame, metric: str, epoch: int) -> str:
    """The card as Markdown.

    results: of the run that the model comes from; own: the rows of scores.parquet of this very network.
    """
    parts = [f"# {title(facts.variant)}, seed {facts.seed}, corpus {facts.corpus}"]
    if facts.notice:
        parts.append(f"**{facts.notice}**")
    outputs = f"{len(facts.labels)} classes: {', '.join(facts.labels)}" if facts.labels else "one score"
    parts.append(
        f"A network that reads {', '.join(facts.shown)} of every utterance of a conversation and gives "
        f"{outputs}. Variant `{facts.variant}` of run `{facts.run}`, fold `{facts.fold}`, seed {facts.seed}, "
        f"epoch {epoch}, chosen on the validation split. {OWN}"
    )
    parts += [measured(facts, results, own, metric), CONTEXT.rstrip(), encoders(facts), use(facts)]
    return "\n\n".join(parts) + "\n"


def measured(facts: ModelFacts, results: Results, own: pl.DataFrame, metric: str) -> str:
    """The table of the test split: this network, its variant over all seeds, and the rows to compare with."""
    header = ["", *headlines().values(), "conflict", "donor-label bias"]
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    columns = [*((condition, metric) for condition in headlines())]
    # under conflict nothing else is measured; of a regression it is the accuracy of the sign
    columns += [(MAIN, "accuracy"), (MAIN, "donor_bias")]
    values = {(row["condition"], row["metric"]): row["value"] for row in own.iter_rows(named=True)}
    cells = [_plain(values, condition, name) for condition, name in columns]
    several = len(results.folds) > 1
    mine = f"seed {facts.seed}, fold {facts.fold}" if several else f"seed {facts.seed}"
    lines.append(f"| **this model ({mine})** | " + " | ".join(cells) + " |")
    for variant in ordered(results):
        row = [
            shown(results.cell(variant, condition, name), name, interval=False) for condition, name in columns
        ]
        every = f"{title(variant)}, all seeds{' and folds' if several else ''}"
        name = every if variant == facts.variant else title(variant)
        lines.append(f"| {name} | " + " | ".join(row) + " |")
    over = (
        f"mean ± standard deviation over {len(results.seeds)} seeds" if len(results.seeds) > 1 else "one seed"
    )
    sign = "" if facts.labels else " of the sign"
    other = "another label" if facts.labels else "a distant score"
    note = (
        f"Measured on the test split of the corpus `{facts.corpus}`: {metric} (conflict: accuracy{sign}), "
        f"shares in percent, {over}. Fixed and random are means over the missing-modality conditions. "
        f"Conflict: sound and picture come from another utterance with {other}; the donor-label bias{sign} "
        "should be 0."
    )
    if several:
        note += (
            f" The first row is of the test utterances of the fold {facts.fold} alone; every other row pools "
            f"those of all folds ({', '.join(results.folds)})."
        )
    return "\n".join(["## Measured", "", *lines, "", " ".join([note, *results.notes])])


def _plain(values: Mapping[tuple[str, str], float], condition: Condition, metric: str) -> str:
    value = values.get((str(condition), metric))
    return shown(None if value is None else Cell(value), metric)


def encoders(facts: ModelFacts) -> str:
    """Which encoders made the features."""
    lines = ["## Encoders", ""]
    for name in facts.modalities:
        own = facts.encoders[name]
        if own.source == "included":
            lines.append(f"- {name}: a stand-in of the run, included in `encoders/{name}`.")
        elif own.weights is None:
            lines.append(f"- {name}: features that were extracted elsewhere.")
        else:
            lines += _public(name, own.weights, own.files)
    if facts.chooser.weights is not None:
        lines += _public("which face speaks", facts.chooser.weights, facts.chooser.files)
    used = [*(facts.encoders[name] for name in facts.modalities), facts.chooser]
    if any(own.source == "public" for own in used):
        lines += ["", "The first use names the command that fetches what is not included."]
    return "\n".join(lines)


def _public(what: str, weights: WeightsSettings, files: Mapping[str, str]) -> list[str]:
    """Which public weights are to be fetched, and what they must be."""
    pins = weights.files | {name: digest for name, digest in files.items() if name.endswith(".safetensors")}
    return [
        f"- {what}: `{weights.name}` at revision `{weights.revision}`, not included:",
        *(f"    - `{file}` SHA-256 `{digest}`" for file, digest in sorted(pins.items())),
    ]


def use(facts: ModelFacts) -> str:
    """How it is loaded."""
    if facts.encoders["text"].source == "none":
        code = "probabilities = model.predict(features, available)"
    else:
        code = 'table = model.annotate(Path("talk.mp4"), out=Path("annotated"))'
    lines = ["from pathlib import Path", "from pipeline.model import load", ""]
    lines += ['model = load(Path("."))  # this folder', code]
    return "\n".join(["## Use", "", "```python", *lines, "```"])
