"""Settings of a training that leaves out a part of the training dialogues, so that it can judge them."""

from pydantic import Field, model_validator

from pipeline.settings.base import Settings


class HeldOutSettings(Settings):
    """Which part is left out."""

    held_out: int | None = Field(None, ge=0, description="Fold of training dialogues left out; null: none")
    folds: int = Field(5, ge=2, le=50, description="Number of folds of the training dialogues")

    @model_validator(mode="after")
    def _fold_exists(self) -> "HeldOutSettings":
        if self.held_out is not None and self.held_out >= self.folds:
            raise ValueError(f"held_out {self.held_out} must be below folds ({self.folds})")
        return self
