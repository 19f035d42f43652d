"""The one place where the configuration is read and validated; below it, typed values travel."""

import difflib
import types
import typing
from collections.abc import Mapping

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from pipeline.errors import PipelineError
from pipeline.settings.base import Settings
from pipeline.settings.corpus import CorpusSettings
from pipeline.settings.encoders import EncodersSettings
from pipeline.settings.faces import FacesSettings
from pipeline.settings.network import NetworkSettings
from pipeline.settings.objective import ObjectiveSettings, TeacherObjectiveSettings
from pipeline.settings.process import ProcessSettings
from pipeline.settings.protocol import ProtocolSettings
from pipeline.settings.rendering import RenderingSettings
from pipeline.settings.report import ReportSettings
from pipeline.settings.search import SearchSettings
from pipeline.settings.standins import StandinsSettings
from pipeline.settings.training import TrainingSettings

NAME = r"^[A-Za-z0-9_]+$"


class EmbeddedSettings(Settings):
    """The embedded corpus: how it is generated."""

    seed: int = Field(0, ge=0, description="seed of everything in the generated corpus")
    parts: int = Field(4, ge=1, le=256, description="jobs that the rendering is divided into")
    process: ProcessSettings = Field(ProcessSettings(), description="dialogues, words and cues")
    rendering: RenderingSettings = Field(RenderingSettings(), description="picture and sound")


class Config(Settings):
    """The whole configuration; `config.yaml` holds every key with a comment."""

    run: str = Field(
        "embedded", pattern=NAME, description="name of this run; all it makes lies in runs/{run}"
    )
    device: typing.Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto takes a GPU where one is visible; cuda makes a missing GPU an error"
    )
    threads: int = Field(1, ge=1, le=256, description="torch's CPU threads in a job; sums depend on it")
    seeds: list[int] = Field([0], min_length=1, description="training seeds; each trains every variant")
    compare: list[str] = Field(["corekd"], description="the variants to train, beside the teacher, by name")
    corpus: CorpusSettings = Field(CorpusSettings(), description="which corpus, and how it is read")
    embedded: EmbeddedSettings = Field(EmbeddedSettings(), description="the generated corpus")
    standins: StandinsSettings = Field(StandinsSettings(), description="encoders of the generated corpus")
    encoders: EncodersSettings = Field(EncodersSettings(), description="how each encoder is run")
    faces: FacesSettings = Field(FacesSettings(), description="detection, choice and crops of faces")
    network: NetworkSettings = Field(NetworkSettings(), description="the network of teacher and student")
    training: TrainingSettings = Field(TrainingSettings(), description="optimisation and selection")
    teacher: TeacherObjectiveSettings = Field(
        TeacherObjectiveSettings(), description="what the complete-view teacher learns from"
    )
    objective: ObjectiveSettings = Field(ObjectiveSettings(), description="what a student learns from")
    variants: dict[str, dict] = Field(
        {"corekd": {}}, description="by name: what differs from `objective`; {} is CoRe-KD itself"
    )
    reference_folds: int = Field(4, ge=2, le=50, description="teachers behind cross-fitted references")
    search: SearchSettings = Field(
        SearchSettings(), description="the target `search`: tunes variants on the validation split"
    )
    protocol: ProtocolSettings = Field(ProtocolSettings(), description="masks and conflict pairs")
    report: ReportSettings = Field(ReportSettings(), description="metrics, tests and tables")
    beside: list[str] = Field(
        [], description="finished runs that the table across corpora shows beside this one"
    )

    @field_validator("seeds", "compare")
    @classmethod
    def _distinct(cls, values: list) -> list:
        if len(set(values)) != len(values):
            raise ValueError("an entry stands twice")
        return values

    @model_validator(mode="after")
    def _variants_are_known(self) -> "Config":
        for name in self.compare:
            if name not in self.variants:
                raise ValueError(f"compare: no variant {name!r}; there are {sorted(self.variants)}")
            self.objective_of(name)
        for name in self.search.spaces:
            if name not in self.variants:
                raise ValueError(f"search.spaces: no variant {name!r}; there are {sorted(self.variants)}")
        if "teacher" in self.variants:
            raise ValueError("variants: the name 'teacher' is taken by the zero-filled teacher")
        if self.corpus.name not in ("embedded", "features") and self.encoders.standins:
            raise ValueError(
                "encoders.standins: the stand-ins know only the embedded corpus; set it to false, so that "
                "the public weights are used"
            )
        return self

    def objective_of(self, variant: str) -> ObjectiveSettings:
        """The full objective of one variant: `objective` with the variant's own keys on top."""
        return ObjectiveSettings.model_validate(merged(self.objective.model_dump(), self.variants[variant]))


def merged(base: Mapping, over: Mapping) -> dict:
    """`base` with the keys of `over` on top, nested mappings merged key by key."""
    result = dict(base)
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if nested else value
    return result


def read_config(raw: Mapping) -> Config:
    """Validate the merged configuration that Snakemake read.

    Raises PipelineError naming the key, what was expected, and the nearest right name.
    """
    try:
        return Config.model_validate(dict(raw))
    except ValidationError as error:
        raise PipelineError(_explain(error.errors()[0])) from None


def _explain(fault: Mapping) -> str:
    path = [str(part) for part in fault["loc"]]
    key = ".".join(path) or "(top level)"
    if fault["type"] == "extra_forbidden":
        known = _fields_at(Config, path[:-1])
        near = difflib.get_close_matches(path[-1], known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known keys there: {', '.join(known)}."
        return f"config: there is no key {key!r}. {hint}"
    return (
        f"config, key {key!r}: {fault['msg']} (got {fault['input']!r}). "
        "Mend it in config.yaml or in the overlay given with --configfile."
    )


def _fields_at(model: type[BaseModel], path: list[str]) -> list[str]:
    """The field names of the settings model that lies at `path` below `model`."""
    for part in path:
        field = model.model_fields.get(part)
        if field is None:
            return []
        kinds = [field.annotation, *typing.get_args(field.annotation)]
        models = [k for k in kinds if isinstance(k, type) and not isinstance(k, types.GenericAlias)]
        nested = [k for k in models if issubclass(k, BaseModel)]
        if not nested:
            return []
        model = nested[0]
    return list(model.model_fields)
