"""Laws of misheard words: the error rate over a corpus, nothing at 0, errors that a higher rate keeps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.registries.degradations import DEGRADATIONS
from pipeline.degradation import words
from pipeline.degradation.drawing import generator

SYLLABLES = ("ba", "lo", "mi", "ter", "shu", "ne", "ka", "ro", "sti", "gan")
VOCABULARY = [a + b for a in SYLLABLES for b in SYLLABLES]
TOLERANCE = 0.03  # of docs/unreliable.md, over a corpus of some thousand words


def corpus(count: int = 400, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(VOCABULARY, rng.integers(3, 15))) for _ in range(count)]


def heard(texts: list[str], rate: float, seed: int = 0) -> list[str]:
    confusions = words.Confusions(texts)
    return [
        words.misheard(text, rate, generator(seed, f"u{place}", "misheard"), confusions)
        for place, text in enumerate(texts)
    ]


def slow_errors(told: str, other: str) -> int:
    """The same by the definition, without a table."""
    left, right = told.split(), other.split()
    if not left or not right:
        return len(left) + len(right)
    rest = slow_errors(" ".join(left[1:]), " ".join(right[1:])) + (left[0] != right[0])
    deleted = slow_errors(" ".join(left[1:]), other) + 1
    return min(rest, deleted, slow_errors(told, " ".join(right[1:])) + 1)


def test_the_kind_of_words_is_this_one():
    assert [kind for kind, about in DEGRADATIONS.items() if about.scale == "errors"] == ["misheard"]


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_error_rate_over_a_corpus_is_the_one_asked_for(rate, seed):
    texts = corpus(seed=seed)
    counts = np.array([words.errors(*pair) for pair in zip(texts, heard(texts, rate, seed), strict=True)])
    wrong, said = counts.sum(axis=0)
    assert said > 2000 and wrong / said == pytest.approx(rate, abs=TOLERANCE)


def test_rate_0_is_the_text_itself():
    texts = ["  Well,  I never! ", "no", ""]
    assert heard(texts, 0.0) == texts


def test_the_same_seed_hears_the_same_and_another_text_changes_nothing():
    texts = corpus(30)
    confusions = words.Confusions(texts)
    alone = words.misheard(texts[7], 0.5, generator(0, "u7", "misheard"), confusions)
    assert heard(texts, 0.5) == heard(texts, 0.5) != heard(texts, 0.5, seed=1)
    assert heard(texts, 0.5)[7] == alone


def test_what_is_wrong_at_a_rate_is_wrong_at_every_higher_one():
    texts = corpus(60)
    counts = [
        sum(words.errors(*pair)[0] for pair in zip(texts, heard(texts, rate), strict=True))
        for rate in (0.1, 0.3, 0.5, 0.9)
    ]
    assert counts == sorted(counts)
    # a word that is kept at the higher rate stood at the lower one, too
    kept = set(heard(texts, 0.5)[0].split()) & set(texts[0].split())
    assert kept <= set(heard(texts, 0.1)[0].split())


@given(st.lists(st.sampled_from("abc"), max_size=5), st.lists(st.sampled_from("abc"), max_size=5))
@settings(max_examples=60)
def test_errors_are_the_least_number_of_changes(told, other):
    told, other = " ".join(told), " ".join(other)
    assert words.errors(told, other) == (slow_errors(told, other), len(told.split()))


def test_letters_and_marks_are_no_errors():
    assert words.errors("Well, I never!", "well i NEVER") == (0, 3)


def test_a_word_is_taken_for_words_spelled_like_it():
    confusions = words.Confusions(["night knight light day delay Night, house houses"])
    assert confusions.of("knight")[0] == "night" and confusions.of("house")[0] == "houses"
    assert "night" not in confusions.of("night")
    assert confusions.frequent[0] == "night"
    # one that the texts do not have is taken for one of theirs
    assert words.Confusions(["night day"]).of("nights")[0] == "night"


def test_a_single_word_has_nothing_to_be_taken_for():
    confusions = words.Confusions(["yes"])
    assert confusions.of("yes") == [] and words.Confusions([]).frequent == []
    heard_as = {words.misheard("yes", 0.9, generator(n, "u", "misheard"), confusions) for n in range(40)}
    assert heard_as <= {"yes", "", "yes yes"} and len(heard_as) > 1
