"""Which module reads which corpus.

An adapter module has two functions:

- `read(settings, utterances) -> Corpus`: all rows, from the files that `settings.folder` or the list
  `utterances` names;
- `splits(rows, settings, fold, seed) -> pl.DataFrame`: `dialogue`, `split` of every dialogue of a manifest.

The modules stand here by name and are imported when asked for, so that a change of one adapter concerns only
the corpora that use it.
"""

from importlib import import_module
from types import ModuleType

from pipeline.errors import PipelineError

ADAPTERS = {"embedded": "pipeline.corpora.embedded"}


def adapter(name: str) -> ModuleType:
    """The adapter module of a corpus. Raises PipelineError for an unknown name."""
    if name not in ADAPTERS:
        raise PipelineError(
            f"corpus.adapter: there is no adapter {name!r}; known are {sorted(ADAPTERS)}. Mend the config, or "
            "add the adapter to pipeline/corpora/registry.py (docs/artefacts.md says what it must return)."
        )
    return import_module(ADAPTERS[name])
