"""Exact inference: equality with enumeration over all label sequences, and what context is worth."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import PipelineError
from pipeline.settings.process import ProcessSettings
from pipeline.synth.evidence import likelihoods, perfect_readings
from pipeline.synth.inference import combine, context_messages, layout, marginals, posteriors
from pipeline.synth.process import (
    FLAT,
    NEUTRAL,
    SILENT,
    channel_tables,
    cue_table,
    sample_cues,
    sample_labels,
    sample_speakers,
    transition_table,
)

TRANSITIONS = transition_table(ProcessSettings())


def enumerated(speakers: np.ndarray, evidence: np.ndarray, own_evidence: bool = True) -> np.ndarray:
    """Posteriors by summing over every label sequence of one dialogue."""
    out = np.zeros((len(speakers), 7))
    for labels in itertools.product(range(7), repeat=len(speakers)):
        own, last, weight = {}, SILENT, 1.0
        for n, (speaker, label) in enumerate(zip(speakers, labels, strict=True)):
            weight *= TRANSITIONS[last, own.get(speaker, SILENT), label] * evidence[n, label]
            last = own[speaker] = label
        for n, label in enumerate(labels):
            out[n, label] += weight if own_evidence else weight / evidence[n, label]
    return out / out.sum(1, keepdims=True)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=1, max_size=5), st.integers(0, 10_000))
def test_equals_enumeration(speakers: list[int], seed: int) -> None:
    names = np.array(speakers)
    evidence = np.random.default_rng(seed).random((len(names), 7)) ** 4 + 1e-6
    where = layout(np.zeros(len(names)), names)
    np.testing.assert_allclose(
        posteriors(TRANSITIONS, evidence, where), enumerated(names, evidence), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(
        context_messages(TRANSITIONS, evidence, where),
        enumerated(names, evidence, own_evidence=False),
        rtol=1e-9,
        atol=1e-12,
    )


def test_dialogues_of_unequal_length_do_not_touch_each_other() -> None:
    rng = np.random.default_rng(3)
    lengths = [1, 4, 2, 7, 3]
    dialogue = np.repeat(["a", "b", "c", "d", "e"], lengths)
    speaker = rng.choice(["x", "y"], len(dialogue))
    evidence = rng.random((len(dialogue), 7))
    together = posteriors(TRANSITIONS, evidence, layout(dialogue, speaker))
    for name in "abcde":
        own = dialogue == name
        alone = posteriors(TRANSITIONS, evidence[own], layout(dialogue[own], speaker[own]))
        np.testing.assert_allclose(together[own], alone, rtol=1e-12)


def test_marginals_match_sampled_labels() -> None:
    speakers = np.array([0, 1, 0, 0, 1])
    drawn = np.stack(
        [sample_labels(TRANSITIONS, speakers, np.random.default_rng([2, d])) for d in range(4000)]
    )
    seen = (drawn[:, :, None] == np.arange(7)).mean(0)
    np.testing.assert_allclose(marginals(TRANSITIONS, layout(np.zeros(5), speakers)), seen, atol=0.03)


def test_context_is_the_posterior_without_the_own_evidence() -> None:
    rng = np.random.default_rng(5)
    speakers = np.array([0, 1, 1, 0, 1, 0])
    where = layout(np.zeros(6), speakers)
    evidence = rng.random((6, 7))
    message = context_messages(TRANSITIONS, evidence, where)
    np.testing.assert_allclose(combine(message, evidence), posteriors(TRANSITIONS, evidence, where))
    changed = evidence.copy()
    changed[2] = rng.random(7)
    np.testing.assert_allclose(context_messages(TRANSITIONS, changed, where)[2], message[2])


def test_long_dialogues_with_tiny_likelihoods_stay_finite() -> None:
    rng = np.random.default_rng(6)
    speakers = rng.integers(2, size=400)
    result = posteriors(TRANSITIONS, rng.random((400, 7)) * 1e-200, layout(np.zeros(400), speakers))
    np.testing.assert_allclose(result.sum(1), 1)


def test_faults_are_named() -> None:
    with pytest.raises(PipelineError, match="more than two speakers"):
        layout(np.zeros(3), np.array([0, 1, 2]))
    with pytest.raises(PipelineError, match="next to each other"):
        layout(np.array([0, 1, 0]), np.array([0, 1, 0]))
    with pytest.raises(ValueError, match="not zero"):
        posteriors(TRANSITIONS, np.zeros((2, 7)), layout(np.zeros(2), np.array([0, 1])))


def test_context_is_worth_three_points_and_the_ceiling_is_not_one() -> None:
    process = ProcessSettings()
    tables, table = channel_tables(process), cue_table(process)
    labels, cues, speakers, count = [], [], [], 2000
    for dialogue in range(count):
        rng = np.random.default_rng([3, dialogue])
        turns = sample_speakers(process, 6, rng)
        drawn = sample_labels(TRANSITIONS, turns, rng)
        shown = [sample_cues(process, tables, int(label), rng) for label in drawn]
        labels.append(drawn)
        cues += [[cue.text, cue.audio, cue.visual] for cue in shown]
        speakers.append(turns)
    label = np.concatenate(labels)
    cues = np.where(np.array(cues) == FLAT, NEUTRAL, cues)
    where = layout(np.repeat(np.arange(count), 6), np.concatenate(speakers))
    evidence = likelihoods(table, perfect_readings(cues, np.ones(cues.shape, dtype=bool)))
    full = posteriors(TRANSITIONS, evidence, where)
    alone = combine(marginals(TRANSITIONS, where), evidence)
    with_context, without = ((p.argmax(1) == label).mean() for p in (full, alone))
    assert with_context - without > 0.03
    assert with_context < 0.85
    # calibrated: the mean top probability is the accuracy
    assert abs(full.max(1).mean() - with_context) < 0.015
