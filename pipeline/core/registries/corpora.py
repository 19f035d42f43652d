"""Which module reads which corpus.

An adapter module has two functions:

- `read(settings, parts) -> Corpus`: all rows, from `settings.folder` or from the folders `parts`;
- `splits(rows, settings, fold) -> pl.DataFrame`: `dialogue`, `split` of every dialogue of a manifest.

The modules stand here by name and are imported when asked for, so that a change of one adapter concerns only
the corpora that use it.
"""

from importlib import import_module
from types import ModuleType

ADAPTERS = {
    "embedded": "pipeline.corpora.embedded",
    "iemocap": "pipeline.corpora.iemocap",
    "meld": "pipeline.corpora.meld",
    "mosei": "pipeline.corpora.mosei",
    "folder": "pipeline.corpora.folder",
    "features": "pipeline.corpora.features",
}


def adapter(name: str) -> ModuleType:
    """The adapter module of a corpus (CorpusSettings has checked the name)."""
    return import_module(ADAPTERS[name])
