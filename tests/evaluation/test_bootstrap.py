"""The bootstrap and the Holm correction against slow plain versions and known answers."""

import numpy as np
import pytest
from scipy.stats import kstest

from pipeline.core.registries import metrics as registry
from pipeline.evaluation import bootstrap, metrics
from pipeline.evaluation.metrics import METRICS
from pipeline.evaluation.sums import class_statistics


def made_up(seed: int, utterances: int = 90, dialogues: int = 12, classes: int = 4):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, utterances)
    predicted = np.where(rng.random(utterances) < 0.5, truth, rng.integers(0, classes, utterances))
    return truth, predicted, rng.integers(0, dialogues, utterances)


def test_resamples_equal_a_slow_loop():
    dialogues, classes, seeds, views = 12, 4, 3, 2
    cells = {(s, k): made_up(10 * s + k) for s in range(seeds) for k in range(views)}
    stacked = np.array(
        [[class_statistics(*cells[s, k], dialogues, classes) for k in range(views)] for s in range(seeds)]
    )
    draws = bootstrap.Resamples.draw(20, dialogues, seeds, seed=1)
    for name in registry.of_task("classification"):
        fast = bootstrap.resampled(stacked, METRICS[name].of_sums, draws)
        for number in range(len(fast)):
            for view in range(views):
                total = weight = 0.0
                for s in range(seeds):
                    truth, predicted, dialogue = cells[s, view]
                    rows = np.concatenate(
                        [
                            np.tile(np.flatnonzero(dialogue == d), int(draws.dialogues[number, d]))
                            for d in range(dialogues)
                        ]
                    )
                    values = np.eye(classes)[predicted[rows]]
                    plain = metrics.classification(truth[rows], values, tuple("abcd"))
                    total += draws.seeds[number, s] * plain[name]
                    weight += draws.seeds[number, s]
                assert fast[number, view] == pytest.approx(total / weight), name


def test_interval_covers_the_truth_as_often_as_it_says():
    """Accuracy of .7 with dialogues as the unit: about 95 of 100 intervals hold it."""
    rng = np.random.default_rng(0)
    dialogues, length, covered = 60, 5, 0
    for trial in range(200):
        # whole dialogues lean to easy or hard, so utterances are not independent
        easy = rng.choice([0.5, 0.9], dialogues)
        hit = rng.random((dialogues, length)) < easy[:, None]
        truth, predicted = np.zeros(dialogues * length, int), 1 - hit.ravel().astype(int)
        dialogue = np.repeat(np.arange(dialogues), length)
        one = class_statistics(truth, predicted, dialogue, dialogues, 2)
        draws = bootstrap.Resamples.draw(400, dialogues, 1, seed=trial)
        values = bootstrap.resampled(one[None, None], METRICS["accuracy"].of_sums, draws)[1:, 0]
        low, high = bootstrap.interval(values, 0.95)
        covered += low <= 0.7 <= high
    assert 0.90 <= covered / 200 <= 0.985


def test_p_is_uniform_without_a_difference():
    """Paired differences of dialogues around 0: p falls below each level as often as the level says."""
    rng, trials, dialogues = np.random.default_rng(0), 600, 80
    p = np.empty(trials)
    for trial in range(trials):
        gap = rng.normal(0, 1, dialogues)
        draws = bootstrap.Resamples.draw(400, dialogues, 1, seed=trial)
        p[trial] = bootstrap.two_sided((draws.dialogues[1:] @ gap) / dialogues)
    for level in (0.05, 0.1, 0.25, 0.5, 0.75, 0.9):
        # three standard errors of a share of the trials, and what 80 dialogues cost a percentile bootstrap
        slack = 3 * np.sqrt(level * (1 - level) / trials) + 0.01
        assert abs((p <= level).mean() - level) <= slack, level
    assert kstest(p, "uniform").statistic < 0.08


def test_p_of_known_cases():
    assert bootstrap.two_sided(np.full(999, 0.1)) == pytest.approx(bootstrap.least_p(999))
    assert bootstrap.two_sided(np.full(999, 0.1)) == pytest.approx(2 / 1000)
    assert bootstrap.two_sided(np.array([-1.0, 1.0] * 500)) == pytest.approx(1.0, abs=0.01)
    assert bootstrap.two_sided(np.zeros(100)) == 1.0


def test_holm_of_a_known_case():
    p = np.array([0.01, 0.04, 0.03, 0.005])
    assert bootstrap.holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert bootstrap.holm(np.array([0.5, 0.9])) == pytest.approx([1.0, 1.0])


def test_a_variant_without_seeds_meets_every_resample():
    one = class_statistics(*made_up(0), 12, 4)[None, None]
    draws = bootstrap.Resamples.draw(50, 12, 5, seed=0)
    alone = bootstrap.resampled(one, METRICS["accuracy"].of_sums, draws)
    five = bootstrap.resampled(np.repeat(one, 5, axis=0), METRICS["accuracy"].of_sums, draws)
    assert alone == pytest.approx(five)
