"""The rendered corpus: files decode, times and boxes are true, bytes repeat."""

from pathlib import Path

import av
import numpy as np
import polars as pl
import pytest

from pipeline import corpus
from pipeline.settings.process import ProcessSettings
from pipeline.settings.rendering import RenderingSettings
from pipeline.synth.mux import Muxer
from pipeline.synth.scene import film_dialogue
from pipeline.synth.script import DialogueScript, UtteranceScript

SMALL = RenderingSettings(width=160, height=120, fps=10, audio_rate=16_000)
PROCESS = ProcessSettings(dialogues=4, utterances=2, two_shot=0.5, turned=0.2, off_screen=0.2)
PARAMS = corpus.Params(process=PROCESS, rendering=SMALL, seed=5, part=1, parts=2)


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "1"
    corpus.run(PARAMS, folder=folder)
    return folder


def decode(path: Path) -> tuple[list[np.ndarray], np.ndarray, int]:
    """All pictures, the sound of the left channel, its rate."""
    with av.open(str(path)) as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    with av.open(str(path)) as file:
        rate = file.streams.audio[0].rate
        sound = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    return pictures, sound, rate


def test_rows(part: Path) -> None:
    rows = pl.read_parquet(part / "utterances.parquet")
    latent = pl.read_parquet(part / "latent.parquet")
    assert rows.schema == corpus.ROWS
    assert latent.schema == corpus.LATENT
    assert rows["utterance"].to_list() == [
        "dia0001_utt00",
        "dia0001_utt01",
        "dia0003_utt00",
        "dia0003_utt01",
    ]
    assert latent["utterance"].to_list() == rows["utterance"].to_list()
    assert sorted(path.name for path in part.iterdir()) == ["latent.parquet", "utterances.parquet", "videos"]


def test_films_decode_and_cover_their_rows(part: Path) -> None:
    for (media,), rows in pl.read_parquet(part / "utterances.parquet").group_by("media"):
        pictures, sound, rate = decode(part / media)
        assert pictures[0].shape == (120, 160, 3)
        length = len(pictures) / SMALL.fps
        assert len(sound) / rate == pytest.approx(length, abs=1024 / rate + 0.01)
        assert (rows["start"] < rows["end"]).all()
        assert rows["end"].max() <= length
        assert (rows["start"].to_numpy()[1:] >= rows["end"].to_numpy()[:-1]).all()


def test_speech_is_where_the_times_say(part: Path) -> None:
    for (media,), rows in pl.read_parquet(part / "utterances.parquet").group_by("media"):
        _, sound, rate = decode(part / media)
        spoken = np.zeros(len(sound), bool)
        for start, end in rows.select("start", "end").iter_rows():
            spoken[int(start * rate) : int(end * rate)] = True
        assert sound[spoken].std() > 5 * sound[~spoken].std()


def test_boxes_are_null_just_where_hidden(part: Path) -> None:
    latent = pl.read_parquet(part / "latent.parquet")
    for row in latent.iter_rows(named=True):
        corners = [row[name] for name in ("x0", "y0", "x1", "y1")]
        assert all(value is None for value in corners) == (row["hidden"] != "")
        if not row["hidden"]:
            assert 0 <= corners[0] < corners[2] <= 160
            assert 0 <= corners[1] < corners[3] <= 120


def test_two_runs_give_equal_bytes(part: Path, tmp_path: Path) -> None:
    corpus.run(PARAMS, folder=tmp_path / "again")
    files = sorted(path.relative_to(part) for path in part.rglob("*") if path.is_file())
    assert files
    for file in files:
        assert (part / file).read_bytes() == (tmp_path / "again" / file).read_bytes(), file


@pytest.mark.slow
def test_parts_do_not_change_a_dialogue(part: Path, tmp_path: Path) -> None:
    whole = PARAMS.model_copy(update={"part": 0, "parts": 1})
    corpus.run(whole, folder=tmp_path / "whole")
    for film in (part / "videos").iterdir():
        assert film.read_bytes() == (tmp_path / "whole" / "videos" / film.name).read_bytes()


def script(hidden: str, two_shot: bool) -> DialogueScript:
    spoken = UtteranceScript(
        position=0,
        speaker=0,
        emotion="joy",
        text="one.",
        cues={"t": "joy", "a": "joy", "v": "joy"},
        kind="plain",
        hidden=hidden,
        intensity={"t": 0.8, "a": 0.8, "v": 0.8},
        snr=25.0,
    )
    return DialogueScript("dia0000", "train", (0, 1), two_shot, (spoken,))


def first_picture(tmp_path: Path, hidden: str, two_shot: bool, cutaway: float = 0.0) -> np.ndarray:
    rendering = SMALL.model_copy(update={"cutaway": cutaway})
    film_dialogue(script(hidden, two_shot), rendering, 3, 0, tmp_path / "film.mp4")
    return decode(tmp_path / "film.mp4")[0][0].astype(int)


def test_cameras(tmp_path: Path) -> None:
    """Off: the room alone, or in a two-shot the listener alone; a cutaway shows the listener's camera."""
    seen, off = first_picture(tmp_path, "", False), first_picture(tmp_path, "off", False)
    assert np.abs(seen - off)[:, 60:100].mean() > 20
    both, listener = first_picture(tmp_path, "", True), first_picture(tmp_path, "off", True)
    assert np.abs(both - listener)[:, :60].mean() > 10 > np.abs(both - listener)[:, 100:].mean()
    away = first_picture(tmp_path, "off", False, cutaway=1.0)
    assert np.abs(away - off).mean() > 10


@pytest.mark.parametrize(("codec", "rate"), [("mpeg4", 48_000), ("libx264", 44_100), ("mpeg4", 16_000)])
def test_muxer_keeps_pictures_and_sound(tmp_path: Path, codec: str, rate: int) -> None:
    rendering = RenderingSettings(width=96, height=96, codec=codec, audio_rate=rate)
    tone = np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000).astype(np.float32) * 0.3
    with Muxer(tmp_path / "film.mp4", rendering, 16_000) as film:
        for index in range(20):
            film.picture(np.full((96, 96, 3), 10 * index, np.uint8))
            film.sound(tone[index * 1600 : (index + 1) * 1600])
    pictures, sound, found = decode(tmp_path / "film.mp4")
    assert found == rate
    assert len(pictures) == 20
    means = [picture.mean() for picture in pictures]
    assert np.allclose(means, 10 * np.arange(20), atol=4)
    assert len(sound) == pytest.approx(2 * rate, abs=2 * 1024)
    spectrum = np.abs(np.fft.rfft(sound))
    assert np.argmax(spectrum) * rate / len(sound) == pytest.approx(440, abs=2)


def test_part_must_exist() -> None:
    with pytest.raises(ValueError, match="part must be below parts"):
        corpus.Params(part=2, parts=2)
