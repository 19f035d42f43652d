"""The words of a corpus's utterances are what a recogniser hears, and all else stays."""

import polars as pl
import pytest
from spoken import CLEAR, word_errors

from pipeline import recognised
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.extraction.shard import load_words
from pipeline.settings.config import Config
from pipeline.speech import recognition

CPU = {"device": "cpu", "threads": 1}


@pytest.mark.slow
def test_the_words_are_those_that_are_heard_and_the_rest_stays(recogniser, shard, tmp_path, monkeypatch):
    params, told = recognised.Params(**CPU), tmp_path / "told.parquet"
    recognised.run(params, shard=shard, recogniser=recogniser, told=told)
    given, found = artefacts.load_table(shard), artefacts.load_table(told)
    assert found.columns == [*given.columns, "words_confidence", "words"]
    assert found.select(given.columns).drop("text").equals(given.drop("text"))
    assert set(found["words"]) == {"recognised"}
    silent = found.row(0, named=True)
    assert (silent["text"], silent["words_confidence"]) == (None, None)
    assert word_errors(" ".join(CLEAR), " ".join(found["text"][1:])) <= 0.05
    assert found["words_confidence"][1:].min() > 0.7
    # of what is tested alone, others have no row
    splits = tmp_path / "splits.parquet"
    artefacts.save_table(splits, pl.DataFrame({"dialogue": ["silent", "spoken"], "split": ["test", "train"]}))
    recognised.run(
        params, shard=shard, recogniser=recogniser, splits=[splits], told=tmp_path / "tested.parquet"
    )
    assert artefacts.load_table(tmp_path / "tested.parquet").equals(found[:1])
    # what is not sure enough is an absence of its own, as what was not heard is
    names, texts, reasons = load_words(told, 0.5)
    assert names == given["utterance"].to_list()
    assert list(texts) == names[1:] and reasons == {names[0]: "no_text"}
    _, texts, reasons = load_words(told, 1.0)
    assert not texts and list(reasons.values()).count("asr_unsure") == 3
    assert load_words(shard, None)[1] == dict(given.select("utterance", "text").iter_rows())

    # stopped after the first file it goes on with the second, and the bytes are the same
    plain, calls = recognition.Recogniser.recognise, []

    def once(self, sound, language):
        calls.append(language)
        if len(calls) == 2:
            raise InterruptedError
        return plain(self, sound, language)

    again = tmp_path / "again.parquet"
    monkeypatch.setattr(recognition.Recogniser, "recognise", once)
    with pytest.raises(InterruptedError):
        recognised.run(params, shard=shard, recogniser=recogniser, told=again)
    assert not again.exists()
    recognised.run(params, shard=shard, recogniser=recogniser, told=again)
    assert again.read_bytes() == told.read_bytes()
    # the silent file was kept; the language is found once a file
    assert calls[2:] == ["", "en", "en"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("again.parquet", "splits.parquet", "tested.parquet", "told.parquet"),
    ]


@pytest.mark.slow
@pytest.mark.fault(
    "corpora", "words are to be recognised, and no medium is there", "says which is looked for"
)
def test_a_shard_without_its_media_is_refused(recogniser, shard, tmp_path):
    table = artefacts.load_table(shard)
    away = table.with_columns(media=pl.concat_str(pl.lit("away/"), "utterance"))
    artefacts.save_table(tmp_path / "0.parquet", away)
    with pytest.raises(PipelineError, match=r"not one of the 4 media files"):
        recognised.run(
            recognised.Params(**CPU),
            shard=tmp_path / "0.parquet",
            recogniser=recogniser,
            told=tmp_path / "told.parquet",
        )


@pytest.mark.fault("config", "`corpus.text: recognised` of extracted features", "says that there is no sound")
def test_extracted_features_have_no_sound_to_recognise():
    corpus = {"name": "features", "folder": "somewhere", "text": "recognised"}
    with pytest.raises(ValueError, match=r"words are recognised in sound, and corpus\.name is features"):
        Config.model_validate({"corpus": corpus})
