"""What the scores, tables and figures hold."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from pipeline.core.registries.metrics import of_task
from pipeline.settings.base import Settings

# names of the registry, which a type checker cannot know
if TYPE_CHECKING:
    ClassMetric = str
    ScoreMetric = str
else:
    ClassMetric, ScoreMetric = Literal[of_task("classification")], Literal[of_task("regression")]


def diagnostic(variant: str) -> bool:
    """Whether a trained variant learns from the oracle, and so is no method; Config holds the names to it."""
    return variant.startswith("oracle_")


class ReportSettings(Settings):
    """Statistics and the choice of what is printed."""

    metric: ClassMetric = Field("weighted_f1", description="Main metric of the tables: classification.")
    score_metric: ScoreMetric = Field("acc2_pos", description="Main metric of the tables: regression.")
    resamples: int = Field(
        10_000, ge=100, le=100_000, description="Bootstrap resamples of dialogues and seeds."
    )
    level: float = Field(0.95, gt=0.5, lt=1, description="Level of the percentile intervals.")
    reference: str = Field("corekd", min_length=1, description="Variant that every other is compared with.")
    compared: tuple[str, ...] = Field(
        (),
        description="Variants of the comparison family; empty: all trained ones but the reference "
        "and those that learn from an oracle.",
    )
    oracle: bool = Field(
        True, description="Also score the epoch that is best on the test split, beside the honest one."
    )
    seed: int = Field(11, ge=0, description="Seed of the bootstrap and of the prior-sampling row.")

    def main(self, task: str) -> str:
        """The main metric of a corpus of this task."""
        return self.metric if task == "classification" else self.score_metric
