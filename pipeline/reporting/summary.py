"""What the tables of one run share, and the few lines that a terminal prints at the end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.evaluation.families import headlines
from pipeline.evaluation.protocols.conflict import MAIN
from pipeline.evaluation.results import CEILINGS, Cell, Results, ordered, title
from pipeline.reporting.units import shown
from pipeline.settings.learnt import Learnt

OWN = (
    "The method is this project's own reading of an abstract (docs/method.md): these numbers are not the "
    "paper's and reproduce none of its tables."
)


FEW = 5  # seeds; below it the spread between trainings is anybody's guess (docs/method.md, "Protocols")


@dataclass(frozen=True)
class Context:
    """What every table needs."""

    results: Results
    metric: str
    labels: tuple[str, ...]
    reference: str
    level: float
    learnt: Mapping[str, Learnt] = field(default_factory=dict)  # of the students

    @property
    def regression(self) -> bool:
        return not self.labels

    def rows(self, cells: Callable[[str], Sequence[Cell | str | None]], names: Sequence[str]) -> list[list]:
        """One row a variant: its name and its cells; rows without any cell are left out."""
        table = [[self.name(variant), *cells(variant)] for variant in names]
        return [row for row in table if any(cell is not None for cell in row[1:])]

    def name(self, variant: str) -> str:
        return f"**{title(variant)}**" if variant == self.reference else title(variant)


def few_seeds(results: Results) -> str:
    """What to bear in mind with fewer seeds than the protocol asks for; empty if there are enough."""
    count = len(results.seeds)
    return f"{count} seed(s): differences hold for these trainings only." if count < FEW else ""


def summary(context: Context, run_name: str, names: Sequence[str]) -> str:
    """A few lines for a terminal."""
    results, metric = context.results, context.metric
    lines = [f"{run_name}: {metric}, mean over {len(results.seeds)} seed(s), honest epochs", ""]
    lines.append(f"{'':24}" + "".join(f"{name:>14}" for name in (*headlines().values(), "donor bias")))
    for variant in ordered(results, CEILINGS):
        cells = [results.cell(variant, condition, metric) for condition in headlines()]
        bias = results.cell(variant, MAIN, "donor_bias")
        texts = [shown(cell, metric, interval=False) for cell in cells]
        texts.append(shown(bias, "donor_bias", interval=False))
        lines.append(f"{title(variant):24}" + "".join(f"{text:>14}" for text in texts))
    tests = results.tests()
    better = tests.filter(tests["metric"] == metric, tests["p_holm"] < 1 - context.level)
    lines += [
        "",
        f"{better.height} of {tests.filter(tests['metric'] == metric).height} comparisons of "
        f"{title(context.reference)} differ after Holm's correction.",
        *([few] if (few := few_seeds(results)) else []),
        *results.notes,
        f"Tables: {', '.join(f'{name}.md' for name in names)}.",
        OWN,
    ]
    return "\n".join(lines) + "\n"
