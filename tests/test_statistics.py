"""The bootstrap and the Holm correction against slow plain versions and known answers."""

import numpy as np
import pytest
from scipy.stats import kstest

from pipeline.evaluation import bootstrap, metrics


def made_up(seed: int, utterances: int = 90, dialogues: int = 12, classes: int = 4):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, utterances)
    predicted = np.where(rng.random(utterances) < 0.5, truth, rng.integers(0, classes, utterances))
    return truth, predicted, rng.integers(0, dialogues, utterances)


def test_resamples_equal_a_slow_loop():
    dialogues, classes, seeds, views = 12, 4, 3, 2
    cells = {(s, k): made_up(10 * s + k) for s in range(seeds) for k in range(views)}
    stacked = np.array(
        [
            [bootstrap.class_statistics(*cells[s, k], dialogues, classes) for k in range(views)]
            for s in range(seeds)
        ]
    )
    draws = bootstrap.Resamples.draw(20, dialogues, seeds, seed=1)
    for name, function in bootstrap.CLASS_METRICS.items():
        fast = bootstrap.resampled(stacked, function, draws)
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


def test_score_statistics_equal_the_metrics():
    rng = np.random.default_rng(0)
    truth = rng.integers(-6, 7, 200) / 2
    score = truth + rng.normal(0, 1, 200)
    dialogue = rng.integers(0, 9, 200)
    sums = bootstrap.score_statistics(truth, score, dialogue, 9)
    assert sums.shape == (9, 20)
    found = metrics.regression(truth, score)
    for name, function in bootstrap.SCORE_METRICS.items():
        assert function(sums.sum(axis=0)) == pytest.approx(found[name]), name


def test_conflict_statistics_equal_the_metrics():
    rng = np.random.default_rng(0)
    predicted, clean = rng.integers(0, 4, (2, 150))
    truth = rng.integers(-1, 4, 150)  # a true score of 0 is -1: on neither side
    reference, dialogue = rng.integers(-1, 4, 150), rng.integers(0, 7, 150)
    sums = bootstrap.conflict_statistics(
        truth, predicted, clean, reference, dialogue=dialogue, dialogues=7
    ).sum(axis=0)
    found = metrics.conflict(truth, predicted, clean, reference)
    for name, function in bootstrap.CONFLICT_METRICS.items():
        assert function(sums) == pytest.approx(found[name]), name


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
        one = bootstrap.class_statistics(truth, predicted, dialogue, dialogues, 2)
        draws = bootstrap.Resamples.draw(400, dialogues, 1, seed=trial)
        values = bootstrap.resampled(one[None, None], bootstrap.accuracy, draws)[1:, 0]
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
    one = bootstrap.class_statistics(*made_up(0), 12, 4)[None, None]
    draws = bootstrap.Resamples.draw(50, 12, 5, seed=0)
    alone = bootstrap.resampled(one, bootstrap.accuracy, draws)
    five = bootstrap.resampled(np.repeat(one, 5, axis=0), bootstrap.accuracy, draws)
    assert alone == pytest.approx(five)
