"""Settings of the corpus: which adapter reads it, and how it is split."""

from pydantic import Field

from pipeline.settings.base import Settings


class CorpusSettings(Settings):
    """One corpus, as its adapter reads it."""

    adapter: str = Field("embedded", description="name of the adapter (pipeline/corpora/registry.py)")
    folder: str = Field("", description="folder of a corpus on disk; empty for the embedded one")
    protocol: str = Field("", description="named label protocol of the adapter; empty: its default")
    validation: float = Field(
        0.12, gt=0, lt=0.5, description="share of training dialogues for validation, if the corpus names none"
    )
