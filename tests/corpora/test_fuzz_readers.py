"""Every reader of a person's files, on text, bytes and tables that nobody meant: only its own errors."""

import json
from contextlib import suppress

import fixture_trees as trees
import h5py
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import manifest
from pipeline.annotation.facts import read_facts
from pipeline.config import read_files
from pipeline.core.errors import PipelineError
from pipeline.corpora import features, folder, iemocap, meld, mosei, mosei_labels, reading, transcripts

EXAMPLES = (
    120  # of each reader, half a minute in all; the long test takes LONGER times as many, in ten minutes
)
LONGER = 40

TIMES = ["00:00:01,000 --> 00:00:02,000", "00:01.000 --> 00:02.000 align:start", "99:99:99,999", "-->", "->"]
MARKS = ["WEBVTT", "NOTE", "STYLE", "<v Ann>", "</v>", "<i>", "{\\an8}", "&amp;", "&#55296;", "[SPEAKER_00]:"]
CELLS = [
    "start,end",
    "start",
    "text",
    "label",
    "score",
    "split",
    "dialogue",
    "position",
    "train",
    "u0,d0",
    "0,1,Hi",
]
NUMBERS = ["1", "42", "nan", "NaN", "1e9", "1e300", "1e999", "-1", "9" * 400, "9" * 5000]
ENDS = [
    "\n",
    "\r",
    "\n\n",
    "\x00",
    "\ufeff",
    "\u2028",
    "\x1c",
    "\x85",
    "\t",
    ",",
    ",,,",
    ";",
    '"',
    "'",
    "\ud800",
]
LINES = ["[1.0 - 2.0]\tSes01F_impro01_F000\tneu\t[2, 2, 2]", "[0.1 - 1e400]", "a___0___1___2___Hi", "___"]
CODE = [
    "standard_train_fold = ['a']",
    "{",
    "}",
    "[",
    "]",
    ":",
    "- ",
    "&a [*a]",
    "!!python/object",
    "0123",
    "1_000",
]
PIECES = TIMES + MARKS + CELLS + NUMBERS + ENDS + LINES + CODE
TEXT = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=24).map("".join)
RAW = (
    st.binary(max_size=60)
    | TEXT.map(lambda text: text.encode("utf-8", "surrogatepass"))
    | TEXT.map(lambda text: text.encode("utf-16", "surrogatepass"))
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ENCODED = JSON.map(json.dumps).map(str.encode)


def spoiled(text: str) -> st.SearchStrategy[bytes]:
    """A whole file of which pieces are taken out, doubled, or put in."""

    def spoil(edits):
        now = text
        for place, length, piece in edits:
            first = int(place * len(now))
            now = now[:first] + piece + now[first + length :]
        return now.encode("utf-8", "surrogatepass")

    edit = st.tuples(
        st.floats(0, 1), st.integers(0, 12), st.sampled_from(["", *PIECES]) | st.text(max_size=3)
    )
    return st.lists(edit, min_size=1, max_size=4).map(spoil)


def only_its_own(read, *arguments) -> None:
    """Read; every other error than PipelineError is one of the reader's."""
    with suppress(PipelineError):
        read(*arguments)


SUBTITLES = (
    "1\n00:00:01,000 --> 00:00:02,000\n<v Ann>Hi\n\n2\n00:00:02,000 --> 00:00:03,000\n[SPEAKER_00]: Bye\n"
)
TABLE = "start,end,speaker,text,label,score,split\n0,1,Ann,Hi,joy,1,train\n00:01,00:02,Ben,Bye,,,train\n"
INDEX = "utterance,dialogue,position,label,score,split,split_a\nu0,d,0,x,1,train,test\nu1,d,1,y,,train,test\n"
LABELS = "\n".join([trees.MELD_HEAD, *(trees.meld_line(n, "Hi", "joy", 0, n) for n in range(2))])
BATCH = "Input.VIDEO_ID,Input.CLIP,Answer.sentiment\na,0,1\na,1,\n"


def subtitles(base, data):
    for suffix in ("srt", "vtt"):
        path = base / f"t.{suffix}"
        path.write_bytes(data.draw(RAW | spoiled(SUBTITLES)))
        only_its_own(transcripts.read, path)


def tables(base, data):
    path = base / "t.csv"
    path.write_bytes(data.draw(RAW | spoiled(TABLE)))
    only_its_own(transcripts.read, path)
    only_its_own(reading.read_csv, path, ("start", "end"), "row")


def a_folder(base, data):
    """The whole adapter: what is read must be a manifest, too."""
    clip = base / "t.mp4"
    if not clip.exists():
        trees.write_clip(clip, 0.3)
    (base / "t.csv").write_bytes(data.draw(spoiled(TABLE)))
    own = {"task": data.draw(st.sampled_from(["classification", "regression"]))}
    only_its_own(_as_manifest, folder.read, trees.settings("folder", base, own=own))


def _as_manifest(read, chosen):
    manifest.check(read(chosen, []))


def index_csv(base, data):
    (base / "index.csv").write_bytes(data.draw(RAW | spoiled(INDEX)))
    np.savez(base / "text.npz", pooled=np.ones((2, 1)))
    _features(base, data)


def _features(base, data):
    own = {"task": data.draw(st.sampled_from(["classification", "regression"]))}
    own["labels"] = data.draw(st.sampled_from([[], ["x", "y"]]))
    chosen = trees.settings("features", base, features=own)
    only_its_own(_as_manifest, features.read, chosen)
    for fold in ("main", "a"):
        only_its_own(_split, chosen, fold)


def _split(chosen, fold):
    features.splits(features.read(chosen, []).rows, chosen, fold)


VALUES = [
    st.none(),
    st.sampled_from(["u0", "u1", "d", "train", "nan", "", "x"]),
    st.integers(-1, 2),
    st.floats(),
    st.booleans(),
    st.lists(st.integers(0, 1), max_size=1),
    st.binary(max_size=3),
    st.datetimes(),
    st.fixed_dictionaries({"a": st.integers(0, 1)}),
]


def index_parquet(base, data):
    names = ["utterance", "dialogue", *data.draw(st.sets(st.sampled_from(
        ["position", "label", "score", "speaker", "text", "split", "split_a", "group", " row"]
    )))]  # fmt: skip
    columns = {}
    for name in names:
        cells = data.draw(st.sampled_from(VALUES))
        columns[name] = pl.Series(name, data.draw(st.lists(cells, min_size=2, max_size=2)), strict=False)
    if data.draw(st.booleans()):
        columns |= {"utterance": pl.Series(["u0", "u1"]), "dialogue": pl.Series(["d", "e"])}
    pl.DataFrame(columns).write_parquet(base / "index.parquet")
    np.savez(base / "text.npz", pooled=np.ones((2, 1)))
    _features(base, data)
    (base / "index.parquet").write_bytes(data.draw(RAW))
    only_its_own(features.index, base)


def meld_labels(base, data):
    for number, name in enumerate(meld.TABLES.values()):
        (base / name).write_bytes(LABELS.encode() if number else data.draw(RAW | spoiled(LABELS)))
    only_its_own(meld.annotations, base)


def iemocap_labels(base, data):
    name = "Ses01F_impro01"
    whole = "".join(trees.iemocap_block(f"{name}_F00{n}", n, n + 1, "neu") for n in range(2))
    for kind, text in (("EmoEvaluation", whole), ("transcriptions", f"{name}_F000 [0-1]: Hi\n")):
        path = trees.write_text(base / "dialog" / kind / f"{name}.txt", "")
        path.write_bytes(data.draw(RAW | spoiled(text)))
    only_its_own(iemocap.evaluated, "session1", base)
    only_its_own(iemocap.transcripts, base)
    path = base / "ids.csv"
    path.write_bytes(data.draw(RAW | spoiled(f"utterance,label\n{name}_F000,neu\n")))
    pinned = trees.settings("iemocap", base, iemocap={"ids": trees.pinned(path)}).iemocap.ids
    only_its_own(iemocap.listed, pinned)


def mosei_texts(base, data):
    line = "a___0___0.0___1.0___Hi\na___1___1.0___2.0___Bye\n"
    trees.write_text(base / "Transcript" / "Combined" / "a.txt", "").write_bytes(
        data.draw(RAW | spoiled(line))
    )
    only_its_own(mosei.transcripts, base)
    (base / "b.csv").write_bytes(data.draw(RAW | spoiled(BATCH)))
    only_its_own(mosei_labels.from_csv, base / "b.csv")
    folds = {
        "csv": "video,split\na,train\n",
        "json": '{"train": ["a"]}',
        "py": "standard_train_fold = ['a']\n",
    }
    for suffix, whole in folds.items():
        path = base / f"folds.{suffix}"
        path.write_bytes(data.draw(RAW | spoiled(whole)))
        only_its_own(mosei.read_folds, path)


def mosei_csd(base, data):
    path = base / "a.csd"
    shapes = st.lists(st.integers(0, 2), max_size=3).map(tuple)
    with h5py.File(path, "w") as file:
        group = file.create_group("data/a")
        for name in data.draw(st.sets(st.sampled_from(["intervals", "features"]))):
            values = np.full(data.draw(shapes), data.draw(st.floats(-4, 4) | st.just(np.nan)))
            group[name] = values if data.draw(st.booleans()) else values.astype("S3")
    only_its_own(mosei_labels.from_csd, path, {("a", 0): (0.0, 1.0)})
    raw = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=3)):
        raw[place] ^= 255
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    only_its_own(mosei_labels.from_csd, path, {("a", 0): (0.0, 1.0)})


FACTS = {
    **{name: "x" for name in ("run", "corpus", "fold", "variant", "notice")},
    **{name: ["text"] for name in ("labels", "modalities", "shown")},
    **{"format": 1, "seed": 0, "task": "classification", "network": "attention", "shape": {"imputer": False}},
    **{"extraction": {name: {} for name in ("faces", "text", "audio", "visual")}, "encoders": {}},
}


def facts(base, data):
    path = base / "config.json"
    told = FACTS | data.draw(st.dictionaries(st.sampled_from(sorted(FACTS)), JSON, max_size=2))
    for dropped in data.draw(st.sets(st.sampled_from(sorted(FACTS)), max_size=1)):
        told.pop(dropped)
    whole = json.dumps(told)
    path.write_bytes(
        data.draw(RAW | JSON.map(json.dumps).map(str.encode) | st.just(whole.encode()) | spoiled(whole))
    )
    only_its_own(read_facts, base)


CONFIG = "run: mine\nseeds: [0, 1]\ntraining: {epochs: 2}\ncorpus:\n  name: folder\n  folder: x\n"


def config(base, data):
    path = base / "mine.yaml"
    path.write_bytes(data.draw(RAW | spoiled(CONFIG) | ENCODED))
    only_its_own(read_files, [path])


READERS = [subtitles, tables, a_folder, index_csv, index_parquet, meld_labels, iemocap_labels, mosei_texts]
READERS += [mosei_csd, facts, config]


def fuzz(reader, tmp_path_factory, examples):
    base = tmp_path_factory.mktemp(reader.__name__)
    health = list(HealthCheck)

    # the short test draws the same every time, the long one something new
    @settings(
        max_examples=examples, suppress_health_check=health, database=None, derandomize=examples == EXAMPLES
    )
    @given(st.data())
    def one(data):
        reader(base, data)

    one()


@pytest.mark.parametrize("reader", READERS)
def test_only_documented_errors_leave_a_reader(reader, tmp_path_factory):
    fuzz(reader, tmp_path_factory, EXAMPLES)


@pytest.mark.long
@pytest.mark.parametrize("reader", READERS)
def test_only_documented_errors_leave_a_reader_at_length(reader, tmp_path_factory):
    fuzz(reader, tmp_path_factory, LONGER * EXAMPLES)
