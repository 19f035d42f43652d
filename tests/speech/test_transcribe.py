"""Speech of a synthesiser becomes words by a small real recogniser; other sound does not."""

import fixture_trees as trees
import numpy as np
import polars as pl
import pytest
from films import write
from spoken import CLEAR, RATE, TINY, chords, place_recogniser, speech, word_errors

from pipeline import transcribe, weights
from pipeline.core.errors import PipelineError
from pipeline.encoders import fetching
from pipeline.settings.recognition import DecodingSettings
from pipeline.speech import recognition
from pipeline.speech.sentences import WORDS

pytestmark = pytest.mark.slow
CPU = {"device": "cpu", "threads": 1}


def heard(recogniser, tmp_path, wave, **settings) -> pl.DataFrame:
    film = write(tmp_path / "talk.mp4", 2, wave, RATE)
    out = tmp_path / "words.parquet"
    params = transcribe.Params(decoding=DecodingSettings(**settings), **CPU)
    transcribe.run(params, recogniser=recogniser, media=film, words=out)
    assert [path.name for path in tmp_path.iterdir() if "words" in path.name] == ["words.parquet"]
    return pl.read_parquet(out)


def test_clear_sentences_are_right_in_words_times_and_language(recogniser, tmp_path):
    wave, spans = speech(CLEAR)
    found = heard(recogniser, tmp_path, wave)
    assert found.schema == pl.Schema(WORDS)
    assert word_errors(" ".join(CLEAR), "".join(found["word"])) <= 0.05
    assert set(found["language"]) == {"en"} and found["confidence"].mean() > 0.8
    ends = found.filter(pl.col("word").str.ends_with("."))
    assert len(ends) == len(CLEAR)
    assert ends["end"].to_list() == pytest.approx([end for _, end in spans], abs=0.2)
    begins = [found["start"][0], *(found["start"].filter(found["word"].shift().str.ends_with(".")))]
    assert begins == pytest.approx([start for start, _ in spans], abs=0.2)


def test_words_said_one_by_one_have_their_times(recogniser, tmp_path):
    said = ("yesterday", "seven", "children", "discovered", "another", "beautiful", "garden")
    wave, spans = speech(said, pause=0.1)
    found = heard(recogniser, tmp_path, wave)
    times = {word.strip(" ,.").lower(): (a, b) for word, a, b in found.select("word", "start", "end").rows()}
    known = [(times[word], span) for word, span in zip(said, spans, strict=True) if word in times]
    assert len(known) >= 5
    for measured, true in known:
        assert measured == pytest.approx(true, abs=0.2)


def test_what_is_said_again_and_again_is_there_and_not_trusted(recogniser, tmp_path):
    wave, spans = speech(CLEAR[:1] * 6, pause=0.4)
    found = heard(recogniser, tmp_path, wave)
    assert len(found) >= 30 and found["end"][-1] == pytest.approx(spans[-1][1], abs=0.5)
    assert set(found["confidence"]) == {0.0}


def test_music_noise_and_silence_are_no_words(recogniser, tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 15 * RATE).astype(np.float32)
    waves = {"music": chords(15), "noise": noise, "silence": np.zeros(5 * RATE, np.float32)}
    for name, wave in waves.items():
        folder = tmp_path / name
        folder.mkdir()
        assert len(heard(recogniser, folder, wave)) == 0, name


def test_pieces_cover_the_sound_and_are_cut_where_it_is_quiet(monkeypatch):
    monkeypatch.setattr(recognition, "PIECE", 10.0)
    monkeypatch.setattr(recognition, "SEEK", 4.0)
    sound = np.random.default_rng(0).normal(0, 0.1, 25 * RATE).astype(np.float32)
    for place in (8.0, 15.0):
        sound[round((place - 0.3) * RATE) : round((place + 0.3) * RATE)] = 0
    found = recognition.pieces(sound)
    assert [first for first, _ in found[1:]] == [last for _, last in found[:-1]]
    assert (found[0][0], found[-1][1]) == (0, len(sound))
    assert [last / RATE for _, last in found[:2]] == pytest.approx([8.0, 15.0], abs=0.3)
    assert recognition.pieces(sound[:0]) == []


class Stopped(Exception):
    """In place of a kill."""


@pytest.mark.fault(
    "artefacts", "recognition is stopped half-way", "goes on with what is left; the same bytes"
)
def test_a_stopped_transcript_goes_on_and_is_the_same_to_the_byte(recogniser, tmp_path, monkeypatch):
    monkeypatch.setattr(recognition, "PIECE", 5.0)
    monkeypatch.setattr(recognition, "SEEK", 2.0)
    wave, _ = speech(CLEAR)
    film = write(tmp_path / "talk.mp4", 2, wave, RATE)
    plain = recognition.Recogniser.recognise
    calls, last = [], 1000

    def counted(self, sound, language):
        if len(calls) == last:
            raise Stopped
        calls.append(len(sound))
        return plain(self, sound, language)

    monkeypatch.setattr(recognition.Recogniser, "recognise", counted)

    def made(name, **settings):
        calls.clear()
        params = transcribe.Params(decoding=DecodingSettings(**settings), **CPU)
        transcribe.run(params, recogniser=recogniser, media=film, words=tmp_path / name)
        return (tmp_path / name).read_bytes()

    whole = made("whole.parquet")
    count = len(calls)
    assert count >= 3
    last = 2
    with pytest.raises(Stopped):
        made("words.parquet")
    assert not (tmp_path / "words.parquet").exists()
    # pieces that were recognised in another way are not taken
    with pytest.raises(Stopped):
        made("words.parquet", beam=1)
    last = 1000
    assert made("words.parquet") == whole
    assert len(calls) == count - 2
    assert not (tmp_path / "words.parquet.pieces").exists()


def test_a_film_without_sound_has_no_words(recogniser, tmp_path):
    out = tmp_path / "words.parquet"
    film = write(tmp_path / "mute.mp4", 20)
    transcribe.run(transcribe.Params(**CPU), recogniser=recogniser, media=film, words=out)
    assert pl.read_parquet(out).schema == pl.Schema(WORDS)
    with pytest.raises(PipelineError, match="is there"):
        transcribe.run(transcribe.Params(**CPU), recogniser=recogniser, media=tmp_path / "x.mp4", words=out)


@pytest.mark.fault("weights", "a language that the recogniser does not know", "names those that it knows")
def test_an_unknown_language_is_refused(recogniser, tmp_path):
    with pytest.raises(PipelineError, match=r"language: .* does not know 'de'; it knows en\."):
        heard(recogniser, tmp_path, np.zeros(RATE, np.float32), language="de")


@pytest.mark.fault("weights", "a damaged or incomplete recogniser", "names the file and its place")
def test_a_recogniser_that_is_none_is_refused(recogniser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = weights.Params(weights=TINY, kind="recogniser")
    placed = place_recogniser(tmp_path)
    (placed / "tokenizer.json").unlink()
    with pytest.raises(PipelineError, match=f"{weights.by_hand(TINY)}/tokenizer.json: missing"):
        weights.run(params, folder=tmp_path / "recogniser")
    assert not (tmp_path / "recogniser").exists()
    with pytest.raises(PipelineError, match=r"no model\.bin"):
        transcribe.run(
            transcribe.Params(**CPU),
            recogniser=tmp_path,
            media=write(tmp_path / "t.mp4", 2, np.zeros(RATE, np.float32), RATE),
            words=tmp_path / "words.parquet",
        )
    trees.write_text(tmp_path / "broken/model.bin", "no model")
    trees.write_text(tmp_path / "broken/config.json", "{}")
    with pytest.raises(PipelineError, match="cannot be loaded as a Whisper"):
        recognition._opened(tmp_path / "broken", recognition.torch.device("cpu"), 1)


@pytest.mark.fault("weights", "no recogniser placed, and no network", "names files, place and command")
def test_without_network_the_message_says_what_to_place_where(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(fetching, "snapshot_download", offline)
    with pytest.raises(PipelineError) as caught:
        weights.run(weights.Params(weights=TINY, kind="recogniser"), folder=tmp_path / "recogniser")
    said = str(caught.value)
    for part in ("config.json, model.bin, tokenizer.json and vocabulary.txt", str(weights.by_hand(TINY))):
        assert part in said
    assert f"hf download {TINY.name} --revision {TINY.revision} --local-dir {weights.by_hand(TINY)}" in said
    assert "\n" not in said


def test_words_beside_a_pause_end_with_the_voice():
    words = [(0.7, 1.6), (1.6, 2.0), (2.0, 2.6), (3.3, 3.9), (8.0, 8.4)]
    found = recognition.on_voice(words, [(1.0, 2.4), (3.0, 4.0), (5.0, 9.5)])
    # the last: too far away to be the same edge
    assert found == [(1.0, 1.6), (1.6, 2.0), (2.0, 2.4), (3.0, 4.0), (8.0, 8.4)]
    # nor does a word begin before the one before it ends, or end after the next begins
    assert recognition.on_voice([(0.0, 1.0), (1.0, 2.0)], [(0.7, 1.8)]) == [(0.0, 1.0), (1.0, 1.8)]
    assert recognition.on_voice([(0.0, 1.0), (1.0, 2.0)], [(0.2, 1.3)]) == [(0.2, 1.0), (1.0, 2.0)]
    assert recognition.on_voice(words, []) == words and recognition.on_voice([], [(0.0, 1.0)]) == []
