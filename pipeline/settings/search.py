"""Settings of the search for a variant's weights."""

import difflib
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from pipeline.settings.base import Settings
from pipeline.settings.network import NetworkSettings
from pipeline.settings.objective import ObjectiveSettings
from pipeline.settings.training import JUDGES, TrainingSettings

SECTIONS: dict[str, type[Settings] | None] = {
    "objective": ObjectiveSettings,
    "training": TrainingSettings,
    "network": NetworkSettings,
}
SEARCHED = tuple(SECTIONS)


class Range(Settings):
    """Numbers between two bounds, both included."""

    low: float = Field(description="Least value")
    high: float = Field(description="Greatest value")
    kind: Literal["float", "log", "int"] = Field(
        "float", description="Evenly, evenly in the logarithm, or whole numbers only"
    )

    @model_validator(mode="after")
    def _in_order(self) -> "Range":
        if not self.low < self.high:
            raise ValueError(f"low ({self.low}) must lie below high ({self.high})")
        if self.kind == "log" and self.low <= 0:
            raise ValueError(f"a logarithm needs low above 0, not {self.low}")
        return self


Choices = list[str | bool | int | float]
Space = dict[str, Range | Choices]


def networks_tried(present: str, objective: ObjectiveSettings, space: Space) -> list[str]:
    """Every network that a trial may train, by name; `present`: the value of network.name."""
    names = space.get("network.name", [present])
    own = space.get("objective.network", [objective.network])
    return sorted({str(mine or name) for mine in own for name in names})


def _check_values(variant: str, key: str, values: Range | Choices) -> None:
    """Raise ValueError for a key that is no setting, and for values that it cannot have."""
    field, section = None, SECTIONS[key.partition(".")[0]]
    for part in key.split(".")[1:]:
        fields = section.model_fields if section else {}
        if part not in fields:
            near = difflib.get_close_matches(part, fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{variant}: there is no setting {key!r}{hint}")
        field = fields[part]
        kind = field.annotation
        section = kind if isinstance(kind, type) and issubclass(kind, Settings) else None
    if field is None or section is not None:
        raise ValueError(f"{variant}: {key!r} is a section; name one of its keys")
    if isinstance(values, list):
        if len(values) < 2:
            raise ValueError(f"{variant}, {key}: a list needs two choices at least")
        numbers = [
            value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)
        ]
        if len(numbers) == len(values) and sorted(set(numbers)) != numbers:
            raise ValueError(
                f"{variant}, {key}: {values} are choices, and numbers are written in rising order, each once "
                "(bounds are written {low: 1, high: 3})"
            )
        if len(set(map(repr, values))) < len(values):
            raise ValueError(f"{variant}, {key}: an entry stands twice")
    kept: Any = Annotated[field.annotation, field]
    adapter: TypeAdapter[Any] = TypeAdapter(kept)
    for value in values if isinstance(values, list) else (values.low, values.high):
        try:
            adapter.validate_python(value)
        except ValidationError as error:
            raise ValueError(
                f"{variant}, {key}: {value!r} is no value of it ({error.errors()[0]['msg']})"
            ) from None


class SearchSettings(Settings):
    """How the target `searches` tunes variants, on the validation split alone."""

    trials: int = Field(24, ge=1, le=10000, description="Settings tried for each variant, the given first")
    random: int = Field(8, ge=1, description="Trials drawn at random before the sampler learns from them")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        [0], min_length=1, description="Training seeds a trial; their mean is its score"
    )
    seed: int = Field(0, ge=0, description="Seed of the sampler")
    spaces: dict[str, Space] = Field(
        {},
        description="By variant, by key (objective.*, training.*, network.*): bounds, or a list of choices",
    )

    @field_validator("spaces")
    @classmethod
    def _keys_are_searchable(cls, spaces: dict[str, Space]) -> dict[str, Space]:
        for variant, space in spaces.items():
            if not space:
                raise ValueError(f"{variant}: an empty space; name at least one key")
            for key, values in space.items():
                if key.split(".")[0] not in SEARCHED or "." not in key:
                    raise ValueError(
                        f"{variant}: {key!r} does not begin with objective., training. or network."
                    )
                section, _, inner = key.partition(".")
                if section == "training" and inner.partition(".")[0] in JUDGES:
                    raise ValueError(f"{variant}: {key!r} is what trials are judged by; leave it out")
                _check_values(variant, key, values)
        return spaces
