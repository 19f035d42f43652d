"""Stage: the tables that people read, as Markdown, HTML, LaTeX and CSV, and a summary for the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from models.conditions import Condition
from pipeline.core import artefacts, stage
from pipeline.evaluation.families import coinciding, headlines, registered
from pipeline.evaluation.protocol import Frozen
from pipeline.evaluation.results import Results
from pipeline.reporting.absence_table import absences_table
from pipeline.reporting.comparison_tables import (
    bar_table,
    classes_table,
    comparisons_table,
    distillation_table,
    metrics_table,
    oracle_table,
    regret_table,
)
from pipeline.reporting.corpus_table import census_table
from pipeline.reporting.markup import Table, write
from pipeline.reporting.pages import writing_pages
from pipeline.reporting.protocol_tables import condition_table, conflict_table, controls_table, main_table
from pipeline.reporting.summary import OWN, Context, few_seeds, summary
from pipeline.reporting.trade_table import trade_table
from pipeline.reporting.unreliable_tables import harm_table, kinds_table, levels_table
from pipeline.reporting.words_table import words_table
from pipeline.settings.base import Settings
from pipeline.settings.learnt import Learnt
from pipeline.settings.report import ReportSettings


class Params(Settings):
    """Settings of the tables stage."""

    report: ReportSettings = Field(ReportSettings(), description="Main metric and reference variant.")
    learnt: dict[str, Learnt] = Field({}, description="What each student has learnt from.")
    run: str = Field("run", description="Name of the run, for the headings.")
    generator: str = Field("", description="Digest of the corpus generator's settings; empty if it has none.")


def run(
    params: Params,
    *,
    scores: Path,
    comparisons: Path,
    facts: Path,
    dataset: list[Path],
    masks: list[Path],
    manifest: Path,
    folder: Path,
    shown: Path | None = None,
) -> None:
    """Write `{name}.md`, `.html`, `.tex` and `.csv` for every table, and `summary.txt`."""
    results = Results(artefacts.load_table(scores), artefacts.load_table(comparisons))
    corpus = artefacts.load_json(facts, ["corpus", "task", "labels"])
    classes = corpus["task"] == "classification"
    context = Context(
        results,
        params.report.main(corpus["task"]),
        tuple(corpus["labels"]) if classes else (),
        params.report.reference,
        params.report.level,
        params.learnt,
    )
    digests = [artefacts.load_metadata(path)["digest"][:12] for path in masks]
    # a channel that a corpus lacks is lacking in every fold
    same = coinciding(Frozen.load(dataset[0], masks[0]))
    footer = footers(context, params, corpus["corpus"], digests, same)
    with writing_pages(folder, shown) as target:
        tables = [
            *every_table(context),
            ("corpus", census_table(manifest, dataset)),
            ("absences", absences_table(dataset)),
        ]
        made = [(name, table) for name, table in tables if table.rows]
        for name, table in made:
            write(target, name, table, footer)
        artefacts.save_text(target / "summary.txt", summary(context, params.run, [name for name, _ in made]))


def footers(
    context: Context, params: Params, corpus: str, digests: Sequence[str], same: Mapping[Condition, str]
) -> list[str]:
    """The lines under every table."""
    results = context.results
    realised = ", ".join(
        f"{condition.rate:g}: {results.missing_rate(condition):.3f}" for condition in results.family("random")
    )
    few = few_seeds(results)
    generator = f" Generator settings {params.generator[:12]}." if params.generator else ""
    return [
        f"Run {params.run}, corpus {corpus}, folds {', '.join(results.folds)}, "
        f"seeds {', '.join(map(str, results.seeds))}.{generator} Masks {', '.join(digests)}.",
        f"Metric where none is named: {context.metric}. Shares are in percent: mean ± standard deviation "
        f"over seeds, [{params.report.level:.0%} interval of a paired bootstrap over dialogues and seeds, "
        f"{params.report.resamples} resamples].",
        f"Natural absence on the test split: {results.absence:.3f} of the slots. Realised missing rate by "
        f"nominal rate, over the slots that are really there: {realised}.",
        *([_left_out(same)] if same else []),
        *results.notes,
        *([few] if few else []),
        OWN,
    ]


def _left_out(same: Mapping[Condition, str]) -> str:
    """Why some conditions of the protocol do not stand in the tables of this corpus."""
    pairs = ", ".join(f"{condition} is {other}" for condition, other in same.items())
    return f"Neither shown nor averaged, since they test this corpus on nothing new: {pairs}."


def every_table(context: Context) -> Iterator[tuple[str, Table]]:
    """All tables by file name; one without rows is not written."""
    yield "main", main_table(context)
    for protocol in registered():
        if protocol.heading and context.results.family(protocol.family):
            yield protocol.family, condition_table(context, protocol, protocol.heading)
    yield "conflict", conflict_table(context)
    yield "conflict_controls", controls_table(context)
    yield "trade", trade_table(context)
    yield "unreliable", levels_table(context)
    yield "unreliable_kinds", kinds_table(context)
    yield "unreliable_harm", harm_table(context)
    yield "words", words_table(context)
    yield "oracle", oracle_table(context)
    yield "regret", regret_table(context)
    yield "bar", bar_table(context)
    yield "distillation", distillation_table(context)
    yield "comparisons", comparisons_table(context)
    yield "metrics", metrics_table(context)
    for condition, name in headlines().items():
        yield f"classes_{name.replace(' ', '_')}", classes_table(context, condition)


if __name__ == "__main__":
    stage.main(
        run,
        Params,
        inputs=("scores", "comparisons", "facts", "dataset*", "masks*", "manifest"),
        outputs=("folder", "shown?"),
    )
