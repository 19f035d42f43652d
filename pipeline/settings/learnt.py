"""What tables and figures tell of a variant's objective, beside its name."""

from pydantic import Field

from pipeline.settings.base import Settings
from pipeline.settings.objective import ObjectiveSettings


class Learnt(Settings):
    """What a trained variant has learnt from."""

    nce: float = Field(ge=0, description="Weight of L_nce")
    taught: bool = Field(description="Whether a term compares with a teacher's references")
    only_nce: bool = Field(
        description="Whether it is CoRe-KD, or differs from it in the weight of L_nce alone"
    )

    @classmethod
    def of(cls, objective: ObjectiveSettings, corekd: ObjectiveSettings) -> "Learnt":
        """Of the objective of a variant and that of CoRe-KD."""
        return cls(
            nce=objective.nce,
            taught=bool(objective.weights.references),
            only_nce=objective.model_copy(update={"nce": corekd.nce}) == corekd,
        )
