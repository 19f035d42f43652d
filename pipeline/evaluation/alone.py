"""What a degraded channel is answered with by itself: that tells how far answers follow it."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from models.modalities import MODALITIES
from pipeline.evaluation.protocol import View


def there(view: View, rows: np.ndarray, available: np.ndarray) -> np.ndarray:
    """Whether the channels that a view has features of can be read at all: bool (T,).

    rows: of the dataset (T,). available: bool (T, 3), what may be read of them.
    """
    own = [place for place, name in enumerate(MODALITIES) if name in view.features]
    return (view.shown[rows] & available)[:, own].any(axis=1)


def table(view: View, rows: np.ndarray, values: np.ndarray, seen: np.ndarray) -> pl.DataFrame:
    """The answers as `alone`, label indices (regression: 1 where the score is positive), null if not seen.

    values: (T, width) of a view in which nothing else is shown; seen: as from `there`.
    """
    labels = values.argmax(axis=1) if values.shape[1] > 1 else (values[:, 0] > 0).astype(int)
    told = pl.Series(labels, dtype=pl.Int16)
    return pl.DataFrame({"row": pl.Series(rows, dtype=pl.Int32), "seen": seen, "alone": told}).select(
        "row",
        condition=pl.lit(str(view.condition)),
        draw=pl.lit(view.draw, pl.Int16),
        alone=pl.when("seen").then("alone"),
    )


def beside(predictions: pl.DataFrame, found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Predictions with the column `alone`; as they are if no view has such answers."""
    if not found:
        return predictions
    keys = ["row", "condition", "draw"]
    return predictions.join(pl.concat(found), on=keys, how="left", maintain_order="left")
