"""A dataset of a few dialogues with its masks, teachers and references, for tests that train students."""

from pathlib import Path

from dialogues import write_dataset, write_masks

from pipeline import references, student, teacher

SMALL = {
    "network": {"hidden": 16, "heads": 2},
    "training": {"epochs": 3, "batch": 4, "learning_rate": 0.01},
    "device": "cpu",
}


def outputs(folder: Path) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "weights": folder / "weights.safetensors",
        "epochs": folder / "epochs.safetensors",
        "history": folder / "history.parquet",
    }


class World:
    """A dataset, its masks, a teacher with its folds, and all kinds of references."""

    def __init__(self, root: Path, *, regression: bool = False) -> None:
        self.root = root
        self.dataset = write_dataset(root / "dataset", regression=regression)
        self.masks = write_masks(root / "masks.safetensors", self.dataset)
        self.teacher = self.train_teacher("teacher")
        self.folds = [self.train_teacher(f"fold{n}", held_out=n) for n in range(2)]
        self.others = [self.train_teacher(f"other{n}", held_out=n, seed=1) for n in range(2)]
        told_by = {"in_sample": [], "cross_fitted": self.folds, "ensemble": [*self.folds, *self.others]}
        self.references = {kind: self.tell(kind, folds) for kind, folds in told_by.items()}

    def train_teacher(self, name: str, **changes) -> Path:
        paths = outputs(self.root / name)
        teacher.run(teacher.Params(**SMALL, folds=2, **changes), dataset=self.dataset, **paths)
        return paths["weights"]

    def tell(self, kind: str, folds: list[Path]) -> Path:
        path = self.root / f"{kind}.safetensors"
        params = references.Params(references=kind, folds=2, device="cpu")
        references.run(params, dataset=self.dataset, teacher=self.teacher, folds=folds, references=path)
        return path

    def train_student(self, name: str, objective: dict, **changes) -> dict[str, Path]:
        paths = outputs(self.root / name)
        params = student.Params(**{**SMALL, **changes}, objective=objective)
        told = self.references[params.objective.references]
        student.run(
            params, dataset=self.dataset, masks=self.masks, references=[told], teacher=[self.teacher], **paths
        )
        return paths
