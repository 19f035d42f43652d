"""The whole configuration as one typed value, and what must hold between its sections."""

import difflib
import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from pipeline.core.registries.networks import GAUGED
from pipeline.settings.annotate import AnnotateSettings, ExportSettings
from pipeline.settings.base import Settings
from pipeline.settings.compute import ComputeSettings
from pipeline.settings.corpus import CorpusSettings
from pipeline.settings.dataset import DatasetSettings
from pipeline.settings.encoders import EncodersSettings
from pipeline.settings.faces import ChooserSettings, FacesSettings
from pipeline.settings.learnt import Learnt
from pipeline.settings.media import MediaSettings
from pipeline.settings.network import NetworkSettings
from pipeline.settings.objective import ObjectiveSettings, TeacherObjectiveSettings
from pipeline.settings.process import ProcessSettings
from pipeline.settings.protocol import ProtocolSettings
from pipeline.settings.recognition import RecognitionSettings
from pipeline.settings.rendering import RenderingSettings
from pipeline.settings.report import ReportSettings, diagnostic
from pipeline.settings.search import SearchSettings
from pipeline.settings.speakers import SpeakersSettings
from pipeline.settings.standins import StandinsSettings
from pipeline.settings.training import JUDGES, TrainingSettings
from pipeline.settings.unreliable import UnreliableSettings

# a file system takes 255 bytes, and temporary names are longer than what they stand for
NAME = r"^[A-Za-z0-9_]{1,100}$"

# what stands in the tables beside the students, so no variant may have its name
RESERVED = (
    *("teacher", "majority", "prior_sampling", "product", "product_chain", "early_chain", "protocol"),
    *("complete", "missing", "mildest", "given"),
)
CEILING = re.compile(r".*_ceiling.*|readable.*")


class EmbeddedSettings(Settings):
    """The embedded corpus: how it is generated."""

    seed: int = Field(0, ge=0, description="seed of everything in the generated corpus")
    parts: int = Field(4, ge=1, le=256, description="jobs that the rendering is divided into")
    process: ProcessSettings = Field(ProcessSettings(), description="dialogues, words and cues")
    rendering: RenderingSettings = Field(RenderingSettings(), description="picture and sound")


class NamedSettings(Settings):
    """What stands first in a configuration."""

    run: str = Field(
        "embedded", pattern=NAME, description="name of this run; all it makes lies in runs/{run}"
    )


class FoldSettings(Settings):
    """What differs in one fold, key by key."""

    network: dict = Field({}, description="what differs from `network`")
    training: dict = Field({}, description="what differs from `training`")
    teacher: dict = Field({}, description="what differs from `teacher`")
    objective: dict = Field({}, description="what differs from `objective`, below what a variant says")
    variants: dict[str, dict] = Field({}, description="by name: what differs in that variant alone")


class Config(ComputeSettings, NamedSettings):
    """The whole configuration; `config.yaml` holds every key with a comment."""

    workers: int = Field(
        1,
        ge=1,
        le=256,
        description="media files that a job of `faces` or `audio` works on side by side, each with "
        "`threads`; at most what --cores allows; nothing that is computed depends on it",
    )
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        [0], min_length=1, description="training seeds; each trains every variant"
    )
    compare: list[str] = Field(
        ["corekd"], min_length=1, description="the variants to train, beside the teacher, by name"
    )
    corpus: CorpusSettings = Field(CorpusSettings(), description="which corpus, and how it is read")
    embedded: EmbeddedSettings = Field(EmbeddedSettings(), description="the generated corpus")
    standins: StandinsSettings = Field(StandinsSettings(), description="encoders of the generated corpus")
    encoders: EncodersSettings = Field(EncodersSettings(), description="how each encoder is run")
    faces: FacesSettings = Field(FacesSettings(), description="detection, choice and crops of faces")
    chooser: ChooserSettings = Field(
        ChooserSettings(), description="the network behind faces.choice: light_asd; read for nothing else"
    )
    media: MediaSettings = Field(MediaSettings(), description="how media files are read")
    dataset: DatasetSettings = Field(DatasetSettings(), description="how features are normalised")
    network: NetworkSettings = Field(NetworkSettings(), description="the network of teacher and student")
    training: TrainingSettings = Field(TrainingSettings(), description="optimisation and selection")
    teacher: TeacherObjectiveSettings = Field(
        TeacherObjectiveSettings(), description="what the complete-view teacher learns from"
    )
    objective: ObjectiveSettings = Field(ObjectiveSettings(), description="what a student learns from")
    variants: dict[Annotated[str, Field(pattern=NAME)], dict] = Field(
        {"corekd": {}}, description="by name: what differs from `objective`; {} is CoRe-KD itself"
    )
    by_fold: dict[Annotated[str, Field(pattern=NAME)], FoldSettings] = Field(
        {}, description="by fold: what differs there from network, training, teacher, objective and variants"
    )
    reference_folds: int = Field(
        4, ge=2, le=50, description="parts of the training dialogues that teachers are held out from"
    )
    reference_seeds: list[Annotated[int, Field(ge=0)]] = Field(
        [0, 1, 2], min_length=1, description="seeds of the held-out teachers behind references: ensemble"
    )
    search: SearchSettings = Field(
        SearchSettings(), description="the target `searches`: tunes variants on the validation split"
    )
    protocol: ProtocolSettings = Field(ProtocolSettings(), description="masks and conflict pairs")
    unreliable: UnreliableSettings = Field(
        UnreliableSettings(), description="P5: the media of test utterances, degraded before the encoders"
    )
    report: ReportSettings = Field(ReportSettings(), description="metrics, tests and tables")
    beside: list[Annotated[str, Field(pattern=NAME)]] = Field(
        [], description="finished runs that the table across corpora shows beside this one"
    )
    export: ExportSettings = Field(ExportSettings(), description="networks that the target `model` exports")
    video: str = Field("", description="the video that the target `annotate` works on")
    transcript: str = Field(
        "", description="its transcript (.srt, .vtt, .csv); empty: the one beside it, if any"
    )
    model: str = Field(
        "", description="folder of the model that annotates; empty: the first that is exported"
    )
    recognition: RecognitionSettings = Field(
        RecognitionSettings(), description="speech as words, for videos without a transcript"
    )
    speakers: SpeakersSettings = Field(
        SpeakersSettings(), description="voices told apart, for videos whose transcript names no speakers"
    )
    annotate: AnnotateSettings = Field(AnnotateSettings(), description="how a video is annotated")

    @model_validator(mode="after")
    def _variants_are_known(self) -> "Config":
        for name in self.compare:
            if name not in self.variants:
                raise ValueError(f"compare: {self._no_variant(name)}")
        for name in self.search.spaces:
            if name not in self.variants:
                raise ValueError(f"search.spaces: {self._no_variant(name)}")
        trained = ["teacher", *self.compare]
        for key, names in (("reference", [self.report.reference]), ("compared", self.report.compared)):
            for name in names:
                if name not in trained:
                    raise ValueError(
                        f"report.{key}: {name!r} is not trained in this run; name one of "
                        f"{', '.join(trained)}, or add it to compare"
                    )
        for name in self.export.variants:
            if name not in (*self.compare, "teacher"):
                raise ValueError(f"export.variants: {name!r} is not trained; trained are {self.compare}")
        for seed in self.export.seeds:
            if seed not in self.seeds:
                raise ValueError(f"export.seeds: {seed} is not trained; trained are {self.seeds}")
        if self.export.fold and self.export.fold not in self.corpus.folds:
            raise ValueError(f"export.fold: no fold {self.export.fold!r}; there are {self.corpus.folds}")
        for name in self.variants:
            if name in RESERVED or CEILING.fullmatch(name):
                raise ValueError(
                    f"variants.{name}: the name is taken by what is no student in the tables (so are "
                    f"{', '.join(RESERVED)}, and names with _ceiling or that begin with readable); rename it"
                )
        self._oracles_are_told_from_methods()
        self._corpus_has_the_folds()
        self._what_may_differ_by_fold()
        self._reliability_can_be_read()
        if self.unreliable.kinds and self.corpus.row.given:
            raise ValueError(
                f"unreliable.kinds: media are degraded before the encoders, and corpus.name is "
                f"{self.corpus.name}, whose features were extracted elsewhere; set it to []"
            )
        if self.protocol.words and self.corpus.row.given:
            raise ValueError(
                f"protocol.words: other words go through the encoder of text, and corpus.name is "
                f"{self.corpus.name}, whose features were extracted elsewhere; set it to []"
            )
        if self.encoders.standins and not (self.corpus.row.generated or self.corpus.row.given):
            raise ValueError(
                f"encoders.standins: the stand-ins know only the embedded corpus, and corpus.name is "
                f"{self.corpus.name}; set encoders.standins to false, so that the public weights are used"
            )
        return self

    def _oracles_are_told_from_methods(self) -> None:
        """Raise ValueError for an oracle of a corpus that was not generated, or that could pass for a method.

        (By its name all that people read tells it from the methods, tables over several runs included.)
        """
        for name, own in self.variants.items():
            tried = self.search.spaces.get(name, {}).get("objective.references")
            read = own.get("references", self.objective.references) == "oracle"
            if read != diagnostic(name) or (not read and isinstance(tried, list) and "oracle" in tried):
                raise ValueError(
                    f"variants.{name}: what learns from references: oracle is no method, so the name of such "
                    "a variant, and of no other, begins with oracle_; rename it, or mend its references "
                    "(those in search.spaces, too)"
                )
            if read and not self.corpus.row.generated and name in (*self.compare, *self.search.spaces):
                raise ValueError(
                    f"compare: {name} learns from an oracle, which knows how a corpus was made, and "
                    f"corpus.name is {self.corpus.name}; leave it out (of search.spaces, too)"
                )
        for key, names in (("reference", [self.report.reference]), ("compared", self.report.compared)):
            for name in filter(diagnostic, names):
                raise ValueError(
                    f"report.{key}: {name} learns from an oracle, so it is not compared as a method; "
                    "name another variant (what it gains stands in the table distillation)"
                )

    def _reliability_can_be_read(self) -> None:
        """Raise ValueError where a network is to read how reliable features are, and cannot."""
        if self.network.name in GAUGED:
            raise ValueError(
                f"network.name: {self.network.name} reads how reliable each feature is, and the teacher does "
                f"not, so only students have it; leave network.name at structured, and write "
                f"network: {self.network.name} in an entry of variants"
            )
        for key, names in (("compare", self.compare), ("search.spaces", self.search.spaces)):
            for name in names:
                if self.corpus.row.given and self.objective_of(name).network in GAUGED:
                    raise ValueError(
                        f"{key}: {name} reads how reliable the extraction takes features to be, and those of "
                        f"corpus.name {self.corpus.name} were extracted elsewhere; leave {name} out"
                    )

    def _corpus_has_the_folds(self) -> None:
        """Raise ValueError for folds that the corpus does not have, or that test the same.

        (Here, for a stage is not told of folds that it does not look at.)
        """
        row, folds = self.corpus.row, self.corpus.folds
        for fold in folds:
            if row.folds and fold not in row.folds:
                raise ValueError(
                    f"corpus.folds: the corpus {self.corpus.name} has no fold {fold!r}; it has "
                    f"{', '.join(row.folds)}"
                )
        for what, those in row.same.items():
            if set(those) <= set(folds):
                raise ValueError(f"corpus.folds: {' and '.join(those)} both test {what}; name one of them")

    def _what_may_differ_by_fold(self) -> None:
        """Raise ValueError for a fold or variant that is not there, and for what judges all folds."""
        for fold, own in self.by_fold.items():
            if fold not in self.corpus.folds:
                raise ValueError(
                    f"by_fold.{fold}: {fold!r} is none of corpus.folds ({', '.join(self.corpus.folds)}); add "
                    "it there, or leave its settings out"
                )
            for name in own.variants:
                if name not in self.variants:
                    raise ValueError(f"by_fold.{fold}.variants.{name}: {self._no_variant(name)}")
            for key in JUDGES:
                if key in own.training:
                    raise ValueError(
                        f"by_fold.{fold}.training.{key}: it may not differ by fold, for the tables have all "
                        f"folds judged alike; set training.{key}"
                    )

    def _no_variant(self, name: str) -> str:
        near = difflib.get_close_matches(name, self.variants, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(self.variants)}"
        return f"there is no variant {name!r}; {hint}"

    def of_fold(self, fold: str) -> "Config":
        """The configuration that a fold is trained by: this one, with the fold's own keys on top.

        What a variant says lies above `objective` of run and fold, and the fold's `variants` above that.
        """
        if fold not in self.by_fold:
            return self
        own = self.by_fold[fold]
        variants = {name: merged(given, own.variants.get(name, {})) for name, given in self.variants.items()}
        plain = merged(self.model_dump(exclude={"by_fold"}), own.model_dump(exclude={"variants"}))
        return Config.model_validate({**plain, "variants": variants})

    def objective_of(self, variant: str) -> ObjectiveSettings:
        """The full objective of one variant: `objective` with the variant's own keys on top."""
        return ObjectiveSettings.model_validate(merged(self.objective.model_dump(), self.variants[variant]))

    def network_of(self, variant: str) -> NetworkSettings:
        """The network of the teacher or of a variant, with what it reads of the section `network`."""
        own = "" if variant == "teacher" else self.objective_of(variant).network
        return self.network.named(own or self.network.name)


def learnt_from(objective: ObjectiveSettings, corekd: ObjectiveSettings) -> Learnt:
    """What tables tell of the objective of a variant, beside that of CoRe-KD."""
    return Learnt(
        nce=(objective.nce,),
        taught=bool(objective.weights.references),
        only_nce=objective.model_copy(update={"nce": corekd.nce}) == corekd,
    )


def merged(base: Mapping, over: Mapping) -> dict:
    """`base` with the keys of `over` on top, nested mappings merged key by key."""
    result = dict(base)
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if nested else value
    return result
