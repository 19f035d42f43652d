"""Settings of the search for a variant's weights."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from pipeline.settings.base import Settings
from pipeline.settings.objective import ObjectiveSettings
from pipeline.settings.training import JUDGES

SEARCHED = ("objective", "training", "network")


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
                if isinstance(values, list) and len(values) < 2:
                    raise ValueError(f"{variant}, {key}: a list needs two choices at least")
        return spaces
