"""The media door: known tones and numbered pictures come back at their times; every defect has its name."""

from pathlib import Path

import numpy as np
import pytest
from films import FPS, number_of, tone, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core import absence, media
from pipeline.core.errors import PipelineError


def defect(area: str, kind: str, attempt, name: str, reason: str):
    """A case of a file that lacks something."""
    return pytest.param(attempt, name, reason, marks=pytest.mark.fault(area, kind, f"an absence: {reason}"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("media") / "clip.mp4", pictures=40, sound=tone(4, 48_000, begins=2))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(times=st.lists(st.floats(0, 3.99), min_size=1, max_size=12))
def test_frames_are_those_that_a_player_shows(clip, times):
    times = sorted(times)
    shown = [number_of(frame.picture) for frame in media.frames(clip, times)]
    assert shown == [int(np.floor(time * FPS + 1e-6)) for time in times]


def test_frame_knows_how_long_it_is_shown(clip):
    frame, last = media.frames(clip, [1.25, 3.95])
    assert (frame.time, frame.until) == pytest.approx((1.2, 1.3))
    assert (last.time, last.until) == pytest.approx((3.9, 4.0), abs=1e-5)


def test_a_repeated_frame_is_one_object_and_beyond_the_end_is_none(clip):
    first, second, beyond = media.frames(clip, [1.21, 1.29, 9.0])
    assert first is second
    assert beyond is None


def test_unsorted_times_are_refused(clip):
    with pytest.raises(ValueError, match="sorted"):
        list(media.frames(clip, [1.0, 0.5]))


def test_sound_keeps_pitch_length_and_place(clip):
    sound = media.audio(clip)
    assert sound.dtype == np.float32
    assert len(sound) == pytest.approx(4 * 16_000, abs=1100)
    loud = np.flatnonzero(np.abs(sound) > 0.1)[0] / 16_000
    assert loud == pytest.approx(2.0, abs=0.03)
    piece = media.cut(sound, 2.5, 3.5, clip)
    assert len(piece) == 16_000
    assert np.argmax(np.abs(np.fft.rfft(piece))) == pytest.approx(440, abs=1)
    assert media.level(piece) == pytest.approx(20 * np.log10(0.3 / np.sqrt(2)), abs=0.5)


@pytest.mark.fault("sound", "sound of 44.1 kHz", "it is resampled, its pitch stays")
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_sound_of_other_rates(tmp_path, rate):
    sound = media.audio(write(tmp_path / "a.mp4", sound=tone(1, rate), rate=rate))
    assert np.argmax(np.abs(np.fft.rfft(sound[2000:14_000]))) == pytest.approx(440 * 0.75, abs=1)


@pytest.mark.fault("sound", "the sound of a file begins later than its pictures", "it is put in its place")
def test_late_sound_is_put_where_it_belongs(tmp_path):
    path = write(tmp_path / "late.mkv", pictures=30, sound=tone(1, 48_000), audio_offset=1.5)
    sound = media.audio(path)
    assert np.abs(sound[: round(1.4 * 16_000)]).max() < 1e-3
    assert np.flatnonzero(np.abs(sound) > 0.1)[0] / 16_000 == pytest.approx(1.5, abs=0.05)


@pytest.mark.fault("sound", "a gap between timestamps of a sound track", "it is silence")
def test_a_gap_of_the_timestamps_is_silence_in_small_pieces(tmp_path):
    path = write(tmp_path / "gap.mkv", pictures=5, sound=tone(1, 48_000), audio_offset=30.5)
    pieces = [piece.shape[1] for piece, _ in media.sound(path, "mono")]
    assert max(pieces) <= 48_000
    assert sum(pieces) == pytest.approx(31.5 * 48_000, abs=3000)


@pytest.mark.fault(
    "names", "a video whose name holds a colon or begins with a dash", "it is read as any other"
)
@pytest.mark.parametrize("name", ["a:b.mp4", "-c.mp4"])
def test_a_name_is_no_address_and_no_option(clip, tmp_path, monkeypatch, name):
    (tmp_path / name).write_bytes(clip.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert media.probe(Path(name)).duration == pytest.approx(4, abs=0.1)


@pytest.mark.fault("sound", "5.1 sound of which one channel speaks", "the channels are mixed")
def test_five_channels_become_one(tmp_path):
    channels = np.zeros((6, 48_000), np.float32)
    channels[2] = tone(1, 48_000)  # the centre speaks
    sound = media.audio(write(tmp_path / "surround.mp4", sound=channels, layout="5.1"))
    assert sound.ndim == 1
    assert np.argmax(np.abs(np.fft.rfft(sound[:16_000]))) == pytest.approx(440, abs=1)


def test_the_first_decodable_stream_is_taken(tmp_path):
    path = write(tmp_path / "two.mp4", pictures=10, videos=2)
    assert [number_of(frame.picture) for frame in media.frames(path, [0.35])] == [3]


@pytest.fixture(scope="module")
def defective(tmp_path_factory, clip) -> Path:
    """A folder of files that each lack something."""
    folder = tmp_path_factory.mktemp("defective")
    write(folder / "film.mp4", pictures=5)
    write(folder / "radio.mp4", sound=tone(1, 48_000))
    (folder / "garbage.mp4").write_bytes(np.random.default_rng(0).bytes(20_000))
    (folder / "headless.mp4").write_bytes(clip.read_bytes()[:3000])
    (folder / "empty.mp4").touch()
    return folder


def hear(path: Path) -> None:
    media.audio(path)


def look(path: Path) -> None:
    list(media.frames(path, [0.1]))


def ask_late(path: Path) -> None:
    media.cut(media.audio(path), 1.5, 2.0, path)


@pytest.mark.parametrize(
    ("attempt", "name", "reason"),
    [
        defect("sound", "a video without a sound track", hear, "film.mp4", absence.NO_AUDIO),
        defect("faces", "a sound file, where a picture is looked for", look, "radio.mp4", absence.NO_VIDEO),
        defect("sound", "random bytes named .mp4, for their sound", hear, "garbage.mp4", absence.UNDECODABLE),
        defect(
            "faces", "random bytes named .mp4, for their pictures", look, "garbage.mp4", absence.UNDECODABLE
        ),
        defect("media", "an .mp4 that lost its index", media.probe, "headless.mp4", absence.UNDECODABLE),
        defect("media", "an empty file named .mp4", hear, "empty.mp4", absence.UNDECODABLE),
        defect("media", "a file that is not there", hear, "nowhere.mp4", absence.FILE_MISSING),
        defect(
            "sound", "an utterance behind the end of its sound", ask_late, "radio.mp4", absence.OUT_OF_RANGE
        ),
    ],
)
def test_defects_have_names(defective, attempt, name, reason):
    with pytest.raises(media.MediaAbsence) as caught:
        attempt(defective / name)
    assert caught.value.reason == reason


@pytest.mark.fault(
    "media", "a video that was cut off in the middle", "what is there is used, the rest is out_of_range"
)
def test_a_truncated_file_gives_what_it_has(tmp_path):
    whole = write(tmp_path / "whole.mkv", pictures=200, sound=tone(20, 48_000))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    early, late = media.frames(cut, [1.0, 19.0])
    assert number_of(early.picture) == 10
    assert late is None
    assert 2 * 16_000 < len(media.audio(cut)) < 19 * 16_000


@pytest.mark.fault("media", "zeros in the middle of a video", "the damaged packets are stepped over")
def test_damage_in_the_middle_is_stepped_over(tmp_path):
    path = write(tmp_path / "damaged.mkv", pictures=100, sound=tone(10, 48_000))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = bytes(300)
    path.write_bytes(bytes(data))
    frames = list(media.frames(path, [0.55, 9.0]))
    assert number_of(frames[0].picture) == 5
    assert np.isfinite(media.audio(path)).all()


def test_probe(clip):
    facts = media.probe(clip)
    assert (facts.width, facts.height, facts.sample_rate, facts.channels) == (128, 64, 48_000, 1)
    assert facts.frame_rate == pytest.approx(FPS)
    assert facts.duration == pytest.approx(4, abs=0.1)


@pytest.mark.fault("media", "not one file of a shard can be read", "the stage stops: a wrong folder")
def test_a_shard_without_one_readable_file_is_an_error():
    with pytest.raises(PipelineError, match="corpus folder"):
        media.check_readable(["a.mp4", "b.mp4", "c.mp4"], [absence.FILE_MISSING] * 3)
    media.check_readable(["a.mp4", "b.mp4", "c.mp4"], [absence.FILE_MISSING, absence.FILE_MISSING, None])
    media.check_readable(["a.mp4"], [absence.UNDECODABLE])
