"""Settings of the training loop."""

from typing import Literal

from pydantic import Field, model_validator

from pipeline.settings.base import Settings

# what epochs, trials of a search and the rows of a table are judged by: the same for all
JUDGES = ("validation", "regression_score")


class ValidationMix(Settings):
    """How the validation scores of the conditions are weighed to choose the epoch."""

    complete: float = Field(1.0, ge=0, description="Weight of the complete view")
    fixed: float = Field(1.0, ge=0, description="Weight of the mean over the fixed subsets")
    random: float = Field(1.0, ge=0, description="Weight of the mean over the random rates")

    @model_validator(mode="after")
    def _some_weight(self) -> "ValidationMix":
        if self.complete + self.fixed + self.random <= 0:
            raise ValueError("at least one of complete, fixed and random needs a weight above 0")
        return self


class TrainingSettings(Settings):
    """Optimiser, schedule and selection, the same for teacher and student."""

    epochs: int = Field(30, ge=1, le=1000, description="Passes over the training split")
    batch: int = Field(8, ge=1, le=4096, description="Dialogues a batch")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="Peak learning rate of AdamW")
    weight_decay: float = Field(0.05, ge=0, le=1, description="Decoupled weight decay of AdamW")
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of the steps that warm up, before a cosine")
    clip: float = Field(1.0, gt=0, description="Largest norm of the gradient")
    patience: int | None = Field(None, ge=1, description="Epochs without gain before stopping; null: never")
    averaging: float = Field(0.95, ge=0, lt=1, description="Decay a step of averaged weights; 0: none")
    precision: Literal["float32", "mixed"] = Field(
        "float32", description="Mixed: products in bfloat16 while training on a GPU that has it"
    )
    validation: ValidationMix = Field(
        default_factory=ValidationMix, description="What chooses the student's epoch"
    )
    regression_score: Literal["pearson", "negative_mae"] = Field(
        "pearson", description="Validation score of a regression corpus"
    )
