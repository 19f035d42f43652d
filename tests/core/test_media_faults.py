"""Sound and pictures as people have them: wrong timestamps, sizes, samples, channels, tracks and pixels."""

import json
import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import polars as pl
import pytest
from films import FPS, number_of, numbered, tone, write

from pipeline.core import absence, artefacts, media, soundtrack
from pipeline.core.errors import PipelineError
from pipeline.extraction import faces as extraction
from pipeline.extraction.detection import Detector
from pipeline.extraction.shard import check_generated, load_shard
from pipeline.extraction.sound import heard
from pipeline.settings.encoders import AudioSettings
from pipeline.settings.faces import FacesSettings
from pipeline.settings.media import MediaSettings

RATE = 16_000
HOUR = 3600


def tracks(
    path: Path, sounds: list[np.ndarray], stamp=lambda n: n, pictures: int = 0, codec: str = "pcm_f32le"
) -> Path:
    """Uncompressed tracks (channels, samples) in pieces of 1024; `stamp` gives their first samples."""
    with av.open(str(path), "w") as file:
        video = file.add_stream("mpeg4", rate=FPS) if pictures else None
        if video:
            video.width, video.height, video.pix_fmt = 128, 64, "yuv420p"
        voices = [
            file.add_stream(codec, rate=RATE, layout="stereo" if len(s) == 2 else "mono") for s in sounds
        ]
        for k in range(pictures):
            frame = av.VideoFrame.from_ndarray(numbered(k), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, FPS)
            file.mux(video.encode(frame))
        if video:
            file.mux(video.encode())
        for voice, sound in zip(voices, sounds, strict=True):
            for low in range(0, sound.shape[1], 1024):
                packed = np.ascontiguousarray(sound[:, low : low + 1024].T.reshape(1, -1), np.float32)
                frame = av.AudioFrame.from_ndarray(
                    packed, format="flt", layout="stereo" if len(sound) == 2 else "mono"
                )
                frame.sample_rate, frame.pts, frame.time_base = RATE, stamp(low), Fraction(1, RATE)
                for packet in voice.encode(frame):
                    file.mux(packet)
    return path


def voice(seconds: float = 4.0, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal((1, round(seconds * RATE)))).astype(np.float32)


PLACE = 30 * 1024
JUMPS = {
    "all the rest by 30 hours": lambda n: n + 30 * HOUR * RATE * (n >= PLACE),
    "all the rest by 300 hours": lambda n: n + 300 * HOUR * RATE * (n >= PLACE),
    "from the beginning by 300 hours": lambda n: n + 300 * HOUR * RATE * (n > 0),
}


@pytest.mark.fault(
    "sound", "a timestamp of a sound track jumps by 30 or 300 hours", "the sound goes on where it was"
)
@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("pictures", [0, 40])
def test_a_jump_of_the_timestamps_is_not_followed(tmp_path, jump, pictures):
    sound = voice()
    path = tracks(tmp_path / "jump.mkv", [sound], JUMPS[jump], pictures)
    tracemalloc.start()
    found = media.hear(path).samples
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
    np.testing.assert_array_equal(found, sound[0])


@pytest.mark.fault("sound", "a timestamp of a sound track jumps far back", "the sound goes on where it was")
def test_a_jump_back_is_not_followed():
    pieces = [(n / RATE - 15 * (n >= 22 * RATE), voice(0.064, n)) for n in range(20 * RATE, 24 * RATE, 1024)]
    found = np.concatenate(list(soundtrack.on_the_clock(pieces, RATE, lambda time: False)), axis=1)
    np.testing.assert_array_equal(
        found[:, 20 * RATE :], np.concatenate([piece for _, piece in pieces], axis=1)
    )


def test_a_long_gap_is_silence_where_another_stream_bears_it_out():
    pieces = [(0.0, voice(1)), (700.0, voice(1, 1))]
    kept = np.concatenate(list(soundtrack.on_the_clock(pieces, RATE, lambda time: time < 800)), axis=1)
    assert kept.shape[1] == 701 * RATE
    np.testing.assert_array_equal(kept[:, 700 * RATE :], pieces[1][1])


@pytest.mark.fault(
    "sound", "one timestamp of a sound track is wrong by seconds or hours", "its sound stays in its place"
)
@pytest.mark.parametrize("seconds", [-300 * HOUR, -3, 0.5, 100, 30 * HOUR])
@pytest.mark.parametrize("place", [0, 1, 30])
def test_one_wrong_timestamp_is_not_followed(seconds, place):
    pieces = [(n * 0.064 + seconds * (n == place), voice(0.064, n)) for n in range(60)]
    found = np.concatenate(list(soundtrack.on_the_clock(pieces, RATE, lambda time: False)), axis=1)
    np.testing.assert_array_equal(found, np.concatenate([piece for _, piece in pieces], axis=1))


@pytest.mark.fault(
    "media", "the timestamp of one picture is wrong by hours", "it is left out, the others keep their times"
)
@pytest.mark.parametrize("seconds", [60, 30 * HOUR, 300 * HOUR])
def test_one_wrong_picture_is_left_out(seconds):
    pictures = [(k / FPS + seconds * (k == 10), k) for k in range(30)]
    found = list(soundtrack.steady(pictures, lambda time: False))
    assert found == [(k / FPS, k) for k in range(30) if k != 10]


@pytest.mark.fault(
    "media", "the timestamps of all later pictures jump by hours", "the pictures go on where they were"
)
@pytest.mark.parametrize("hours", [1, 30, 300])
def test_a_jump_of_the_pictures_is_not_followed(tmp_path, hours):
    path = tmp_path / "jump.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        stream.codec_context.bit_rate = 2_000_000
        for k in range(30):
            frame = av.VideoFrame.from_ndarray(numbered(k), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, FPS)
            for packet in stream.encode(frame):
                packet.pts = packet.dts = k + hours * HOUR * FPS * (k >= 10)
                file.mux(packet)
    shown = list(media.frames(path, [0.55, 1.25, 2.55, 2.95, 9.0]))
    assert [number_of(frame.picture) for frame in shown[:4]] == [5, 12, 25, 29]
    assert shown[4] is None
    assert media.length(path) < 3


@pytest.mark.fault(
    "sound", "more sound than the settings let one file hold", "its utterances lack sound: too_large"
)
def test_sound_beyond_the_bound_is_an_absence(tmp_path):
    path = tracks(tmp_path / "long.wav", [voice(20)])
    rows = [{"utterance": "u", "media": str(path), "start": 0.0, "end": 1.0}]
    _, reasons, _ = heard(rows, AudioSettings(), MediaSettings(megabytes=1), 400)
    assert reasons == [("u", absence.TOO_LARGE)]
    assert len(media.hear(path, most=2).samples) == 20 * RATE
    with pytest.raises(media.MediaAbsence, match="too_large"):
        media.hear(path, tmp_path / "spool", most=1)


class Sees(Detector):
    """A detector that finds no face and counts the pictures."""

    def __init__(self, settings: FacesSettings) -> None:
        super().__init__(settings)
        self.sizes: list[tuple[int, int]] = []

    def find(self, small: np.ndarray) -> list:
        self.sizes.append((small.shape[1], small.shape[0]))
        return []


def seen(path: Path, rows: list[tuple[float, float]], **reading) -> tuple[list[str | None], Sees]:
    """The reasons of utterances in the order of `rows`, and the detector."""
    detector = Sees(FacesSettings(choice="largest"))
    named = [
        {"utterance": str(n), "media": str(path), "start": start, "end": end, "crop": None}
        for n, (start, end) in enumerate(rows)
    ]
    utterances, _, _ = extraction.of_rows(named, detector, MediaSettings(**reading))
    found = {row["utterance"]: row["reason"] for row in utterances}
    return [found[str(n)] for n in range(len(rows))], detector


@pytest.mark.fault(
    "faces", "a picture larger than the settings let it be", "its file lacks pictures: too_large"
)
def test_a_picture_beyond_the_bound_is_an_absence(tmp_path):
    with av.open(str(tmp_path / "large.mkv"), "w") as file:
        stream = file.add_stream("mjpeg", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuvj420p"
        file.mux(
            stream.encode(av.VideoFrame.from_ndarray(np.zeros((720, 1280, 3), np.uint8), format="rgb24"))
        )
        file.mux(stream.encode())
    assert seen(tmp_path / "large.mkv", [(0.0, 0.1)], megabytes=2)[0] == [absence.TOO_LARGE]
    assert seen(tmp_path / "large.mkv", [(0.0, 0.1)], megabytes=3)[0] == [absence.NO_FACE]


@pytest.mark.parametrize("end", [1e6, 1e9, 1e300, 1.7e308])
@pytest.mark.fault(
    "faces",
    "an utterance that ends hours, or 1e300 s, behind its file",
    "it is looked at as far as the file goes",
)
def test_an_end_far_behind_the_file_costs_nothing(tmp_path, end):
    path = write(tmp_path / "film.mp4", pictures=20)
    reasons, detector = seen(path, [(0.5, 1.5), (1.0, end), (end / 2, end)])
    assert reasons == [absence.NO_FACE, absence.NO_FACE, absence.OUT_OF_RANGE]
    assert len(detector.sizes) < 12
    sound = voice()[0]
    np.testing.assert_array_equal(media.cut(sound, 1.0, end, path), sound[RATE:])
    with pytest.raises(media.MediaAbsence, match=absence.OUT_OF_RANGE):
        media.cut(sound, end / 2, end, path)


WRONG = {"1e30": 1e30, "NaN": np.nan, "infinity": -np.inf, "5000 times full scale": 5000.0}


@pytest.mark.fault(
    "sound",
    "samples of 1e30, NaN or infinity in a sound",
    "the utterances that hold them lack sound: damaged",
)
@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("rate", [RATE, 48_000])
def test_samples_that_are_no_sound_cost_their_utterance(tmp_path, monkeypatch, what, rate):
    monkeypatch.setattr(__import__(__name__), "RATE", rate)
    sound = np.concatenate([voice(), voice(4, 1)], axis=1)
    rows = [{"utterance": str(n), "media": "", "start": float(n), "end": n + 1.0} for n in range(4)]

    def said(name: str, samples: np.ndarray):
        path = tracks(tmp_path / name, [samples])
        own = [row | {"media": str(path)} for row in rows]
        sounds, reasons, _ = heard(own, AudioSettings(), MediaSettings(), 400)
        return dict(sounds), dict(reasons)

    whole, _ = said("whole.wav", sound)
    sound = sound.copy()
    sound[0, round(1.5 * rate) : round(1.5 * rate) + 3] = WRONG[what]
    sounds, reasons = said("wrong.wav", sound)
    assert reasons == {"1": absence.DAMAGED}
    assert all(np.isfinite(piece).all() for piece in sounds.values())
    for name in ("0", "2", "3"):
        np.testing.assert_allclose(sounds[name], whole[name], atol=1e-6)


@pytest.mark.fault(
    "sound", "two channels in counter-phase, whose sum is silence", "their difference is taken, and recorded"
)
def test_counter_phase_is_not_silence(tmp_path):
    sound = voice()
    path = tracks(tmp_path / "turned.wav", [np.concatenate([sound, -sound])])
    found = media.hear(path)
    assert found.choice == {"mixture": "difference"}
    np.testing.assert_allclose(found.samples, 2**0.5 * sound[0], atol=1e-6)


def test_other_channels_are_summed_as_ever(tmp_path):
    sound = voice()
    for other in (sound, voice(seed=1), 0 * sound, -0.5 * sound):
        found = media.hear(tracks(tmp_path / "two.wav", [np.concatenate([sound, other])]))
        assert found.choice == {}
        np.testing.assert_allclose(found.samples, (0.5**0.5 * (sound + other))[0], atol=1e-6)


@pytest.mark.fault(
    "sound", "two channels in counter-phase for a part of the time", "one channel is taken, and recorded"
)
def test_channels_that_turn_midway_are_not_lost():
    census = soundtrack.Census()
    for n in range(20):
        piece = voice(0.1, n)
        census.add(np.concatenate([piece, piece if n % 2 else -piece]))
    assert census.best == "left"


@pytest.mark.fault(
    "sound", "the first of two sound tracks is silent", "the other is taken (a setting), and recorded"
)
def test_a_silent_first_track_is_passed_over(tmp_path):
    sound = voice()
    path = tracks(tmp_path / "two.mkv", [0 * sound, sound])
    found = media.hear(path)
    assert found.choice == {"track": 2, "of": 2}
    np.testing.assert_array_equal(found.samples, sound[0])
    first = media.hear(path, track="first")
    assert not first.samples.any()
    both = media.hear(tracks(tmp_path / "both.mkv", [voice(seed=1), sound]))
    np.testing.assert_array_equal(both.samples, voice(seed=1)[0])
    assert media.hear(tracks(tmp_path / "none.mkv", [0 * sound, 0 * sound])).choice == {"track": 1, "of": 2}


@pytest.mark.fault(
    "faces",
    "pixels that are wider than high (anamorphic video)",
    "they are made square before faces are looked for",
)
@pytest.mark.parametrize(
    ("aspect", "size"), [(Fraction(2), (256, 64)), (Fraction(1, 2), (128, 128)), (Fraction(1), (128, 64))]
)
def test_pixels_are_made_square(tmp_path, aspect, size):
    path = tmp_path / "wide.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(5), format="rgb24")))
        file.mux(stream.encode())
    (frame,) = media.frames(path, [0.1])
    assert (frame.picture.shape[1], frame.picture.shape[0]) == size
    assert seen(path, [(0.0, 0.3)])[1].sizes == [size]


def spoilt(path: Path) -> Path:
    """A film of which the decoder marks some pictures as corrupt."""
    generator = np.random.default_rng(0)
    base = generator.integers(0, 255, (96, 160, 3), dtype=np.uint8)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.codec_context.bit_rate = 1_000_000
        for k in range(56):
            frame = av.VideoFrame.from_ndarray(np.roll(base, 3 * k, 1), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, FPS)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    data = bytearray(path.read_bytes())
    for share in (0.2, 0.5, 0.8):
        place = round(share * len(data))
        data[place : place + 188] = bytes(188)
    path.write_bytes(data)
    return path


@pytest.mark.fault(
    "faces",
    "pictures that the decoder marks as corrupt",
    "they are not looked at; with no other, undecodable",
)
def test_corrupt_pictures_are_not_used(tmp_path):
    path = spoilt(tmp_path / "spoilt.mkv")
    with av.open(str(path)) as file:
        marked = [round(frame.time, 3) for frame in file.decode(video=0) if frame.is_corrupt]
    assert marked
    times = [k / FPS + 0.05 for k in range(56)]
    corrupt = {
        round(shown.time, 3) for shown in media.frames(path, times) if isinstance(shown, media.Corrupt)
    }
    assert corrupt == set(marked)
    begins = marked[0]
    reasons, _ = seen(path, [(begins + 0.01, begins + 0.09), (0.0, 5.5)])
    assert reasons == [absence.UNDECODABLE, absence.NO_FACE]
    assert media.first_picture(path).time == 0


def table(path: Path, **changes) -> Path:
    """A shard of two utterances of one video."""
    columns = {
        "utterance": ["a", "b"],
        "media": [str(path.parent / "v.mp4")] * 2,
        "start": [0.0, 1.0],
        "end": [1.0, 2.0],
        "medium": [None, None],
    }
    artefacts.save_table(path, pl.DataFrame(columns | changes, schema_overrides={"medium": pl.String}))
    return path


@pytest.mark.fault(
    "artefacts",
    "a table of a shard was edited: another type, empty cells, repeated utterances, times that are none",
    "the stage stops; file and row are named",
)
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start": ["0", "1"]}, "column start: String"),
        ({"media": [None, "v.mp4"]}, "row 0: media is empty"),
        ({"utterance": ["a", "a"]}, "'a' is twice"),
        ({"end": [1.0, 0.5]}, "row 1: start 1.0 and end 0.5"),
        ({"end": [float("nan"), 2.0]}, "row 0: start 0.0 and end nan"),
    ],
)
def test_an_edited_shard_is_named(tmp_path, changes, said):
    path = table(tmp_path / "runs" / "demo" / "shards" / "0.parquet", **changes)
    with pytest.raises(PipelineError, match=said) as caught:
        load_shard(path, ["utterance", "media", "start", "end"])
    assert "0.parquet" in str(caught.value) and "--force runs/demo/shards/0.parquet" in str(caught.value)


@pytest.mark.fault(
    "artefacts",
    "a flipped bit in a video of the embedded corpus",
    "faces and audio stop; the command that draws it anew is named",
)
def test_a_damaged_generated_video_is_named(tmp_path):
    video = tmp_path / "runs" / "demo" / "corpus" / "0" / "videos" / "v.mp4"
    video.parent.mkdir(parents=True)
    write(video, pictures=3)
    digest = artefacts.file_digest(video)
    shard = table(tmp_path / "0.parquet", media=[str(video)] * 2, medium=[digest] * 2)
    check_generated(shard)
    data = bytearray(video.read_bytes())
    data[len(data) // 2] ^= 1
    video.write_bytes(data)
    with pytest.raises(PipelineError, match=r"v\.mp4.*stage corpus.*--force runs/demo/corpus/0"):
        check_generated(shard)


def test_what_was_chosen_is_recorded_with_the_features(tmp_path):
    from pipeline.extraction.feature_table import FeatureTable

    part = FeatureTable(["u"], 2, keep_frames=False)
    part.add("u", np.ones((1, 2), np.float32))
    part.notes["talk.mkv"] = {"track": 2, "of": 2}
    whole = FeatureTable(["u"], 2, keep_frames=False)
    whole.put(part.packed())
    whole.save(tmp_path / "f.safetensors", tmp_path / "f.parquet")
    notes = json.loads(artefacts.load_metadata(tmp_path / "f.safetensors")["notes"])
    assert notes == {"talk.mkv": {"track": 2, "of": 2}}


def test_sound_and_tone_keep_their_pitch(tmp_path):
    path = write(tmp_path / "a.mp4", sound=tone(1, 48_000))
    assert np.argmax(np.abs(np.fft.rfft(media.audio(path)[:16_000]))) == pytest.approx(440, abs=1)
