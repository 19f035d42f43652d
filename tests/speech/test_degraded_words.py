"""What a recogniser hears in degraded sound: more wrong where it is worse, the same for the same seed."""

import polars as pl
import pytest
from spoken import CLEAR, word_errors

from pipeline import degraded_words, recognised
from pipeline.core import artefacts
from pipeline.settings.unreliable import UnreliableSettings
from pipeline.speech import recognition

pytestmark = pytest.mark.slow
CLEAN, BAD = "unreliable/heard/80", "unreliable/heard/-15"


@pytest.mark.fault(
    "artefacts",
    "recognition of degraded sound is stopped half-way",
    "goes on with what is left; the same bytes",
)
def test_words_of_degraded_sound(recogniser, shard, tmp_path, monkeypatch):
    splits = tmp_path / "splits.parquet"
    named = artefacts.load_table(shard)["dialogue"].unique(maintain_order=True)
    artefacts.save_table(splits, pl.DataFrame({"dialogue": named, "split": ["test"] * len(named)}))
    unreliable = UnreliableSettings(kinds=("heard", "misheard"), heard=(-15, 80))
    params = degraded_words.Params(device="cpu", threads=1, unreliable=unreliable)

    def made(name):
        paths = {"shard": shard, "splits": [splits], "recogniser": recogniser, "told": tmp_path / name}
        degraded_words.run(params, **paths)
        return (tmp_path / name).read_bytes()

    plain, calls, last = recognition.Recogniser.recognise, [], 1000

    def counted(self, sound, language):
        if len(calls) == last:
            raise InterruptedError
        calls.append(len(sound))
        return plain(self, sound, language)

    monkeypatch.setattr(recognition.Recogniser, "recognise", counted)
    whole = made("told.parquet")
    table, count = artefacts.load_table(tmp_path / "told.parquet"), len(calls)
    names = artefacts.load_table(shard)["utterance"].to_list()
    heard = {name: table.filter(condition=name) for name in (CLEAN, BAD)}
    assert len(table) == 2 * len(names)
    assert all(sorted(own["utterance"]) == sorted(names) for own in heard.values())
    # hardly any noise: what the stage recognised hears; much of it: most words are lost
    recognised.run(
        recognised.Params(device="cpu", threads=1),
        shard=shard,
        recogniser=recogniser,
        told=tmp_path / "recognised.parquet",
    )
    clean = dict(artefacts.load_table(tmp_path / "recognised.parquet").select("utterance", "text").rows())
    assert dict(heard[CLEAN].select("utterance", "text").rows()) == clean
    wrong = {
        name: word_errors(" ".join(CLEAR), " ".join(own["text"].drop_nulls())) for name, own in heard.items()
    }
    assert wrong[CLEAN] <= 0.05 and wrong[BAD] > 0.4
    silent = table.filter(utterance=names[0])
    assert silent["text"].null_count() == silent["words_confidence"].null_count() == 2

    # stopped and begun again it goes on, and the bytes are the same
    calls.clear()
    last = count - 3
    with pytest.raises(InterruptedError):
        made("again.parquet")
    assert not (tmp_path / "again.parquet").exists()
    calls.clear()
    last = 1000
    assert made("again.parquet") == whole and 0 < len(calls) < count
    assert not [path for path in tmp_path.iterdir() if "pieces" in path.name]
