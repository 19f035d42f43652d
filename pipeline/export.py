"""Stage export: one trained network as a folder that annotates videos wherever it is taken."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from models.modalities import MODALITIES
from pipeline.annotation.card import model_card
from pipeline.annotation.facts import EMBEDDED_NOTICE, FORMAT, EncoderFacts, ExtractionFacts, ModelFacts
from pipeline.core import artefacts, seals, stage
from pipeline.core.digests import folder_digests
from pipeline.core.errors import PipelineError
from pipeline.core.filling import filling
from pipeline.core.origins import source_of
from pipeline.core.registries.encoders import BUILT_IN
from pipeline.evaluation.results import Results
from pipeline.settings.base import Settings
from pipeline.settings.encoders import EncodersSettings
from pipeline.settings.faces import ChooserSettings, FacesSettings
from pipeline.settings.media import MediaSettings
from pipeline.settings.report import ReportSettings
from pipeline.training import checkpoint
from pipeline.training.normalisation import stored

log = logging.getLogger("pipeline")


class Params(Settings):
    """Settings of the stage."""

    run: str = Field("run", description="name of the run, for the card")
    fold: str = Field("main", description="fold that the network was trained on")
    variant: str = Field("corekd", description="the variant that is exported")
    seed: int = Field(0, ge=0, description="its training seed")
    encoders: EncodersSettings = Field(EncodersSettings(), description="how the features were made")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="of the encoders")
    faces: FacesSettings = Field(FacesSettings(), description="how the faces were found")
    chooser: ChooserSettings = Field(ChooserSettings(), description="the network that chose them, if one did")
    media: MediaSettings = Field(MediaSettings(), description="how media files were read")
    report: ReportSettings = Field(ReportSettings(), description="main metric of the card's table")


def encoder_facts(params: Params, folders: Sequence[Path]) -> dict[str, EncoderFacts]:
    """Where each encoder comes from; `folders` in the order of the modalities, or none for given features."""
    if not folders:
        return {name: EncoderFacts(source="none", files={}) for name in MODALITIES}
    found = {}
    for name, folder in zip(MODALITIES, folders, strict=True):
        seals.check_folder(folder, source_of(folder))
        files = folder_digests(folder)
        weights = getattr(params.encoders, name).weights
        if params.encoders.standins or weights.name in BUILT_IN:
            found[name] = EncoderFacts(source="included", files=files)
        else:
            found[name] = EncoderFacts(source="public", weights=weights, files=files)
    return found


def chooser_facts(params: Params, folder: Path | None) -> EncoderFacts:
    """Which network chose the faces; its weights are public."""
    if folder is None:
        return EncoderFacts(source="none", files={})
    seals.check_folder(folder, source_of(folder))
    return EncoderFacts(source="public", weights=params.chooser.weights, files=folder_digests(folder))


def run(
    params: Params,
    *,
    weights: Path,
    dataset: Path,
    encoders: list[Path],
    chooser: Path | None = None,
    scores: Path,
    comparisons: Path,
    folder: Path,
) -> None:
    """Write the folder (docs/artefacts.md, "An exported model").

    Raises PipelineError if the scores do not hold the variant.
    """
    trained = checkpoint.describe(weights)
    known = artefacts.load_json(dataset / "facts.json", ["corpus", "task", "labels"])
    embedded = known["corpus"] == "embedded"
    facts = ModelFacts(
        format=FORMAT,
        run=params.run,
        corpus=known["corpus"],
        fold=params.fold,
        variant=params.variant,
        seed=params.seed,
        task=known["task"],
        labels=known["labels"] if known["task"] == "classification" else [],
        modalities=list(MODALITIES),
        shown=list(trained.shown),
        network=trained.name,
        shape=trained.shape,
        extraction=ExtractionFacts(
            faces=params.faces,
            media=params.media,
            text=params.encoders.text,
            audio=params.encoders.audio,
            visual=params.encoders.visual,
        ),
        precision=params.precision,
        encoders=encoder_facts(params, encoders),
        chooser=chooser_facts(params, chooser),
        notice=EMBEDDED_NOTICE if embedded else "",
    )
    table = artefacts.load_table(scores)
    if params.variant not in table["variant"].unique().to_list():
        raise PipelineError(
            f"{scores}: no score of the variant {params.variant!r}. Delete it and rerun the stage scores."
        )
    results = Results(table, artefacts.load_table(comparisons))
    own = table.filter(
        pl.col("variant") == params.variant,
        pl.col("seed") == params.seed,
        pl.col("fold") == params.fold,
        pl.col("checkpoint") == "selected",
    )
    with filling(folder) as target:
        shutil.copyfile(weights, target / "weights.safetensors")
        arrays = artefacts.load_tensors(dataset / "features.safetensors")
        statistics = {
            key: own for name in MODALITIES for key, own in stored(arrays, name).arrays(name).items()
        }
        artefacts.save_tensors(target / "normalisation.safetensors", statistics)
        artefacts.save_json(target / "config.json", facts.model_dump(mode="json"))
        for name, source in zip(MODALITIES, encoders, strict=False):
            if facts.encoders[name].source == "included":
                shutil.copytree(source, target / "encoders" / name, ignore=shutil.ignore_patterns(".*"))
        metric = params.report.main(facts.task)
        selection = artefacts.load_metadata(weights)
        artefacts.save_text(
            target / "README.md", model_card(facts, results, own, metric, int(selection["epoch"]))
        )
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    log.info("%s, seed %d: %.1f MB", params.variant, params.seed, size / 1e6)


if __name__ == "__main__":
    stage.main(
        run,
        Params,
        inputs=("weights", "dataset", "encoders*", "chooser?", "scores", "comparisons"),
        outputs=("folder",),
    )
