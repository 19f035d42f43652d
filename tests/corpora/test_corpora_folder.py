"""A folder of one's own: transcripts of three kinds, labels or none, splits given or drawn."""

import mimetypes
import re

import fixture_trees as trees
import polars as pl
import pytest
from workflow import ROOT

from pipeline import manifest
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.corpora import folder, transcripts
from pipeline.extraction.shard import load_words

SRT = (
    "1\n00:00:00,000 --> 00:00:00,500\nHello &amp; <i>bye</i>\nagain\n\n2\n00:00:00,500 --> 00:00:01,000\n\n"
)
VTT = (
    "WEBVTT\n\nNOTE a note\n\n00:00.000 --> 00:00.500 align:start\n<v.loud Ann>Hi</v>\n\n"
    "b\n00:00:00.500 --> 00:00:01.000\n<v Ben>Go\n"
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return trees.own_folder(tmp_path_factory.mktemp("folder"))


def read(base, **own):
    corpus = folder.read(trees.settings("folder", base, own=own), [])
    manifest.check(corpus)
    return corpus


def one(tmp_path, text, suffix=".csv", name="talk"):
    trees.write_clip(tmp_path / f"{name}.mp4")
    trees.write_text(tmp_path / f"{name}{suffix}", text)
    return tmp_path


def test_a_file_is_a_dialogue_and_a_line_an_utterance(base):
    corpus = read(base)
    assert corpus.labels == ("anger", "joy")
    rows = corpus.rows.filter(dialogue="talk1").to_dicts()
    assert [row["speaker"] for row in rows] == ["Ann", "Ben"]
    assert [row["label"] for row in rows] == [1, 0]
    assert [(row["start"], row["end"]) for row in rows] == [(0.0, 0.5), (0.5, 1.0)]


def test_drawn_splits_are_the_same_for_the_same_seed(base):
    rows = read(base).rows
    first = folder.splits(rows, trees.settings("folder", base), "main").sort("dialogue")
    again = folder.splits(rows.reverse(), trees.settings("folder", base), "main").sort("dialogue")
    assert first.equals(again)
    assert set(first["split"]) == {"train", "val", "test"}


def test_splits_of_the_transcripts_count(tmp_path):
    for name, split in (("a", "train"), ("b", "val"), ("c", "test")):
        one(tmp_path, f"start,end,label,split\n0,1,joy,{split}\n", name=name)
    rows = read(tmp_path).rows
    table = folder.splits(rows, trees.settings("folder", tmp_path), "main")
    assert dict(table.iter_rows()) == {"a": "train", "b": "val", "c": "test"}


def test_subrip(tmp_path):
    cues = transcripts.read(trees.write_text(tmp_path / "a.srt", "\ufeff" + SRT.replace("\n", "\r\n")))
    assert [cue.text for cue in cues] == ["Hello & bye again", None]
    assert [(cue.start, cue.end) for cue in cues] == [(0.0, 0.5), (0.5, 1.0)]


def test_webvtt_names_its_speakers(tmp_path):
    cues = transcripts.read(trees.write_text(tmp_path / "a.vtt", VTT))
    assert [(cue.speaker, cue.text) for cue in cues] == [("Ann", "Hi"), ("Ben", "Go")]


def test_without_labels_there_is_a_manifest_all_the_same(tmp_path):
    corpus = read(one(tmp_path, SRT, ".srt"))
    assert corpus.rows["label"].null_count() == 2
    with pytest.raises(PipelineError, match="at least three"):
        folder.splits(corpus.rows, trees.settings("folder", tmp_path), "main")


def test_scores_for_a_regression(tmp_path):
    corpus = read(one(tmp_path, "start,end,score\n0,0.5,-1.5\n0.5,1,\n"), task="regression")
    assert corpus.rows["score"].to_list() == [-1.5, None]
    with pytest.raises(PipelineError, match=r"talk\.csv, row 3, column score: 50 is not within -3\.\.3"):
        read(one(tmp_path, "start,end,score\n0,0.5,-1.5\n0.5,1,50\n"), task="regression")


def test_untranscribed_files_are_a_fault_or_whole(tmp_path):
    trees.write_clip(tmp_path / "bare.mp4")
    with pytest.raises(PipelineError, match=r"bare\.mp4: no transcript"):
        read(tmp_path)
    rows = read(tmp_path, untranscribed="whole").rows
    assert rows["text"].to_list() == [None]
    assert rows["end"][0] == pytest.approx(1.0, abs=0.15)


def test_recognised_sentences_are_the_utterances_of_a_file_without_transcript(tmp_path):
    base = trees.own_folder(tmp_path / "own", 1)
    trees.write_clip(base / "bare.mp4")
    trees.write_clip(base / "mute.mp4")
    path = (base / "bare.mp4").as_posix()
    told = [(path, 0.1, 0.4, "Hello.", 0.9), (path, 0.5, 0.9, "Mumble.", 0.2)]
    table = pl.DataFrame(told, schema=folder.TOLD, orient="row")
    parts = [tmp_path / f"{number}.parquet" for number in range(2)]
    artefacts.save_table(parts[0], table)
    artefacts.save_table(parts[1], table.clear())
    chosen = trees.settings("folder", base, own={"untranscribed": "recognised", "labels": ["anger", "joy"]})
    made = [tmp_path / name for name in ("manifest.parquet", "facts.json", "0.parquet")]
    params = manifest.Params(corpus=chosen.model_copy(update={"shards": 1}))
    manifest.run(params, parts=parts, manifest=made[0], facts=made[1], shards=made[2:])
    rows = artefacts.load_table(made[0])
    assert rows["text"].to_list() == ["Hello.", "Mumble.", None, "Hello there", "Go away"]
    assert rows["words"].to_list() == ["recognised", "recognised", None, "given", "given"]
    assert rows["words_confidence"].to_list() == pytest.approx([0.9, 0.2, None, None, None])
    assert rows["start"].to_list()[:2] == [0.1, 0.5] and rows["label"].to_list()[:3] == [None] * 3
    # every file without a transcript is in one group
    found = [path for group in range(3) for path in folder.bare(base, group, 3)]
    assert sorted(found) == [base / "bare.mp4", base / "mute.mp4"]
    names, texts, reasons = load_words(made[2], 0.5)
    assert list(texts.values()) == ["Hello.", "Hello there", "Go away"]
    assert reasons == {names[1]: "asr_unsure", names[2]: "no_text"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("begin,end\n0,1\n", r"talk\.csv: no column 'start'"),
        ("start,end\n0,1\n1,0.5\n", r"talk\.csv, row 3: ends at 0\.5 s"),
        ("start,end\nnow,1\n", "row 2, column start: 'now' is not a number"),
        ("start,end,label\n0,1,glee\n", "row 2: unknown label 'glee'; known are joy"),
        ("start,end,split\n0,1,train\n1,2,test\n", "row 3, column split: 'test', but this file began"),
        ("start,end,split\n0,1,practice\n", "'practice' is not train, val or test"),
        ("start,end\n", "holds no utterance"),
    ],
)
def test_faulty_transcripts_are_named_with_row(tmp_path, text, message):
    with pytest.raises(PipelineError, match=message):
        read(one(tmp_path, text), labels=["joy"])


@pytest.mark.parametrize("suffix", [".mkv", ".m4v", ".ogg", ".MOV", ".ts"])
def test_what_is_a_video_does_not_hang_on_the_machine(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(mimetypes, "guess_type", lambda *arguments: (None, None))
    trees.write_text(tmp_path / f"talk{suffix}", "")
    trees.write_text(tmp_path / "notes.txt", "")
    trees.write_text(tmp_path / "talk.srt", SRT)
    assert list(folder.pairs(tmp_path, "error")) == [tmp_path / f"talk{suffix}"]


def test_the_suffixes_are_documented():
    page = ROOT / "docs" / "corpora" / "folder.md"
    told = re.findall(r"`(\.\w+)`", page.read_text().partition("## Run it")[0])
    assert set(told) == {*folder.VIDEOS, *folder.SOUNDS}


def test_linked_folders_are_read_once_and_without_loops(base, tmp_path):
    (tmp_path / "talks").symlink_to(base)
    (tmp_path / "twice").symlink_to(base)
    (tmp_path / "self").symlink_to(tmp_path)
    assert set(read(tmp_path).rows["dialogue"]) == {f"talks/talk{n}" for n in range(4)}


def test_pairs_must_be_pairs(tmp_path):
    with pytest.raises(PipelineError, match="no usable media"):
        read(tmp_path)
    one(tmp_path, SRT, ".srt")
    trees.write_text(tmp_path / "lost.vtt", VTT)
    with pytest.raises(PipelineError, match=r"lost\.vtt: a transcript without a video"):
        read(tmp_path)
    (tmp_path / "lost.vtt").unlink()
    trees.write_text(tmp_path / "talk.vtt", VTT)
    with pytest.raises(PipelineError, match="two transcripts of one name"):
        read(tmp_path)


def test_broken_files_stay_rows_unless_there_is_no_other(tmp_path):
    one(tmp_path, SRT, ".srt", "good")
    trees.write_text(tmp_path / "broken.mp4", "not a film")
    trees.write_text(tmp_path / "broken.srt", SRT)
    assert read(tmp_path).rows["dialogue"].unique(maintain_order=True).to_list() == ["broken", "good"]
    (tmp_path / "good.mp4").write_bytes(b"")
    with pytest.raises(PipelineError, match="no usable media"):
        read(tmp_path)
