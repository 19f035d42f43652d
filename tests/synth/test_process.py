"""The dialogue process: tables are distributions, and sampling follows them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import chisquare

from pipeline.settings.process import ChannelSettings, ProcessSettings, split_pattern
from pipeline.synth.emotions import EMOTIONS
from pipeline.synth.process import (
    FLAT,
    IRONIC,
    JOY,
    NEUTRAL,
    SILENT,
    channel_tables,
    cue_table,
    sample_cues,
    sample_labels,
    sample_speakers,
    transition_table,
)

chance = st.floats(0, 1)
channels = st.tuples(chance, chance).map(lambda p: ChannelSettings(shows=p[0], flat=(1 - p[0]) * p[1]))
processes = st.builds(
    ProcessSettings,
    prior=st.floats(0.01, 5),
    contagion=st.floats(0, 5),
    inertia=st.floats(0, 5),
    text=channels,
    audio=channels,
    visual=channels,
    flat=chance,
    irony=chance,
    masked=chance,
)


@settings(max_examples=40, deadline=None)
@given(processes)
def test_tables_are_distributions(process: ProcessSettings) -> None:
    for table, axes in ((transition_table(process), 2), (channel_tables(process), 2)):
        assert (table >= 0).all()
        np.testing.assert_allclose(table.sum(axes), 1)
    cues = cue_table(process)
    assert cues.shape == (7, 7, 7, 7) and (cues >= 0).all()
    np.testing.assert_allclose(cues.sum((1, 2, 3)), 1)


def draw_cues(process: ProcessSettings, emotion: int, count: int) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(emotion)
    tables = channel_tables(process)
    drawn = [sample_cues(process, tables, emotion, rng) for _ in range(count)]
    cues = np.array([[cue.text, cue.audio, cue.visual] for cue in drawn])
    return np.where(cues == FLAT, NEUTRAL, cues), [cue.kind for cue in drawn]


@pytest.mark.parametrize("emotion", range(7))
def test_cue_frequencies_follow_the_closed_form(emotion: int) -> None:
    process = ProcessSettings()
    count = 12_000
    cues, kinds = draw_cues(process, emotion, count)
    seen = np.zeros((7, 7, 7))
    np.add.at(seen, tuple(cues.T), 1)
    expected = cue_table(process)[emotion] * count
    assert (seen[expected == 0] == 0).all()
    # cells too rare for the test are pooled
    common = expected >= 5
    observed = np.append(seen[common], seen[~common].sum())
    wanted = np.append(expected[common], expected[~common].sum())
    keep = wanted > 0
    assert chisquare(observed[keep], wanted[keep] * observed.sum() / wanted.sum()).pvalue > 1e-3
    assert ("irony" in kinds) == (emotion in IRONIC)
    assert ("masked" in kinds) == (emotion != NEUTRAL)


def test_channels_are_dependent_given_the_label() -> None:
    table = cue_table(ProcessSettings())[EMOTIONS.index("anger")]
    product = np.einsum("i,j,k->ijk", table.sum((1, 2)), table.sum((0, 2)), table.sum((0, 1)))
    anger = EMOTIONS.index("anger")
    assert table[JOY, anger, anger] > 1.3 * product[JOY, anger, anger]
    assert table[NEUTRAL, NEUTRAL, NEUTRAL] > 5 * product[NEUTRAL, NEUTRAL, NEUTRAL]


def test_extreme_settings_do_what_they_say() -> None:
    rng = np.random.default_rng(0)
    flat = ProcessSettings(flat=1)
    assert sample_cues(flat, channel_tables(flat), 3, rng).names() == dict(t="flat", a="flat", v="flat")
    ironic = ProcessSettings(flat=0, irony=1)
    cues = sample_cues(ironic, channel_tables(ironic), EMOTIONS.index("sadness"), rng)
    assert cues.names() == dict(t="joy", a="sadness", v="sadness") and cues.kind == "irony"
    masked = ProcessSettings(flat=0, masked=1)
    cues = sample_cues(masked, channel_tables(masked), EMOTIONS.index("fear"), rng)
    assert cues.names()["v"] == "neutral" and cues.kind == "masked"
    plain = ChannelSettings(shows=1, flat=0)
    clear = ProcessSettings(flat=0, irony=0, masked=0, text=plain, audio=plain, visual=plain)
    assert (np.einsum("eeee->e", cue_table(clear)) == 1).all()


def test_labels_follow_the_transitions() -> None:
    process = ProcessSettings()
    transitions = transition_table(process)
    seen = np.zeros_like(transitions)
    for dialogue in range(2500):
        rng = np.random.default_rng([1, dialogue])
        speakers = sample_speakers(process, 6, rng)
        labels = sample_labels(transitions, speakers, rng)
        own, last = [SILENT, SILENT], SILENT
        for speaker, label in zip(speakers, labels, strict=True):
            seen[last, own[speaker], label] += 1
            last = own[speaker] = label
    total = seen.sum(-1, keepdims=True)
    often = total[..., 0] >= 150
    gap = np.abs(seen / np.maximum(total, 1) - transitions)[often]
    assert (gap < 5 * np.sqrt(transitions * (1 - transitions) / np.maximum(total, 1))[often]).all()
    assert often.sum() >= 25


def test_inertia_and_contagion_raise_the_right_cells() -> None:
    table = transition_table(ProcessSettings())
    anger, joy = EMOTIONS.index("anger"), EMOTIONS.index("joy")
    assert table[joy, anger, anger] > table[joy, SILENT, anger]
    assert table[anger, joy, anger] > table[SILENT, joy, anger]
    np.testing.assert_allclose(table[SILENT, SILENT], [0.28, 0.16, 0.12, 0.14, 0.11, 0.10, 0.09])


@given(st.tuples(st.floats(0.2, 1), st.floats(0.2, 1), st.floats(0.2, 1)), st.integers(12, 300))
def test_split_pattern_keeps_its_beginning_and_its_shares(raw: tuple, count: int) -> None:
    shares = tuple(share / sum(raw) for share in raw)
    pattern = split_pattern(shares, count)
    assert split_pattern(shares, count // 2) == pattern[: count // 2]
    for name, share in zip(("train", "val", "test"), shares, strict=True):
        assert abs(pattern.count(name) - share * count) < 2


@pytest.mark.parametrize(
    "keys",
    [
        dict(train_share=0.5),
        dict(dialogues=4, train_share=0.9, val_share=0.05, test_share=0.05),
        dict(turned=0.7, off_screen=0.7),
        dict(text=dict(shows=0.8, flat=0.4)),
        dict(flat=1.1),
        dict(unknown=1),
    ],
)
def test_impossible_settings_are_refused(keys: dict) -> None:
    with pytest.raises(ValidationError):
        ProcessSettings(**keys)
