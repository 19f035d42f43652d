"""The table of natural absences: what the corpus lacks, where, and why."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from models.modalities import MODALITIES
from pipeline.core import artefacts
from pipeline.core.splits import SPLITS
from pipeline.reporting.markup import Table, number


def absences_table(datasets: Sequence[Path]) -> Table:
    """One row a fold, split and modality: utterances, share absent, and the count of every reason.

    `datasets` are the folders that stage dataset writes, `runs/{run}/{fold}/dataset`.
    """
    rows = []
    for folder in datasets:
        columns = ["split", *(f"reason_{modality}" for modality in MODALITIES)]
        utterances = artefacts.load_table(folder / "utterances.parquet", columns)
        for split in SPLITS:
            part = utterances.filter(pl.col("split") == split)
            for modality in MODALITIES:
                reasons = part[f"reason_{modality}"].drop_nulls()
                counts = sorted(reasons.value_counts().iter_rows(), key=lambda pair: (-pair[1], pair[0]))
                share = 100 * len(reasons) / max(part.height, 1)
                why = ", ".join(f"{reason} {count}" for reason, count in counts)
                rows.append(
                    [folder.parent.name, split, modality, str(part.height), number(share, 1), why or "none"]
                )
    notes = ["Natural absences, before any mask; the reasons are explained in docs/artefacts.md."]
    header = ["fold", "split", "modality", "utterances", "absent (%)", "reasons and their counts"]
    return Table("What the corpus lacks", header, [""] * len(header), rows, notes)
