"""Training and evaluation speed, beside the bare forward and backward of the same network.

    python benchmarks/training.py

Everything is timed in this one process, in turns, and printed as medians of several rounds: compare the
ratios, not the seconds. An utterance counts once a pass over the data, however many views are made of it.
`bare` is the network's forward (and backward of a plain sum) on the very tensors that the pipeline's step
makes, already in memory: the complete, the incomplete and the conflict view of a batch in one pass.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models.batch import Batch
from models.masks import fixed_mask
from models.modalities import SUBSETS
from models.passes import References
from models.views import conflict_view, incomplete_view
from pipeline.evaluation.passes import clean_logits
from pipeline.settings.network import NetworkSettings
from pipeline.settings.objective import ObjectiveSettings
from pipeline.settings.training import TrainingSettings
from pipeline.training import loop
from pipeline.training.dialogues import Dataset
from pipeline.training.step import Step

WIDTHS = {"text": 768, "audio": 768, "visual": 512}  # of the public encoders
CLASSES = 7


def made_dataset(dialogues: int, utterances: int, seed: int = 0) -> Dataset:
    """Random features and labels in the shape of a real corpus; every split has `dialogues` dialogues."""
    random = np.random.default_rng(seed)
    count = 2 * dialogues * utterances
    number = np.arange(count) // utterances
    table = pl.DataFrame(
        {
            "row": np.arange(count, dtype=np.int32),
            "utterance": [f"u{row}" for row in range(count)],
            "dialogue": [f"d{value}" for value in number],
            "position": (np.arange(count) % utterances).astype(np.int32),
            "speaker": [f"s{value}" for value in random.integers(0, 4, count)],
            "split": ["train" if value < dialogues else "test" for value in number],
            "label": pl.Series(random.integers(0, CLASSES, count), dtype=pl.Int32),
            "score": pl.Series([None] * count, dtype=pl.Float32),
        }
    )
    tensors = {name: random.normal(size=(count, width)).astype(np.float32) for name, width in WIDTHS.items()}
    tensors["available"] = (random.random((count, 3)) < 0.95).astype(np.uint8)
    facts = {"task": "classification", "labels": [str(value) for value in range(CLASSES)]}
    return Dataset.build(table, facts, tensors)


def made_references(data: Dataset, hidden: int) -> References:
    """References of the right shapes; what they say does not change the cost."""
    torch.manual_seed(0)
    count = len(data.available)
    return References(
        *(
            torch.randn(count, *shape)
            for shape in ((CLASSES,), (hidden,), (3, hidden), (3, CLASSES), (CLASSES,))
        )
    )


def views_of(step: Step, batch: Batch, generator: torch.Generator) -> Batch:
    """The three views of a batch as the step draws them, as one batch."""
    rates = step.objective.views
    shown = incomplete_view(batch.available, rates.fixed_share, rates.subsets, rates.rates, generator)
    target = torch.where(batch.valid, step.target[batch.row.clamp(min=0)], torch.nan)
    dialogue = step.dialogue[batch.row[:, 0]]
    conflict = conflict_view(batch, dialogue, target, step.donors, step.rates, generator)
    return Batch.cat([batch, batch.showing(shown), conflict.batch])


class Bench:
    """One corpus size and one network: the four things that are timed."""

    def __init__(self, dialogues: int, utterances: int, batch: int, device: torch.device) -> None:
        self.data, self.device = made_dataset(dialogues, utterances), device
        self.count = dialogues * utterances
        network = NetworkSettings()
        self.settings = TrainingSettings(epochs=1, batch=batch)
        self.network = loop.build_network(self.data, network, 0).to(device)
        told = made_references(self.data, network.hidden).to(device)
        self.step = Step(self.data, ObjectiveSettings(), told, device)
        generator = torch.Generator().manual_seed(0)
        batches = self.data.batches(["train"], batch, generator)
        self.stacked = [views_of(self.step, own, generator).to(device) for own in batches]
        self.test = Batch.cat(self.data.batches(["test"], 256)).to(device)
        self.views = [self.test.available, *(fixed_mask(self.test.available, name) for name in SUBSETS)]
        self.viewed = [self.test.showing(view) for view in self.views]

    def train(self) -> None:
        """One epoch as the student stage makes it, without the validation that follows."""
        network = loop.build_network(self.data, NetworkSettings(), 0)
        loop.fit(
            network,
            self.data,
            self.step,
            self.step.weights,
            lambda network: {"validation": 0.0},
            self.settings,
            seed=0,
            device=self.device,
        )

    def bare_train(self) -> None:
        self.network.train()
        for batch in self.stacked:
            output = self.network(batch)
            self.network.zero_grad(set_to_none=True)
            (output.logits.sum() + output.fused.sum() + output.states.sum()).backward()

    def evaluate(self) -> None:
        """The complete view and the six fixed subsets, as the evaluate stage asks for them."""
        self.network.eval()
        for view in self.views:
            clean_logits(self.network, self.test.showing(view), 4096)

    @torch.inference_mode()
    def bare_evaluate(self) -> None:
        self.network.eval()
        for batch in self.viewed:
            self.network(batch)

    def seconds(self, rounds: int) -> dict[str, float]:
        """Median seconds of each, timed in turns so that a slow moment of the machine hits all alike."""
        what = ("train", "bare_train", "evaluate", "bare_evaluate")
        taken: dict[str, list[float]] = {name: [] for name in what}
        for name in what:
            getattr(self, name)()  # warm
        for _ in range(rounds):
            for name in what:
                taken[name].append(self.timed(getattr(self, name)))
        return {name: statistics.median(values) for name, values in taken.items()}

    def timed(self, work: Callable[[], None]) -> float:
        start = time.perf_counter()
        work()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start


def rows(sizes: list[tuple[int, int]], batch: int, rounds: int, device: torch.device) -> Iterator[dict]:
    """One row a corpus size: utterances a second of each, and the shares of the bare speed."""
    for dialogues, utterances in sizes:
        bench = Bench(dialogues, utterances, batch, device)
        taken = bench.seconds(rounds)
        seen = bench.count * len(bench.views)
        yield {
            "dialogues": dialogues,
            "utterances each": utterances,
            "train, utt/s": bench.count / taken["train"],
            "bare, utt/s": bench.count / taken["bare_train"],
            "train share": taken["bare_train"] / taken["train"],
            "evaluate, utt/s": seen / taken["evaluate"],
            "bare eval, utt/s": seen / taken["bare_evaluate"],
            "evaluate share": taken["bare_evaluate"] / taken["evaluate"],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32, help="dialogues a batch")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="one small size only, to see that it runs")
    parser.add_argument("--csv", type=Path, help="also write the table there")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    by_length = [(384 * 6 // length, length) for length in (6, 12, 24, 48, 96)]
    by_size = [(count, 12) for count in (96, 384, 768)]
    sizes = [(16, 4)] if options.small else by_length + by_size
    table = pl.DataFrame(list(rows(sizes, options.batch, options.rounds, torch.device(options.device))))
    print(
        f"{options.device}, {options.threads} threads, {options.batch} dialogues a batch, medians of "
        f"{options.rounds}"
    )
    with pl.Config(
        tbl_cols=-1,
        tbl_rows=-1,
        float_precision=2,
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        tbl_width_chars=160,
    ):
        print(table)
    if options.csv:
        table.write_csv(options.csv)


if __name__ == "__main__":
    main()
