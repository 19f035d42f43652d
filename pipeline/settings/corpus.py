"""Settings of the corpus: which adapter reads it, and how it is divided."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from pipeline.core.registries.corpora import CORPORA, CorpusRow
from pipeline.settings.base import Settings
from pipeline.settings.corpora import (
    FeaturesSettings,
    FolderSettings,
    IemocapSettings,
    MeldSettings,
    MoseiSettings,
)

# one of the registry's names, which a type checker cannot know
if TYPE_CHECKING:
    CorpusName = str
else:
    CorpusName = Literal[tuple(CORPORA)]


class CorpusSettings(Settings):
    """One corpus, as its adapter reads it."""

    name: CorpusName = Field("embedded", description="corpus, by its adapter's name")
    folder: str = Field("", description="folder of a corpus on disk; empty for the embedded one")
    protocol: str = Field("", description="named label protocol of the adapter; empty: its default")
    shards: int = Field(2, ge=1, le=1000, description="slices of whole dialogues that extraction works on")
    folds: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,100}$")]] = Field(
        ["main"], min_length=1, description="folds to train and judge"
    )
    validation: float = Field(
        0.12, gt=0, lt=0.5, description="share of training dialogues for validation, if the corpus names none"
    )
    seed: int = Field(0, ge=0, description="seed of a drawn validation or test split")
    text: Literal["given", "recognised"] = Field(
        "given",
        description="whose words are read: the corpus's own, or what a recogniser hears (`recognition`)",
    )
    counts: Literal["strict", "report", "off"] = Field(
        "strict", description="if counts differ from the literature's: stop, only log it, or do not look"
    )
    iemocap: IemocapSettings = Field(IemocapSettings(), description="read for name: iemocap")
    meld: MeldSettings = Field(MeldSettings(), description="read for name: meld")
    mosei: MoseiSettings = Field(MoseiSettings(), description="read for name: mosei")
    own: FolderSettings = Field(FolderSettings(), description="read for name: folder")
    features: FeaturesSettings = Field(FeaturesSettings(), description="read for name: features")

    @model_validator(mode="after")
    def _corpus_has_it(self) -> "CorpusSettings":
        row = self.row
        if self.protocol and self.protocol not in row.protocols:
            known = ", ".join(row.protocols)
            said = f"it has {known}" if known else "it has one, so leave the key empty"
            raise ValueError(f"protocol: the corpus {self.name} has no protocol {self.protocol!r}; {said}")
        if row.given and self.text == "recognised":
            raise ValueError(
                f"text: words are recognised in sound, and corpus.name is {self.name}, whose features were "
                "extracted elsewhere; set corpus.text to given"
            )
        if row.generated and self.folder:
            others = ", ".join(name for name, other in CORPORA.items() if not other.generated)
            raise ValueError(
                f"folder: a folder is named, but corpus.name is {self.name}, which reads none; set "
                f"corpus.name to one of {others}"
            )
        return self

    @property
    def row(self) -> CorpusRow:
        """What is fixed about this corpus."""
        return CORPORA[self.name]

    @property
    def transcribed(self) -> bool:
        """Whether media without a transcript are recognised before the manifest is made."""
        return self.name == "folder" and self.own.untranscribed == "recognised"

    @property
    def told_apart(self) -> bool:
        """Whether the voices of those media are told apart before the manifest is made."""
        return self.transcribed and self.own.speakers == "found"

    @property
    def label_protocol(self) -> str:
        """The protocol of the labels, where the corpus has several: the one named, or its first."""
        return self.protocol or next(iter(self.row.protocols), "")

    @property
    def unread(self) -> list[str]:
        """The sections of the other corpora, which this one's adapter never looks at."""
        own = self.row.section or self.name
        return [name for name, value in self if isinstance(value, Settings) and name != own]
