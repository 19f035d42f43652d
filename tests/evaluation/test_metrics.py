"""Metrics against known answers and against slow plain versions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, mean_absolute_error

from pipeline.core.registries import metrics as registry
from pipeline.evaluation import agreement, calibration, metrics, sums

LABELS = ("a", "b", "c", "d")


def soft(predicted: np.ndarray) -> np.ndarray:
    return np.eye(len(LABELS))[predicted] * 0.7 + 0.075


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_classification_equals_scikit_learn(pairs):
    truth, predicted = np.array(pairs).T
    found = metrics.classification(truth, soft(predicted), LABELS)
    assert found["accuracy"] == pytest.approx((truth == predicted).mean())
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, predicted))
    plain = {"labels": range(4), "zero_division": 0}
    assert found["weighted_f1"] == pytest.approx(f1_score(truth, predicted, average="weighted", **plain))
    assert found["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro", **plain))
    for label, value in zip(LABELS, f1_score(truth, predicted, average=None, **plain), strict=True):
        assert found[f"f1/{label}"] == pytest.approx(value)
    assert (
        agreement.confusion(truth, predicted, 4) == confusion_matrix(truth, predicted, labels=range(4))
    ).all()
    assert agreement.weighted_f1(truth, predicted) == pytest.approx(found["weighted_f1"])


def test_majority_of_meld_is_where_its_literature_has_it():
    """1256 of 2610 neutral: always answering neutral gives a weighted F1 of 31.3 %."""
    truth = np.repeat([0, 1], [1256, 2610 - 1256])
    assert agreement.weighted_f1(truth, np.zeros(2610, int)) == pytest.approx(0.3127, abs=2e-4)


def test_calibration_error_of_known_cases():
    truth = np.array([0] * 8 + [1] * 2)
    calibrated = np.tile([0.8, 0.2], (10, 1))
    assert calibration.calibration_error(truth, calibrated) == pytest.approx(0)
    certain = np.tile([1.0, 0.0], (10, 1))
    assert calibration.calibration_error(truth, certain) == pytest.approx(0.2)


def test_calibration_error_equals_a_loop():
    rng = np.random.default_rng(0)
    values = rng.dirichlet([1, 1, 1], 400)
    truth = rng.integers(0, 3, 400)
    top, right = values.max(axis=1), values.argmax(axis=1) == truth
    total = 0.0
    for low in range(15):
        inside = (top >= low / 15) & ((top < (low + 1) / 15) | (low == 14))
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - top[inside].mean())
    assert calibration.calibration_error(truth, values) == pytest.approx(total)


def test_seven_classes_round_half_away_from_zero():
    score = np.array([-3.4, -2.5, -0.5, -0.49, 0.5, 1.5, 2.5, 9.0])
    assert agreement.seven_classes(score).tolist() == [-3, -3, -1, 0, 1, 2, 3, 3]


def test_sentiment_metrics_of_a_known_case():
    truth = np.array([-2.0, 0.0, 1.0, 3.0])
    score = np.array([-1.0, -0.2, 2.0, -0.1])
    found = metrics.regression(truth, score)
    assert found["acc2_nonneg"] == pytest.approx(2 / 4)  # the true zero counts as non-negative
    assert found["acc2_pos"] == pytest.approx(2 / 3)  # and is left out here
    assert found["mae"] == pytest.approx((1 + 0.2 + 1 + 3.1) / 4)
    assert found["pearson"] == pytest.approx(np.corrcoef(truth, score)[0, 1])
    assert found["acc7"] == pytest.approx(1 / 4)
    # negatives: precision 1/2, recall 1; positives: precision 1, recall 1/2: F1 2/3 both
    assert found["f1_pos"] == pytest.approx(2 / 3)
    assert metrics.regression(truth, np.ones(4))["pearson"] == 0.0


SCORES = st.floats(-3, 3).map(lambda value: round(value, 1))


@given(st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=40))
@settings(max_examples=100, deadline=None)
def test_sentiment_metrics_equal_scikit_learn_and_scipy(pairs):
    truth, score = np.array(pairs).T
    truth = truth if (truth != 0).any() else truth - 1  # some utterance takes a side
    found = metrics.regression(truth, score)
    assert found["mae"] == pytest.approx(mean_absolute_error(truth, score))
    if len(set(truth)) > 1 and len(set(score)) > 1:
        assert found["pearson"] == pytest.approx(pearsonr(truth, score).statistic, abs=1e-9)
    plain = {"average": "weighted", "zero_division": 0}
    assert found["f1_nonneg"] == pytest.approx(f1_score(truth >= 0, score >= 0, **plain))
    polar = truth != 0
    assert found["f1_pos"] == pytest.approx(f1_score(truth[polar] > 0, score[polar] > 0, **plain))


def test_a_true_score_of_zero_counts_for_the_rates_alone():
    """Targets of scores 2, 0, -1 and 0: two are right or wrong, all four have a donor."""
    truth, predicted = np.array([1, -1, 0, -1]), np.array([1, 0, 1, 1])
    clean, reference = np.array([1, 1, 0, 0]), np.array([0, 0, 1, 1])
    found = metrics.conflict(truth, predicted, clean, reference)
    assert found["accuracy"] == 0.5 and found["clean_accuracy"] == 1.0
    assert found["donor_rate"] == 0.75 and found["clean_donor_rate"] == 0.0
    assert np.isnan(metrics.conflict(np.full(4, -1), predicted, clean, reference)["accuracy"])


def test_conflict_of_a_known_case():
    truth = np.array([0, 0, 1, 2])
    found = metrics.conflict(truth, np.array([1, 0, 1, 1]), np.array([0, 0, 1, 1]), np.array([1, 2, -1, 1]))
    assert found["accuracy"] == 0.5 and found["clean_accuracy"] == 0.75
    assert found["donor_rate"] == pytest.approx(2 / 3)
    assert found["clean_donor_rate"] == pytest.approx(1 / 3)
    assert found["donor_bias"] == pytest.approx(1 / 3)


def test_the_metrics_that_can_be_the_main_one_are_those_with_a_resampled_form():
    rows = metrics.METRICS
    assert {name: rows[name].task for name in rows if rows[name].resampled} == registry.METRICS


def held_to_each_other(rows, plain_arguments, added: np.ndarray) -> None:
    """The plain form of each row equals the resampled form of the sums (F,) over all dialogues."""
    for name, row in rows.items():
        if row.resampled is not None:
            plain = row.plain(*plain_arguments)
            # of nothing there is no rate: NaN in the plain form, and 0 where a resample has drawn nothing
            assert np.isnan(plain) or row.of_sums(added[None])[0] == pytest.approx(plain, abs=1e-9), name


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_plain_and_resampled_forms_agree_on_labels(pairs, dialogues):
    truth, predicted = np.array(pairs).T
    dialogue = np.arange(len(truth)) % dialogues
    added = sums.class_statistics(truth, predicted, dialogue, dialogues, len(LABELS)).sum(axis=0)
    held_to_each_other(metrics.of_task("classification"), (truth, soft(predicted)), added)


@given(st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=40), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_plain_and_resampled_forms_agree_on_scores(pairs, dialogues):
    truth, score = np.array(pairs).T
    truth = truth if (truth != 0).any() else truth - 1  # some utterance takes a side
    dialogue = np.arange(len(truth)) % dialogues
    added = sums.score_statistics(truth, score, dialogue, dialogues).sum(axis=0)
    held_to_each_other(metrics.of_task("regression"), (truth, score), added)


VIEW = st.tuples(st.integers(-1, 3), st.integers(0, 3), st.integers(0, 3), st.integers(-1, 3))


@given(st.lists(VIEW, min_size=1, max_size=60), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_plain_and_resampled_forms_agree_on_unreliable_media(answers, dialogues):
    arrays = np.array(answers).T
    dialogue = np.arange(arrays.shape[1]) % dialogues
    added = sums.follow_statistics(*arrays, dialogue=dialogue, dialogues=dialogues).sum(axis=0)
    held_to_each_other(metrics.UNRELIABLE_METRICS, arrays, added)


def test_how_far_answers_follow_a_degraded_channel_has_known_answers():
    truth, predicted, clean = (np.array(one) for one in ([0, 0, 1, 1, 2], [1, 0, 1, 2, 2], [0, 0, 1, 1, 0]))
    # alone: another thing and followed; the same; lost; another and followed; another and not followed
    found = metrics.unreliable(truth, predicted, clean, np.array([1, 0, -1, 2, 1]))
    assert found == {"changed": 0.6, "spoilt": 0.5, "followed": pytest.approx(2 / 3)}
    # where no channel says another thing, and where none was asked, there is nothing to follow
    for alone in (clean, np.full(5, -1), None):
        assert metrics.unreliable(truth, predicted, clean, alone) == {"changed": 0.6, "spoilt": 0.5}


@given(st.lists(VIEW, min_size=1, max_size=60), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_plain_and_resampled_forms_agree_on_conflict_views(views, dialogues):
    arrays = np.array(views).T
    dialogue = np.arange(arrays.shape[1]) % dialogues
    added = sums.conflict_statistics(*arrays, dialogue=dialogue, dialogues=dialogues).sum(axis=0)
    held_to_each_other(metrics.CONFLICT_METRICS, arrays, added)
