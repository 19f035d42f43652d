"""Given, recognised, mistaken and no words side by side, with the word error rate of each."""

from pipeline.core.registries.degradations import OTHER_WORDS
from pipeline.evaluation.protocols.words import source
from pipeline.evaluation.results import GIVEN, Cell, title
from pipeline.reporting.markup import Table, number
from pipeline.reporting.summary import Context


def words_table(context: Context) -> Table:
    """Rows are sources of words, each with its difference to the given ones; columns the trained variants."""
    results, metric = context.results, context.metric
    rows: list[list[Cell | str | None]] = []
    kinds = []
    for condition in results.family(OTHER_WORDS):
        kinds.append(condition.kind)
        rate = results.realised(condition)
        told = ["–" if rate is None else number(rate, 3), number(results.read(condition), 3)]
        scores = [results.cell(name, condition, metric) for name in results.trained]
        rows.append([source(condition), *told, *scores])
        gaps = [results.difference(name, GIVEN, condition, metric) for name in results.trained]
        if any(gap is not None for gap in gaps):
            rows.append([f"– minus {GIVEN}", "", "", *gaps])
    header = ["", "word error rate", "read", *map(title, results.trained)]
    units = ["", "", "", *[metric] * len(results.trained)]
    notes = [
        "The same networks, asked with the words of each source; nothing is trained for it. Word error rate: "
        "over all test utterances with given words, without regard to case and punctuation; what is not "
        "heard counts as deleted. Read: the share of the test utterances whose words are read; unsure "
        "ones and those without a word are not. Minus given: the paired difference, outside Holm's "
        "correction.",
    ]
    if "misheard" in kinds:
        notes.append(
            "misheard is no recogniser: a stated confusion model deletes, replaces and inserts words of the "
            "given ones at the rate that is named (docs/unreliable.md)."
        )
    return Table("Given, recognised and no words", header, units, rows, notes)
