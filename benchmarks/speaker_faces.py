"""How often a turn's face is taken for another voice's, where it is not, and where it is.

    python benchmarks/speaker_faces.py runs/embedded

Reads the visual features of a finished run whose speakers are known. Every turn is judged once as it is, and
once with the features of a turn of somebody else in the dialogue in place of its own.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipeline.core import artefacts
from pipeline.speech.speakers import strange_faces


def dialogues(run: Path) -> list[tuple[np.ndarray, np.ndarray, list[int]]]:
    """Of each dialogue the features, which of them are there, and the speakers by number."""
    found = []
    for path in sorted((run / "shards").glob("*.parquet")):
        features = run / "features" / "visual" / path.stem
        vectors = artefacts.load_tensors(features.with_suffix(".safetensors"))["pooled"]
        told = artefacts.load_table(features.with_suffix(".parquet")).with_row_index("row")
        rows = artefacts.load_table(path).join(told, on="utterance").sort("position", maintain_order=True)
        for part in rows.partition_by("dialogue", maintain_order=True):
            own = part["speaker"].cast(pl.Categorical).to_physical().rank("dense").cast(pl.Int64) - 1
            found.append((vectors[part["row"].to_numpy()], part["available"].to_numpy(), own.to_list()))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    print("| margin | right faces doubted | another's faces doubted |")
    print("|---|---|---|")
    for margin in (0.0, 0.02, 0.05, 0.1, 0.2):
        generator, right, strange = np.random.default_rng(0), [], []
        for faces, seen, own in dialogues(run):
            right += strange_faces(faces, seen, own, margin)[seen].tolist()
            for turn in np.flatnonzero(seen):
                others = [other for other in np.flatnonzero(seen) if own[other] != own[turn]]
                if len(others) > 1 and sum(own[turn] == own[other] for other in np.flatnonzero(seen)) > 2:
                    put = faces.copy()
                    put[turn] = faces[generator.choice(others)]
                    strange.append(bool(strange_faces(put, seen, own, margin)[turn]))
        cells = [f"{sum(marks)} of {len(marks)}" for marks in (right, strange)]
        print(f"| {margin:g} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
