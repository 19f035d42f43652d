"""The ceilings stage on a small dataset that the test writes itself."""

import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from latent_corpus import PROCESS, write_corpus

from models.conditions import DONOR_KINDS, Condition
from models.modalities import CHANNELS, SUBSETS
from pipeline.ceilings import Params, run
from pipeline.core import artefacts, stage
from pipeline.core.errors import PipelineError
from pipeline.synth.evidence import conflict_likelihoods, likelihoods, perfect_readings
from pipeline.synth.process import cue_table
from pipeline.synth.readers import fit_reader


def run_on(folder: Path, name: str = "ceilings.parquet") -> pl.DataFrame:
    run(
        Params(process=PROCESS, strengths=(0.03, 0.3)),
        latent=[folder / "0.parquet", folder / "1.parquet"],
        dataset=folder / "dataset",
        masks=folder / "masks.safetensors",
        conflicts=folder / "conflicts.parquet",
        ceilings=folder / name,
    )
    return artefacts.load_table(folder / name)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ceilings")
    write_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def table(corpus: Path) -> pl.DataFrame:
    return run_on(corpus)


def accuracy(folder: Path, table: pl.DataFrame, variant: str, condition: str) -> float:
    label = artefacts.load_table(folder / "dataset" / "utterances.parquet")["label"].to_numpy()
    part = table.filter(pl.col("variant") == variant, pl.col("condition") == condition)
    assert part.height
    return float(
        (np.array(part["probabilities"].to_list()).argmax(1) == label[part["row"].to_numpy()]).mean()
    )


def test_every_condition_and_variant_is_there(corpus: Path, table: pl.DataFrame) -> None:
    clean = {
        "complete",
        *(str(Condition.fixed(letters)) for letters in SUBSETS),
        "random/0.3",
        "random/0.6",
    }
    swapped = {str(Condition.conflict(letters, kind)) for letters in CHANNELS for kind in DONOR_KINDS}
    rows = artefacts.load_table(corpus / "dataset" / "utterances.parquet").filter(pl.col("split") == "test")
    for name in ("cue_ceiling", "readable_ceiling"):
        for suffix, wanted in (
            ("", clean | swapped),
            ("_no_context", clean | swapped),
            ("_knowing", swapped),
        ):
            part = table.filter(pl.col("variant") == name + suffix)
            assert set(part["condition"]) == wanted
            assert part.select("row", "condition", "draw").is_unique().all()
        for condition in clean:
            part = table.filter(variant=name, condition=condition)
            assert set(part["row"]) == set(rows["row"])
            assert set(part["draw"]) == ({0, 1} if Condition.parse(condition).rate else {0})
    probabilities = np.array(table["probabilities"].to_list())
    assert probabilities.shape[1] == 7 and (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


def test_order_of_the_ceilings(corpus: Path, table: pl.DataFrame) -> None:
    for condition in ("complete", "fixed/t", "random/0.6"):
        cue = accuracy(corpus, table, "cue_ceiling", condition)
        assert cue >= accuracy(corpus, table, "readable_ceiling", condition) - 0.02
    assert accuracy(corpus, table, "cue_ceiling", "complete") > 0.7
    assert accuracy(corpus, table, "cue_ceiling", "complete") > accuracy(
        corpus, table, "cue_ceiling", "fixed/t"
    )
    for name in ("cue_ceiling", "readable_ceiling"):
        condition = "conflict/av/different"
        assert accuracy(corpus, table, f"{name}_knowing", condition) > accuracy(
            corpus, table, name, condition
        )
        assert accuracy(corpus, table, name, "conflict/av/same") > accuracy(corpus, table, name, condition)


def test_reruns_are_equal(corpus: Path, table: pl.DataFrame) -> None:
    assert run_on(corpus, "again.parquet").equals(table)


def test_sharp_features_reach_the_cue_ceiling_where_faces_are_visible(tmp_path: Path) -> None:
    write_corpus(tmp_path, noise=0.02)
    table = run_on(tmp_path)
    for condition in ("fixed/t", "fixed/a", "fixed/at"):
        gap = accuracy(tmp_path, table, "cue_ceiling", condition)
        gap -= accuracy(tmp_path, table, "readable_ceiling", condition)
        assert abs(gap) < 0.03


def test_absent_and_listener_faces_emit_nothing(corpus: Path, table: pl.DataFrame) -> None:
    # a hidden face leaves the cue ceiling of V with what the context says, whatever cue the latent names
    latent = pl.concat([artefacts.load_table(corpus / f"{part}.parquet") for part in (0, 1)])
    order = artefacts.load_table(corpus / "dataset" / "utterances.parquet").join(latent, on="utterance")
    hidden = set(order.filter(pl.col("hidden") != "", pl.col("split") == "test")["row"].to_list())
    pair = [
        table.filter(pl.col("variant") == "cue_ceiling_no_context", pl.col("condition") == condition)
        .sort("row")
        .filter(pl.col("row").is_in(hidden))["probabilities"]
        .to_list()
        for condition in ("fixed/tv", "fixed/t")
    ]
    assert pair[0] and pair[0] == pair[1]


def test_known_conflicts_are_the_sum_over_donor_labels() -> None:
    table = cue_table(PROCESS)
    rng = np.random.default_rng(4)
    own, donor = rng.random((2, 5, 3, 7)) + 0.01
    prior = rng.dirichlet(np.ones(7))
    swapped = np.array([False, True, True])
    cases = {kind: np.zeros((5, 7)) for kind in ("different", "same", "shuffled")}
    for u, y in itertools.product(range(5), range(7)):
        kept = float(table[y].sum((1, 2)) @ own[u, 0])
        told = np.einsum("dijk,j,k->d", table, donor[u, 1], donor[u, 2])
        others = np.array([prior[d] if d != y else 0 for d in range(7)])
        cases["same"][u, y] = kept * told[y]
        cases["different"][u, y] = kept * (others / others.sum()) @ told
        cases["shuffled"][u, y] = kept
    for kind, expected in cases.items():
        found = conflict_likelihoods(table, own, donor, swapped, kind=kind, prior=prior)
        np.testing.assert_allclose(found / found.sum(1)[:, None], expected / expected.sum(1)[:, None])
    blind = conflict_likelihoods(table, own, donor, swapped, kind=None, prior=prior)
    mixed = np.stack([own[:, 0], donor[:, 1], donor[:, 2]], axis=1)
    np.testing.assert_allclose(blind, np.einsum("eijk,ui,uj,uk->ue", table, *mixed.transpose(1, 0, 2)))


def test_perfect_readings_pick_the_cell_of_the_table() -> None:
    table = cue_table(PROCESS)
    found = likelihoods(table, perfect_readings(np.array([[3, 2, 0]]), np.array([[True, False, True]])))
    np.testing.assert_allclose(found[0], table[:, 3, :, 0].sum(1), atol=1e-3)
    nothing = likelihoods(table, perfect_readings(np.array([[3, 2, 0]]), np.zeros((1, 3), dtype=bool)))
    np.testing.assert_allclose(nothing, 1)


def test_readers_are_calibrated_and_say_nothing_about_unseen_cues() -> None:
    rng = np.random.default_rng(8)
    cues = rng.choice([0, 2, 3], 1500, p=[0.5, 0.3, 0.2])
    features = np.eye(7)[cues] + 0.7 * rng.standard_normal((1500, 7))
    reader = fit_reader(
        "text", (features[:700], cues[:700]), (features[700:1000], cues[700:1000]), (0.1, 1.0)
    )
    readings = reader.readings(features[1000:])
    assert (readings[:, [1, 4, 5, 6]] == 1).all()
    posterior = readings[:, [0, 2, 3]] * reader.prior
    np.testing.assert_allclose(posterior.sum(1), 1, atol=1e-6)
    seen = np.searchsorted([0, 2, 3], cues[1000:])
    assert abs(posterior.max(1).mean() - (posterior.argmax(1) == seen).mean()) < 0.05


def test_faults_are_named(corpus: Path, tmp_path: Path) -> None:
    paths = dict(
        dataset=corpus / "dataset",
        masks=corpus / "masks.safetensors",
        conflicts=corpus / "conflicts.parquet",
        ceilings=tmp_path / "c.parquet",
    )
    with pytest.raises(PipelineError, match="in none of the latent tables"):
        run(Params(process=PROCESS), latent=[corpus / "0.parquet"], **paths)
    with pytest.raises(PipelineError, match="training utterances show 1 different cues"):
        fit_reader("audio", (np.ones((3, 2)), np.zeros(3, int)), (np.ones((3, 2)), np.zeros(3, int)), (1.0,))


def test_the_command_line(corpus: Path, tmp_path: Path, table: pl.DataFrame) -> None:
    params = Params(process=PROCESS, strengths=(0.03, 0.3)).model_dump_json()
    flags = [
        *("--params", params, "--latent", str(corpus / "0.parquet"), str(corpus / "1.parquet")),
        *("--dataset", str(corpus / "dataset"), "--masks", str(corpus / "masks.safetensors")),
        *(
            "--conflicts",
            str(corpus / "conflicts.parquet"),
            "--ceilings",
            str(tmp_path / "new" / "c.parquet"),
        ),
    ]
    inputs = ("latent*", "dataset", "masks", "conflicts")
    stage.main(run, Params, inputs=inputs, outputs=("ceilings",), argv=flags)
    assert artefacts.load_table(tmp_path / "new" / "c.parquet").equals(table)
