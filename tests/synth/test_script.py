"""Dialogue scripts: repeatable, disjoint across splits, and as frequent as the settings say."""

import re
from collections import Counter

import numpy as np
import pytest

from pipeline.core.splits import SPLITS
from pipeline.settings.process import ProcessSettings
from pipeline.synth.emotions import EMOTIONS
from pipeline.synth.phrases import PHRASES, TOPICS, WHEN, WHO
from pipeline.synth.script import speakers_of, split_of, write_dialogue

SETTINGS = ProcessSettings(dialogues=300)


@pytest.fixture(scope="module")
def dialogues() -> list:
    return [write_dialogue(SETTINGS, number, 7) for number in range(300)]


def test_equal_arguments_equal_scripts_and_other_seeds_other_ones() -> None:
    assert write_dialogue(SETTINGS, 5, 7) == write_dialogue(SETTINGS, 5, 7)
    assert write_dialogue(SETTINGS, 5, 7) != write_dialogue(SETTINGS, 5, 8)


def test_a_longer_corpus_changes_no_dialogue() -> None:
    longer = SETTINGS.model_copy(update={"dialogues": 900})
    assert all(write_dialogue(SETTINGS, d, 7) == write_dialogue(longer, d, 7) for d in range(0, 300, 17))


def test_names_splits_and_positions(dialogues: list) -> None:
    assert dialogues[7].name == "dia0007"
    assert {dialogue.split for dialogue in dialogues} == set(SPLITS)
    for number, dialogue in enumerate(dialogues):
        assert dialogue.split == split_of(SETTINGS, number)
        assert [u.position for u in dialogue.utterances] == list(range(SETTINGS.utterances))
        assert {u.speaker for u in dialogue.utterances} <= set(dialogue.speakers)
        assert dialogue.speakers[0] != dialogue.speakers[1]


@pytest.mark.parametrize("speakers", [6, 7, 8, 24, 100])
@pytest.mark.parametrize("shares", [(0.6, 0.15, 0.25), (0.1, 0.3, 0.6), (0.02, 0.49, 0.49)])
def test_speakers_are_disjoint_between_splits(speakers: int, shares: tuple) -> None:
    names = ("train_share", "val_share", "test_share")
    process = ProcessSettings(dialogues=100, speakers=speakers, **dict(zip(names, shares, strict=True)))
    pools = [speakers_of(process, split) for split in SPLITS]
    assert all(len(pool) >= 2 for pool in pools)
    assert sorted(identity for pool in pools for identity in pool) == list(range(speakers))


def test_templates_never_recur_across_splits_but_their_words_do() -> None:
    everything = [template for pools in PHRASES.values() for pool in pools.values() for template in pool]
    assert len(everything) == len(set(everything))
    known = set(re.findall(r"[a-z]+", " ".join(" ".join(pools["train"]) for pools in PHRASES.values())))
    for emotion, pools in PHRASES.items():
        assert emotion in EMOTIONS and set(pools) == set(SPLITS)
        assert sum(len(pool) for pool in pools.values()) >= 16
        own = set(re.findall(r"[a-z]+", " ".join(pools["train"])))
        for split in ("val", "test"):
            for template in pools[split]:
                words = set(re.findall(r"[a-z]+", template))
                assert words <= known, words - known
                assert len(words & own) >= 0.6 * len(words)


def test_no_filled_sentence_recurs_across_splits() -> None:
    filled = {split: set() for split in SPLITS}
    for pools in PHRASES.values():
        for split, pool in pools.items():
            for template in pool:
                filled[split] |= {
                    template.format(topic=topic, who=who, when=when)
                    for topic in TOPICS
                    for who in WHO
                    for when in WHEN
                }
    assert not filled["train"] & filled["val"]
    assert not filled["train"] & filled["test"]
    assert not filled["val"] & filled["test"]


def test_flat_and_neutral_words_come_from_one_pool(dialogues: list) -> None:
    # else the words would betray what the ceilings hold to be one cue
    words = {"flat": Counter(), "neutral": Counter()}
    for dialogue in dialogues:
        for utterance in dialogue.utterances:
            if utterance.cues["t"] in words and dialogue.split == "train":
                words[utterance.cues["t"]][utterance.text.split()[0]] += 1
    assert set(words["neutral"]) <= set(words["flat"])


def test_letters_are_what_the_voice_can_say(dialogues: list) -> None:
    text = "".join(u.text for dialogue in dialogues for u in dialogue.utterances)
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyz ,.!?")


def test_frequencies(dialogues: list) -> None:
    utterances = [u for dialogue in dialogues for u in dialogue.utterances]
    share = Counter(u.hidden for u in utterances)
    assert abs(share["turned"] / len(utterances) - 0.04) < 0.02
    assert abs(share["off"] / len(utterances) - 0.04) < 0.02
    assert abs(np.mean([dialogue.two_shot for dialogue in dialogues]) - 0.25) < 0.1
    snr = np.array([u.snr for u in utterances])
    assert abs(snr.mean() - 20) < 1 and 5 < snr.std() < 8 and snr.min() >= 3 and snr.max() <= 35
    flat = np.mean([set(u.cues.values()) == {"flat"} for u in utterances])
    assert abs(flat - 0.255) < 0.04
    assert all(0.4 <= value <= 1 for u in utterances for value in u.intensity.values())
    assert {u.emotion for u in utterances} == set(EMOTIONS)


def test_a_hidden_face_says_nothing_about_the_label(dialogues: list) -> None:
    utterances = [u for dialogue in dialogues for u in dialogue.utterances]
    labels = {
        hidden: np.array(
            [Counter(u.emotion for u in utterances if bool(u.hidden) == hidden)[e] for e in EMOTIONS]
        )
        for hidden in (False, True)
    }
    gap = labels[True] / labels[True].sum() - labels[False] / labels[False].sum()
    assert np.abs(gap).max() < 4 * 0.5 / np.sqrt(labels[True].sum())


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="from 0"):
        write_dialogue(SETTINGS, -1, 7)
