"""The dataset folder in memory, and batches of whole dialogues from it."""

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

from models.batch import Batch
from models.modalities import MODALITIES
from pipeline.core import artefacts
from pipeline.core.digests import facts_digest
from pipeline.core.errors import PipelineError
from pipeline.evaluation.trust import Trust

log = logging.getLogger("pipeline")

COLUMNS = ("row", "utterance", "dialogue", "position", "speaker", "split", "label", "score")
HELD_OUT = "held_out"  # the split of dialogues that a fold's teacher must not see
BUCKET = 16  # batches whose dialogues are sorted by length together


@dataclass(frozen=True)
class Dataset:
    """U utterances in dataset order; dialogues as rows of an index padded with -1.

    Everything lies on the CPU; a batch is a gather, so padding is worked out once, here.
    """

    utterances: pl.DataFrame
    facts: dict
    features: dict[str, torch.Tensor]  # by modality, float32 (U, D); with reliability inputs (U, D + K)
    available: torch.Tensor  # bool (U, 3), what the corpus really has
    label: torch.Tensor  # int64 (U,), -1: unlabelled
    score: torch.Tensor  # float32 (U,), NaN: none
    speaker: torch.Tensor  # int64 (U,), dialogue-relative, by first appearance
    names: tuple[str, ...]  # dialogues, in order of first appearance
    split: tuple[str, ...]  # split of each dialogue
    index: torch.Tensor  # int64 (dialogues, longest), rows of the dataset, -1 on padding
    dialogue: torch.Tensor  # int64 (U,), index into `names`
    gauges: dict[str, int] = field(default_factory=dict)  # K: the last columns of features, NaN: not known

    @staticmethod
    def load(folder: Path) -> "Dataset":
        """Read a dataset folder (docs/artefacts.md).

        Raises PipelineError if its files disagree in length, an available slot is not finite, a dialogue
        lies in two splits, or an utterance has no place in its dialogue.
        """
        tensors = artefacts.load_tensors(folder / "features.safetensors", [*MODALITIES, "available"])
        table = artefacts.load_table(folder / "utterances.parquet", COLUMNS)
        facts = artefacts.load_json(folder / "facts.json", ["task", "labels"])
        _check(folder, tensors, table)
        return Dataset.build(table, facts, tensors)

    def gauged(self, trust: Trust) -> "Dataset":
        """The same dataset with reliability inputs beside the features of each modality.

        Raises PipelineError if they are of other utterances.
        """
        trust.check(self.utterances["utterance"].to_list())
        features = {
            name: torch.cat([values, torch.from_numpy(trust.inputs[name])], dim=1)
            for name, values in self.features.items()
        }
        return replace(self, features=features, gauges=trust.counts)

    @staticmethod
    def build(table: pl.DataFrame, facts: dict, tensors: dict[str, np.ndarray]) -> "Dataset":
        """Arrange a table (columns `COLUMNS`) and arrays that were read or made elsewhere."""
        rows: dict[str, list[int]] = {}
        for row, name in enumerate(table["dialogue"]):
            rows.setdefault(name, []).append(row)
        position = table["position"].to_list()
        people, splits = table["speaker"].to_list(), table["split"].to_list()
        speaker = torch.zeros(len(table), dtype=torch.long)
        longest = max((len(members) for members in rows.values()), default=0)
        index = torch.full((len(rows), longest), -1, dtype=torch.long)
        dialogue = torch.zeros(len(table), dtype=torch.long)
        for number, members in enumerate(rows.values()):
            members.sort(key=lambda row: position[row])
            index[number, : len(members)] = torch.tensor(members)
            order: dict[str, int] = {}
            for row in members:
                speaker[row] = order.setdefault(people[row], len(order))
                dialogue[row] = number
        return Dataset(
            utterances=table,
            facts=facts,
            features={name: torch.from_numpy(tensors[name]).float() for name in MODALITIES},
            available=torch.from_numpy(tensors["available"] > 0),
            label=torch.from_numpy(table["label"].fill_null(-1).cast(pl.Int64).to_numpy().copy()),
            score=torch.from_numpy(table["score"].cast(pl.Float32).fill_null(float("nan")).to_numpy().copy()),
            speaker=speaker,
            names=tuple(rows),
            split=tuple(splits[members[0]] for members in rows.values()),
            index=index,
            dialogue=dialogue,
        )

    @property
    def digest(self) -> str:
        """What tells which utterances these are, in which order and splits."""
        splits = [self.split[number] for number in self.dialogue.tolist()]
        return facts_digest({"utterances": self.utterances["utterance"].to_list(), "splits": splits})

    @property
    def regression(self) -> bool:
        return self.facts["task"] == "regression"

    @property
    def outputs(self) -> int:
        """Classes, or 1 for a score."""
        return 1 if self.regression else len(self.facts["labels"])

    @property
    def dimensions(self) -> dict[str, int]:
        return {name: int(v.shape[1]) - self.gauges.get(name, 0) for name, v in self.features.items()}

    def dialogues(self, split: str) -> tuple[str, ...]:
        """Names of the dialogues of a split, in dataset order."""
        return tuple(name for name, own in zip(self.names, self.split, strict=True) if own == split)

    def rows(self, splits: Collection[str]) -> torch.Tensor:
        """Dataset rows of the given splits, ascending."""
        wanted = torch.tensor([own in splits for own in self.split], dtype=torch.bool)
        return wanted[self.dialogue].nonzero()[:, 0]

    def require_targets(self) -> None:
        """Raise PipelineError if the training split holds nothing to learn; log classes that it lacks.

        That is no target at all, or labels of one class alone.
        """
        rows = self.rows(["train"])
        remedy = (
            "Give utterances of its dialogues labels, check that the corpus's labels are read, or choose "
            "other splits. Features alone need none: snakemake --cores all features"
        )
        if self.regression:
            if not bool(torch.isfinite(self.score[rows]).any()):
                raise PipelineError(
                    f"split 'train': not one of its {len(rows)} utterances has a score, so nothing can be "
                    f"learnt. {remedy}"
                )
            return
        labels = self.label[rows]
        names = self.facts["labels"]
        counts = torch.bincount(labels[labels >= 0], minlength=len(names)).tolist()
        found = [name for name, count in zip(names, counts, strict=True) if count]
        if len(found) < 2:
            what = f"is labelled other than {found[0]!r}" if found else "has a label"
            raise PipelineError(
                f"split 'train': not one of its {len(rows)} utterances {what}, so nothing can be learnt. "
                f"{remedy}"
            )
        if lacking := [name for name in names if name not in found]:
            log.info(
                "split 'train': nothing can learn %s, for no utterance is so labelled", ", ".join(lacking)
            )

    def holding_out(self, names: Collection[str]) -> "Dataset":
        """The same dataset with the given dialogues moved to the split `HELD_OUT`."""
        out = set(names)
        moved = (HELD_OUT if name in out else own for name, own in zip(self.names, self.split, strict=True))
        return replace(self, split=tuple(moved))

    def batch(self, numbers: torch.Tensor) -> Batch:
        """The dialogues of the given numbers (indices into `names`) as one batch, in that order."""
        index = self.index[numbers]
        index = index[:, : int((index >= 0).sum(dim=1).max())]
        valid, row = index >= 0, index.clamp(min=0)
        return Batch(
            features={name: value[row] for name, value in self.features.items()},
            available=self.available[row] & valid[..., None],
            speaker=torch.where(valid, self.speaker[row], 0),
            valid=valid,
            label=torch.where(valid, self.label[row], -1),
            score=torch.where(valid, self.score[row], torch.nan),
            row=index,
        )

    def batches(
        self, splits: Sequence[str], size: int, generator: torch.Generator | None = None
    ) -> Iterator[Batch]:
        """Batches of `size` dialogues of similar length; shuffled only if a generator is given.

        Without one the order is by length, then by dataset order.
        """
        numbers = torch.tensor([n for n, own in enumerate(self.split) if own in splits], dtype=torch.long)
        length = (self.index[numbers] >= 0).sum(dim=1)
        if generator is None:
            order = length.argsort(stable=True)
            groups = list(order.split(size))
        else:
            order = torch.randperm(len(numbers), generator=generator)
            sorted_ = [part[length[part].argsort(stable=True)] for part in order.split(size * BUCKET)]
            groups = [group for part in sorted_ for group in part.split(size)]
            groups = [groups[n] for n in torch.randperm(len(groups), generator=generator)]
        for group in groups:
            if len(group):
                yield self.batch(numbers[group])


def _check(folder: Path, tensors: dict[str, np.ndarray], table: pl.DataFrame) -> None:
    """Raise PipelineError where the parts of a dataset folder contradict each other."""
    remedy = "Rerun the dataset stage."
    for name, array in tensors.items():
        if len(array) != len(table):
            raise PipelineError(
                f"{folder}: the array {name!r} has {len(array)} rows and utterances.parquet "
                f"{len(table)}. {remedy}"
            )
    available = tensors["available"] > 0
    for column, name in enumerate(MODALITIES):
        bad = available[:, column] & ~np.isfinite(tensors[name]).all(axis=1)
        if bad.any():
            row = int(bad.argmax())
            raise PipelineError(
                f"{folder}/features.safetensors, row {row} ({table['utterance'][row]}): the {name} features "
                f"are marked as available and are not finite. {remedy}"
            )
    several = table.group_by("dialogue").agg(pl.col("split").n_unique()).filter(pl.col("split") != 1)
    if len(several):
        raise PipelineError(
            f"{folder}/utterances.parquet: dialogue {several['dialogue'].min()!r} lies in more than one "
            f"split, so its test score would mean nothing. {remedy}"
        )
    twice = table.select("dialogue", "position").is_duplicated()
    if twice.any():
        row = int(twice.arg_max() or 0)
        raise PipelineError(
            f"{folder}/utterances.parquet, row {row}: dialogue {table['dialogue'][row]!r} has two utterances "
            f"at position {table['position'][row]}. {remedy}"
        )
