"""Annotating: whatever a video holds or lacks ends in annotations, or in one paragraph on what is missing."""

import csv
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import fixture_trees as trees
import numpy as np
import polars as pl
import pysubs2
import pytest
from fixture_model import FACE, LABELS, write_model, write_talk

from pipeline import annotate
from pipeline.annotation import annotating, film
from pipeline.annotation.facts import EMBEDDED_NOTICE
from pipeline.core import artefacts, media
from pipeline.core.errors import PipelineError
from pipeline.corpora import subtitles
from pipeline.model import load
from pipeline.settings.annotate import AnnotateSettings, FilmSettings

SRT = "1\n00:00:00,500 --> 00:00:01,500\nWords of an utterance\n\n2\n00:00:02,200 --> 00:00:03,400\n\n"
VTT = "WEBVTT\n\n00:00.500 --> 00:01.500\n<v Ann>Words of\n\n00:02.200 --> 00:03.400\n<v Ben>an utterance\n"
UNDRAWN = AnnotateSettings(film=FilmSettings(drawn=False))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("exported") / "model")


@pytest.fixture(scope="module")
def model(folder):
    return load(folder)


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """A face, and two bursts of a voice."""
    return write_talk(tmp_path_factory.mktemp("talk") / "talk.mp4")


@pytest.fixture(scope="module")
def drawn(model, talk, tmp_path_factory):
    """The talk annotated with a transcript: the table and the folder of files."""
    base = tmp_path_factory.mktemp("drawn")
    told = trees.write_text(base / "talk.vtt", VTT)
    rows = model.annotate(talk, told, base / "out")
    return rows, base / "out"


def reasons(rows: pl.DataFrame) -> list[set]:
    return [set(rows[f"reason_{name}"]) for name in ("text", "audio", "visual")]


def test_with_a_transcript_everything_is_read(drawn):
    rows, _ = drawn
    assert rows["start"].to_list() == [0.5, 2.2] and rows["end"].to_list() == [1.5, 3.4]
    assert rows["speaker"].to_list() == ["Ann", "Ben"]
    assert rows["text"].to_list() == ["Words of", "an utterance"]
    assert reasons(rows)[:2] == [{None}, {None}]
    shares = rows.select(f"p_{label}" for label in LABELS).to_numpy()
    assert shares.sum(1) == pytest.approx(np.ones(2), abs=1e-5)
    assert rows["label"].to_list() == [LABELS[place] for place in shares.argmax(1)]
    assert rows["confidence"].to_numpy() == pytest.approx(shares.max(1))
    assert set(rows["notice"]) == {EMBEDDED_NOTICE}


def test_every_file_says_the_same_and_says_the_notice(drawn):
    rows, out = drawn
    assert pl.read_parquet(out / "annotations.parquet").equals(rows)
    table = list(csv.DictReader((out / "annotations.csv").open()))
    assert [row["label"] for row in table] == rows["label"].to_list()
    assert table[0]["notice"] == EMBEDDED_NOTICE
    lines = [json.loads(line) for line in (out / "annotations.jsonl").read_text().splitlines()]
    assert [line["label"] for line in lines] == rows["label"].to_list()
    assert lines[0]["probabilities"].keys() == set(LABELS)
    assert lines[1]["notice"] == EMBEDDED_NOTICE
    for name in ("annotations.srt", "annotations.vtt"):
        notice, *cues = pysubs2.load(str(out / name))
        assert EMBEDDED_NOTICE in notice.plaintext
        assert [(cue.start, cue.end) for cue in cues] == [(500, 1500), (2200, 3400)]
        for cue, row in zip(cues, rows.iter_rows(named=True), strict=True):
            assert row["label"] in cue.plaintext and row["text"] in cue.plaintext
    about = json.loads((out / "about.json").read_text())
    assert about["notice"] == EMBEDDED_NOTICE
    assert about["cut"] == "transcript"


def test_the_film_is_as_long_as_the_video_and_keeps_its_sound(drawn, talk):
    _, out = drawn
    before, after = media.probe(talk), media.probe(out / "annotated.mp4")
    assert after.duration == pytest.approx(before.duration, abs=0.15)
    assert after.frame_rate == pytest.approx(before.frame_rate)
    assert after.width == 640 and after.height > 320
    kept, given = media.audio(out / "annotated.mp4"), media.audio(talk)
    for start, end in ((0.6, 1.4), (2.3, 3.3), (1.7, 2.1)):
        assert media.level(media.cut(kept, start, end, talk)) == pytest.approx(
            media.level(media.cut(given, start, end, talk)), abs=1.5
        )


def test_the_box_lies_on_the_face_and_the_timeline_on_its_times(drawn, talk):
    _, out = drawn
    boxes = pl.read_parquet(out / "faces.parquet")
    assert len(boxes), "the drawn face was not found"
    left, top = FACE
    centre = (boxes["x0"] + boxes["x1"]).median() / 2, (boxes["y0"] + boxes["y1"]).median() / 2
    assert centre == pytest.approx((left + trees.SIDE / 2, top + trees.SIDE / 2), abs=14)
    box = boxes.filter(utterance=0).select("x0", "y0", "x1", "y1").median().row(0)
    during, between = media.frames(out / "annotated.mp4", [1.0, 1.8])
    plain, quiet = (
        cv2.resize(frame.picture, (640, 320), interpolation=cv2.INTER_LINEAR).astype(int)
        for frame in media.frames(talk, [1.0, 1.8])
    )
    # the grey of the first label is not far from the wall's
    changed = np.abs(during.picture[:320].astype(int) - plain).sum(2) > 50
    x0, y0, x1, y1 = (round(2 * value) for value in box)
    sides = [changed[y0 - 3 : y0 + 4, x0:x1], changed[y1 - 3 : y1 + 4, x0:x1]]
    sides += [changed[y0:y1, x0 - 3 : x0 + 4].T, changed[y0:y1, x1 - 3 : x1 + 4].T]
    # a line of two pixels or more along each side
    shares = [side.any(0).mean() for side in sides]
    assert min(shares) > 0.9, shares
    # nobody speaks there: no box
    assert (np.abs(between.picture[:320].astype(int) - quiet).sum(2) > 100).mean() < 0.001
    # the timeline (32 to 56 below the picture) is coloured where somebody speaks
    colours = between.picture[320 + 36 : 320 + 52].astype(int)
    bright = np.ptp(colours, axis=2).mean(0) > 25
    times = (np.arange(640) - 8) / 624 * 4
    inside = ((times > 0.6) & (times < 1.4)) | ((times > 2.3) & (times < 3.3))
    outside = (times > 3.6) & (times < 3.9)
    assert bright[inside].mean() > 0.9 and not bright[outside].any()


@pytest.mark.fault(
    "media", "a video without a transcript", "its voices are found; text is missing: no_transcript"
)
def test_without_a_transcript_the_speech_is_found_and_text_is_missing(model, talk):
    rows = model.annotate(talk, settings=UNDRAWN)
    assert rows["start"].to_numpy() == pytest.approx([0.5, 2.2], abs=0.25)
    assert reasons(rows)[:2] == [{"no_transcript"}, {None}]
    assert set(rows["speaker"]) == {None}
    assert not set(rows["modalities"]) & {"", "text"}


def test_a_transcript_beside_the_video_is_taken_unless_there_are_two(model, talk, tmp_path):
    video = shutil.copy(talk, tmp_path / "talk.mp4")
    trees.write_text(tmp_path / "talk.srt", SRT)
    rows = model.annotate(Path(video), settings=UNDRAWN)
    assert rows["text"].to_list() == ["Words of an utterance", None]
    assert rows["reason_text"].to_list() == [None, "no_text"]
    trees.write_text(tmp_path / "talk.vtt", VTT)
    with pytest.raises(PipelineError, match=r"talk\.srt and talk\.vtt: two transcripts"):
        model.annotate(Path(video), settings=UNDRAWN)


@pytest.mark.fault(
    "media", "a video without sound and transcript", "the picture alone is judged, in equal pieces"
)
def test_without_sound_the_picture_alone_is_judged_in_pieces(model, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    video = write_talk(tmp_path / "mute.mp4", 9.0, bursts=None)
    rows = model.annotate(video, out=tmp_path / "out")
    assert rows["end"].to_list() == pytest.approx([3, 6, 9])
    assert set(rows["modalities"]) == {"visual"}
    assert reasons(rows) == [{"no_transcript"}, {"no_audio_track"}, {None}]
    assert "no sound (no_audio_track): the video was cut into equal pieces" in caplog.text
    assert media.probe(tmp_path / "out" / "annotated.mp4").sample_rate is None


@pytest.mark.fault("sound", "a video whose sound is a steady tone", "no speech is found in it: no_speech")
def test_a_steady_tone_is_no_speech(model, tmp_path):
    video = trees.write_clip(tmp_path / "tone.mp4", 3.0)
    rows = model.annotate(video, settings=UNDRAWN)
    assert reasons(rows)[1:] == [{"no_speech"}, {None}]


@pytest.mark.fault("faces", "a video without a face", "voice and words are judged")
def test_without_a_face_the_voice_is_judged(model, tmp_path):
    rows = model.annotate(write_talk(tmp_path / "wall.mp4", faces=0), settings=UNDRAWN)
    assert set(rows["modalities"]) == {"audio"}
    assert reasons(rows)[2] == {"no_face"}


def test_sound_alone_is_annotated_and_drawn(model, tmp_path):
    rows = model.annotate(write_talk(tmp_path / "radio.mp4", faces=None), out=tmp_path / "out")
    assert reasons(rows) == [{"no_transcript"}, {None}, {"no_video_stream"}]
    assert media.probe(tmp_path / "out" / "annotated.mp4").duration == pytest.approx(4, abs=0.15)


@pytest.mark.fault(
    "media", "a video in which nothing can be judged", "annotate stops, and says what is missing"
)
def test_where_there_is_nothing_it_says_what_is_missing(model, tmp_path):
    video = write_talk(tmp_path / "nothing.mp4", faces=0, bursts=None)
    said = r"nothing in it can be judged.*no_transcript 1.*no_audio_track 1.*no_face 1"
    with pytest.raises(PipelineError, match=said):
        model.annotate(video, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_words_alone_are_enough(model, tmp_path):
    video = write_talk(tmp_path / "slides.mp4", faces=0, bursts=None)
    rows = model.annotate(video, trees.write_text(tmp_path / "t.srt", SRT), settings=UNDRAWN)
    assert rows["modalities"].to_list() == ["text", ""]


def test_where_nobody_speaks_no_network_is_asked_whose_face_it_is(folder, tmp_path):
    """The weights of the network that chose the model's faces need not be there."""
    copy = shutil.copytree(folder, tmp_path / "model")
    facts = artefacts.load_json(copy / "config.json")
    facts["extraction"]["faces"] |= {"choice": "light_asd", "motion_rate": 30}
    facts["chooser"] = {"source": "public", "weights": None, "files": {}}
    artefacts.save_json(copy / "config.json", facts)
    silent = write_talk(tmp_path / "silent.mp4", bursts=None)
    assert set(load(copy).annotate(silent, settings=UNDRAWN)["modalities"]) == {"visual"}
    with pytest.raises(PipelineError, match="the public chooser of faces of this model is not there"):
        load(copy).annotate(write_talk(tmp_path / "talk.mp4"), settings=UNDRAWN)


def test_a_score_is_written_and_drawn(tmp_path, talk):
    model = load(write_model(tmp_path / "model", regression=True, notice=""))
    rows = model.annotate(talk, trees.write_text(tmp_path / "t.vtt", VTT), tmp_path / "out")
    assert rows.schema["score"] == pl.Float32 and "label" not in rows.columns
    lines = [json.loads(line) for line in (tmp_path / "out" / "annotations.jsonl").open()]
    assert [line["score"] for line in lines] == rows["score"].to_list()
    assert "notice" not in lines[0] and set(rows["notice"]) == {None}
    assert len(pysubs2.load(str(tmp_path / "out" / "annotations.srt"))) == 2


@pytest.mark.fault("subtitles", "a cue without a length in an annotated video", "it is judged by its words")
def test_a_cue_without_a_length_is_judged_by_its_words(model, talk, tmp_path):
    plain = model.annotate(talk, trees.write_text(tmp_path / "a.vtt", VTT), settings=UNDRAWN)
    odd = VTT + "\n00:03.500 --> 00:03.500\n<v Ann>Yes\n"
    rows = model.annotate(talk, trees.write_text(tmp_path / "b.vtt", odd), tmp_path / "out", settings=UNDRAWN)
    assert rows["modalities"].to_list()[2] == "text"
    assert rows.row(2, named=True)["reason_audio"] == rows.row(2, named=True)["reason_visual"] == "no_length"
    # what the others are read from is as it was
    for column in ("start", "end", "speaker", "text", "modalities"):
        assert rows[column][:2].equals(plain[column])


@pytest.mark.fault("subtitles", "a time of 1e9 s in an annotated video", "it ends with the video")
@pytest.mark.fault("subtitles", "a cue far after the end of the video", "out_of_range; its words are read")
def test_absurd_times_end_with_the_video(model, talk, tmp_path):
    told = "start,end,text\n0.5,1e9,Words\n1e9,2e9,later\n1e300,1e301,never\n"
    rows = model.annotate(talk, trees.write_text(tmp_path / "t.csv", told), tmp_path / "out")
    assert rows["end"][0] == pytest.approx(media.probe(talk).duration, abs=0.1)
    assert rows["reason_audio"].to_list() == [None, "out_of_range", "out_of_range"]
    assert rows["reason_visual"].to_list()[1:] == ["out_of_range"] * 2
    assert set(rows["reason_text"]) == {None}


@pytest.mark.fault("names", "`talk.en.vtt` beside `talk.mp4` in annotating", "it is the transcript")
def test_what_was_repaired_of_a_transcript_is_told(model, talk, tmp_path):
    video = Path(shutil.copy(talk, tmp_path / "talk.mp4"))
    trees.write_text(
        tmp_path / "talk.en.vtt", VTT.replace("\n\n00:02", "\n00:02").replace("2.200 -->", "2.200 ->")
    )
    rows = model.annotate(video, out=tmp_path / "out", settings=UNDRAWN)
    assert rows["speaker"].to_list() == ["Ann", "Ben"]
    about = json.loads((tmp_path / "out" / "about.json").read_text())
    assert about["repaired"] == {subtitles.UNPARTED: 1, subtitles.ARROWS: 1}
    assert about["transcript"].endswith("talk.en.vtt")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\n00:00:01,000 -> x\n00:00:0a,000 --> 00:00:02,000\nhello\n", r"t\.srt, line 2"),
        ("1\n00:00:03,000 --> 00:00:02,000\nhello\n", r"t\.srt, line 2: ends at 2"),
        ("no cues here\n", r"t\.srt: it holds no utterance"),
    ],
)
def test_a_wrong_line_of_a_transcript_is_named(model, talk, tmp_path, text, said):
    with pytest.raises(PipelineError, match=said):
        model.annotate(talk, trees.write_text(tmp_path / "t.srt", text), settings=UNDRAWN)


@pytest.mark.fault("media", "a video to annotate that is missing, or no video", "annotate stops, naming it")
def test_a_missing_or_broken_video_is_named(model, tmp_path):
    with pytest.raises(PipelineError, match=r"gone\.mp4: file_missing"):
        model.annotate(tmp_path / "gone.mp4", settings=UNDRAWN)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing of the kind" * 99)
    with pytest.raises(PipelineError, match=r"broken\.mp4: undecodable"):
        model.annotate(broken, settings=UNDRAWN)


def test_the_shell_line_needs_no_settings(folder, tmp_path):
    video = write_talk(tmp_path / "talk.mp4", 2.0, bursts=None)
    command = [sys.executable, "-m", "pipeline.annotate", "--model", folder, "--video", video]
    done = subprocess.run(
        [*command, "--out", tmp_path / "out"], capture_output=True, text=True, check=True, cwd=trees_root()
    )
    assert EMBEDDED_NOTICE in done.stderr
    assert (tmp_path / "out" / "annotated.mp4").is_file()
    gone = subprocess.run(
        [*command[:-1], tmp_path / "gone.mp4", "--out", tmp_path / "other"],
        capture_output=True,
        text=True,
        check=False,
        cwd=trees_root(),
    )
    assert gone.returncode == 1 and "Traceback" not in gone.stderr


@pytest.mark.fault(
    "names",
    "`--out` names a folder with a file of one's own that has a name of the annotations'",
    "refused before any work, nothing is touched",
)
@pytest.mark.parametrize("out", ["photos", "notes.txt", "link"])
def test_out_takes_the_place_of_annotations_only(model, talk, tmp_path, monkeypatch, out):
    photos = trees.write_text(tmp_path / "photos" / "mine.jpg", "x").parent
    (photos / "about.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "link").symlink_to(photos)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(annotating, "open_video", lambda *_: pytest.fail("worked before looking"))
    said = "notes.txt: it is a file" if out == "notes.txt" else "which would be lost. Name a folder"
    with pytest.raises(PipelineError, match=said):
        model.annotate(talk, out=Path(out), settings=UNDRAWN)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.fault(
    "names", "the video is called `annotated.mp4` and lies in the folder of its annotations", "refused"
)
def test_the_video_is_not_lost_to_its_annotations(model, talk, tmp_path):
    video = Path(shutil.copy(talk, tmp_path / "annotated.mp4"))
    with pytest.raises(PipelineError, match=r"holds 'annotated\.mp4', which would be lost"):
        model.annotate(video, out=tmp_path)
    assert video.is_file()


@pytest.mark.fault("disk", "`--out` names a folder that cannot be written", "refused before any work")
def test_a_folder_that_cannot_be_written_is_refused_before_any_work(model, talk, monkeypatch):
    monkeypatch.setattr(annotating, "open_video", lambda *_: pytest.fail("worked before looking"))
    with pytest.raises(PipelineError, match=r"/proc/mine: nothing can be written there"):
        model.annotate(talk, out=Path("/proc/mine"))


@pytest.mark.fault("names", "`--out` names a folder that holds files of one's own", "they stay as they are")
def test_what_people_keep_among_annotations_stays(model, talk, tmp_path):
    notes = trees.write_text(tmp_path / "notes.txt", "mine")
    for _ in range(2):
        model.annotate(talk, out=tmp_path, settings=UNDRAWN)
        notes_after = notes.read_text()
        assert notes_after == "mine" and (tmp_path / "about.json").is_file()


def test_a_film_that_is_no_longer_drawn_goes(model, talk, tmp_path):
    model.annotate(talk, out=tmp_path)
    assert (tmp_path / "annotated.mp4").is_file()
    model.annotate(talk, out=tmp_path, settings=UNDRAWN)
    assert not (tmp_path / "annotated.mp4").exists()


def test_former_annotations_are_replaced(model, talk, tmp_path):
    for name in ("annotations.srt", ".snakemake_timestamp"):
        trees.write_text(tmp_path / "out" / name, "old")
    model.annotate(talk, out=tmp_path / "out", settings=UNDRAWN)
    assert (tmp_path / "out" / "annotations.srt").read_text() != "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not list((tmp_path / "out").glob(".making-*"))


def test_a_second_writer_of_a_folder_does_not_stop_the_first(tmp_path, monkeypatch):
    target, rename, quicker = tmp_path / "out", os.replace, iter([True, False])

    def hurried(source, place):
        if Path(place) == target and next(quicker, False):
            trees.write_text(target / "theirs", "x")
        rename(source, place)

    monkeypatch.setattr(artefacts.os, "replace", hurried)
    with artefacts.replacing_folder(target) as temporary:
        (temporary / "ours").write_text("x")
    assert [path.name for path in target.iterdir()] == ["ours"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_never_takes_the_place_of_a_file(tmp_path):
    (tmp_path / "out").write_text("mine")
    with (
        pytest.raises(PipelineError, match=r"out: .*folder is needed"),
        artefacts.replacing_folder(tmp_path / "out"),
    ):
        pass
    assert (tmp_path / "out").read_text() == "mine"


def test_a_cue_ends_with_the_video(model, talk, tmp_path):
    told = SRT.replace("03,400", "59,000") + "3\n00:01:00,000 --> 00:01:01,000\nlater\n"
    rows = model.annotate(talk, trees.write_text(tmp_path / "t.srt", told), settings=UNDRAWN)
    assert rows["end"].to_list() == pytest.approx([1.5, media.probe(talk).duration, 61], abs=0.1)
    assert rows["reason_audio"].to_list() == [None, None, "out_of_range"]


@pytest.mark.parametrize("name", ["Meeting:1.mp4", "-dash.mp4", "file:x.mp4"])
def test_a_name_may_hold_a_colon_and_begin_with_a_dash(model, talk, tmp_path, monkeypatch, name):
    shutil.copy(talk, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(model.annotate(Path(name), out=Path(f"{name}.out"))) == 2
    assert (tmp_path / f"{name}.out" / "annotated.mp4").is_file()


@pytest.mark.fault(
    "faces", "anamorphic video in annotate", "it is drawn as a player shows it, and the box follows"
)
@pytest.mark.parametrize(("aspect", "size"), [(Fraction(2), (640, 160)), (Fraction(1, 2), (640, 640))])
def test_wide_pixels_are_drawn_wide_and_the_box_follows(model, talk, tmp_path, aspect, size):
    video = tmp_path / "wide.mkv"
    with av.open(str(talk)) as square, av.open(str(video), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 160, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        for number, frame in enumerate(square.decode(video=0)):
            frame.pts, frame.time_base = number, Fraction(1, 10)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    assert media.probe(video).aspect == aspect
    model.annotate(video, trees.write_text(tmp_path / "t.vtt", VTT), tmp_path / "out")
    (frame,) = media.frames(tmp_path / "out" / "annotated.mp4", [1.0])
    (plain,) = media.frames(video, [1.0])
    width, height = size
    scale = width / plain.picture.shape[1]
    assert plain.picture.shape[0] * scale == height
    plain = cv2.resize(plain.picture, size, interpolation=cv2.INTER_LINEAR).astype(int)
    assert frame.picture.shape[1] == width
    changed = np.abs(frame.picture[:height].astype(int) - plain).sum(2) > 50
    box = pl.read_parquet(tmp_path / "out" / "faces.parquet").filter(utterance=0)
    x0, x1, y1 = box.select("x0", "x1", "y1").median().row(0)
    # boxes are in pixels of the picture as a player shows it
    left, right, low = (round(value * scale) for value in (x0, x1, y1))
    assert changed[low - 4 : low + 5, left:right].any(0).mean() > 0.9


def write_slides(path: Path, times: Sequence[int]) -> Path:
    """A picture at each of the times (s), darker and darker, without sound."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        for number, time in enumerate(times):
            picture = np.full((48, 64, 3), 250 - 60 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = 10 * time, Fraction(1, 10)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def test_slides_that_stand_for_a_minute_are_drawn_with_what_moves(model, tmp_path):
    video = write_slides(tmp_path / "slides.mkv", [0, 60, 120])
    told = trees.write_text(tmp_path / "t.srt", SRT)
    chosen = AnnotateSettings(film=FilmSettings(width=320))
    model.annotate(video, told, tmp_path / "out", settings=chosen)
    film_of = tmp_path / "out" / "annotated.mp4"
    assert media.probe(film_of).frame_rate == pytest.approx(10)
    during, between, later = media.frames(film_of, [1.0, 1.8, 61.0])
    band = [frame.picture[250:].astype(int) for frame in (during, between)]
    assert np.abs(band[0] - band[1]).mean() > 1
    assert during.picture[:200].mean() > later.picture[:200].mean() + 40


@pytest.mark.parametrize(
    ("own", "most", "drawn_at"), [(1 / 48, 30, 10), (0.0001, 1, 1), (None, 60, 25), (90_000, 30, 30)]
)
def test_pictures_are_drawn_at_a_rate_that_shows_what_moves(own, most, drawn_at):
    assert film.picture_rate(own, FilmSettings(rate=most)) == drawn_at


@pytest.mark.fault("media", "a video of one picture without sound", "annotate stops: it has no length")
def test_a_single_picture_has_no_length(model, tmp_path, monkeypatch):
    video = write_slides(tmp_path / "one.mkv", [0])
    declared = replace(media.probe(video), duration=0.0)
    monkeypatch.setattr(media, "probe", lambda path: declared)
    with pytest.raises(PipelineError, match=r"one\.mkv: it has no length"):
        model.annotate(video, settings=UNDRAWN)


def trees_root() -> Path:
    return Path(annotate.__file__).parent.parent


@pytest.mark.parametrize(
    ("size", "drawn_at"), [((320, 240), (640, 480)), ((1920, 1080), (1280, 720)), ((1080, 1920), (720, 1280))]
)
def test_small_pictures_are_enlarged_and_large_ones_reduced(size, drawn_at):
    assert film.even_size(*size, FilmSettings()) == drawn_at
