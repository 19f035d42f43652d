"""Recognised words become sentences."""

import polars as pl

from pipeline.settings.recognition import SentenceSettings
from pipeline.speech.sentences import WORDS, sentences


def said(*words: tuple[str, float, float], confidence: float = 0.75) -> pl.DataFrame:
    return pl.DataFrame([(*word, confidence, "en") for word in words], schema=WORDS, orient="row")


def test_a_full_stop_ends_one_and_a_title_does_not():
    words = said(
        (" Mr.", 0, 0.3), (" Fox", 0.3, 0.5), (" ran.", 0.5, 0.9), (" Did", 1.0, 1.2), (' he?"', 1.2, 1.5)
    )
    found = sentences(words, SentenceSettings())
    assert [(s.start, s.end, s.text) for s in found] == [(0, 0.9, "Mr. Fox ran."), (1.0, 1.5, 'Did he?"')]


def test_a_pause_ends_one_and_a_shorter_pause_does_not():
    words = said((" one", 0, 0.4), (" two", 1.3, 1.7), (" three", 2.8, 3.0))
    assert [s.text for s in sentences(words, SentenceSettings())] == ["one two", "three"]


def test_a_long_one_is_cut_at_its_widest_gap_and_no_word_is_lost():
    words = said(*((f" {k}", k + 0.3 * (k == 7), k + 0.9) for k in range(14)))
    settings = SentenceSettings(longest=10)
    found = sentences(words, settings)
    assert " ".join(s.text for s in found) == " ".join(map(str, range(14)))
    assert found[0].text.endswith("6") and all(s.end - s.start <= settings.longest for s in found)


def test_a_language_without_blanks_stays_without_and_no_sentence_is_without_length():
    found = sentences(said(("你", 1.0, 1.0), ("好。", 1.0, 1.0)), SentenceSettings())
    assert [(s.text, s.start) for s in found] == [("你好。", 1.0)] and found[0].end > 1.0


def test_confidence_is_the_mean_of_the_words():
    words = pl.concat([said((" a", 0, 1), confidence=0.25), said((" b.", 1, 2), confidence=0.75)])
    assert [s.confidence for s in sentences(words, SentenceSettings())] == [0.5]


def test_no_word_is_no_sentence():
    assert sentences(said(), SentenceSettings()) == []
