"""Which module reads which corpus, and what is fixed about a corpus before anything of it is read.

An adapter module has two functions:

- `read(settings, parts) -> Corpus`: all rows, from `settings.folder` or from the folders `parts`
  (of `folder`: tables of the stage transcripts or voices);
- `splits(rows, settings, fold) -> pl.DataFrame`: `dialogue`, `split` of every dialogue of a manifest.

The modules stand here by name and are imported when asked for, so that a change of one adapter concerns only
the corpora that use it. docs/new-corpus.md adds one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType


@dataclass(frozen=True)
class CorpusRow:
    """One corpus: the adapter's module, and what a configuration of it can be held to.

    folds: all there are; empty if the corpus names them itself. same: folds that test the same dialogues, by
    what they test; a run has one of them. protocols: of its labels, the first unless one is named; empty for
    a single one. section: its own section under `corpus`, where that is not its name. generated: it is read
    from what the stage corpus renders, the stand-in encoders know it, and its ceilings can be computed.
    given: its features were extracted elsewhere, so it has no media and needs no encoders.
    """

    module: str
    folds: tuple[str, ...] = ("main",)
    same: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    protocols: tuple[str, ...] = ()
    section: str = ""
    generated: bool = False
    given: bool = False


CORPORA = {
    "embedded": CorpusRow("pipeline.corpora.embedded", generated=True),
    "iemocap": CorpusRow(
        "pipeline.corpora.iemocap",
        folds=("main", "session1", "session2", "session3", "session4", "session5"),
        same={"session 5": ("main", "session5")},
        protocols=("four", "six", "six_by_ids"),
    ),
    "meld": CorpusRow("pipeline.corpora.meld"),
    "mosei": CorpusRow("pipeline.corpora.mosei"),
    "folder": CorpusRow("pipeline.corpora.folder", section="own"),
    "features": CorpusRow("pipeline.corpora.features", folds=(), given=True),
}


def adapter(name: str) -> ModuleType:
    """The adapter module of a corpus (CorpusSettings has checked the name)."""
    return import_module(CORPORA[name].module)
