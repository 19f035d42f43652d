"""A run folder with made-up predictions, and its scores, for the tests of tables and figures."""

import polars as pl
from protocol_fakes import fake_predictions, write_dataset, write_predictions, write_protocol

from models.conditions import DONOR_KINDS, Condition
from models.modalities import CHANNELS
from pipeline import scores
from pipeline.core import artefacts
from pipeline.settings.report import ReportSettings

SKILLS = {"teacher": 0.5, "corekd": 0.9, "csa": 0.7}


REPORT = ReportSettings(resamples=300)


SWAPPED = [str(Condition.conflict(letters, kind)) for letters in CHANNELS for kind in DONOR_KINDS]


def make(run, folds=("main",), task="classification", skills=SKILLS):
    """A run folder with predictions, ceilings and scores."""
    files = {name: [] for name in ("dataset", "masks", "conflicts", "predictions", "simple", "ceilings")}
    for number, name in enumerate(folds):
        fold = run / name
        files["dataset"].append(write_dataset(fold / "dataset", dialogues=30, task=task, seed=number))
        rename(fold / "dataset" / "utterances.parquet", name)
        masks, conflicts = write_protocol(fold)
        files["masks"].append(masks)
        files["conflicts"].append(conflicts)
        for variant, skill in skills.items():
            for seed in (0, 1):
                path = write_predictions(fold, variant, seed, skill, ("selected", "oracle"))
                files["predictions"].append(path)
        rows = [
            fake_predictions(fold, (name, 0), skill).with_columns(variant=pl.lit(name))
            for name, skill in (("product", 0.5), ("product_chain", 0.6), ("early_chain", 0.6))
        ]
        artefacts.save_table(fold / "simple.parquet", pl.concat(rows))
        files["simple"].append(fold / "simple.parquet")
        if task == "classification":
            frames = [
                fake_predictions(fold, ("ceiling", 0), 0.95).with_columns(variant=pl.lit("readable_ceiling")),
                fake_predictions(fold, ("knowing", 0), 0.95)
                .filter(pl.col("condition").is_in(SWAPPED))
                .with_columns(variant=pl.lit("readable_ceiling_knowing")),
            ]
            artefacts.save_table(fold / "ceilings.parquet", pl.concat(frames))
            files["ceilings"].append(fold / "ceilings.parquet")
    return files


def rename(path, fold):
    """Utterances of another name in every fold, as no two of them test the same one."""
    own = pl.concat_str(pl.lit(fold), "utterance").alias("utterance")
    artefacts.save_table(path, artefacts.load_table(path).with_columns(own))


def score(run, files, report=REPORT):
    out = {name: run / "results" / f"{name}.parquet" for name in ("scores", "comparisons")}
    scores.run(scores.Params(report=report), **files, **out)
    return {name: artefacts.load_table(path) for name, path in out.items()}
