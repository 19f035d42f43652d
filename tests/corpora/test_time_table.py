"""One table of times labels utterances whose own times it does not know, recognised sentences above all."""

import fixture_trees as trees
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import manifest
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.corpora import folder
from pipeline.corpora.timetable import Entry, best, labelled
from pipeline.corpora.transcripts import Cue

HEADER = "file,start,end,label,speaker\n"
TOLD = [("a", 0.1, 0.4, "One.", 0.9), ("a", 0.45, 0.95, "Two.", 0.8), ("b", 0.0, 0.8, "Three.", 0.7)]


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """Two films of a second without a transcript, and one with subtitles."""
    base = tmp_path_factory.mktemp("media")
    for name in ("a.mp4", "more/b.mp4", "c.mp4"):
        trees.write_clip(base / name)
    trees.write_text(base / "c.srt", "1\n00:00:00,000 --> 00:00:00,900\nHello\n")
    return base


@pytest.fixture
def base(media, tmp_path):
    """The same as links, so that each test has a table of its own."""
    for path in media.rglob("*.*"):
        target = tmp_path / "own" / path.relative_to(media)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)
    return tmp_path / "own"


def read(base, table, name="labels.csv", told=True, voices=None, **own):
    """The corpus with a table of times, the films' sentences as they would be recognised."""
    if isinstance(table, str):
        trees.write_text(base / name, table)
    elif table is not None:
        table.write_parquet(base / name)
    places = {"a": "a.mp4", "b": "more/b.mp4"}
    rows = [((base / places[one]).as_posix(), *rest) for one, *rest in TOLD] if told else []
    part = base.parent / "told.parquet"
    sentences = pl.DataFrame(rows, schema=folder.TOLD, orient="row")
    if voices is not None:
        sentences = sentences.with_columns(speaker=pl.Series(voices, dtype=pl.String))
    artefacts.save_table(part, sentences)
    own = {"untranscribed": "recognised", "time_table": name, **own}
    corpus = folder.read(trees.settings("folder", base, own=own), [part])
    manifest.check(corpus)
    return corpus


def labels_of(corpus):
    return [None if place is None else corpus.labels[place] for place in corpus.rows["label"]]


def test_a_sentence_takes_the_label_of_the_row_that_covers_most_of_it(base):
    corpus = read(base, HEADER + "a.mp4,0,0.5,joy,Ann\na.mp4,0.5,1,anger,\nmore/b,,,fear,Ben\n")
    assert corpus.labels == ("anger", "fear", "joy")
    assert labels_of(corpus) == ["joy", "anger", None, "fear"]
    assert corpus.rows["speaker"].to_list() == ["Ann", "unknown", "unknown", "Ben"]
    assert corpus.rows["text"].to_list() == ["One.", "Two.", "Hello", "Three."]
    # what is covered less than the stated share has no label
    most = read(base, HEADER + "a.mp4,0,0.5,joy,Ann\na.mp4,0.5,1,anger,\n", covered=0.95)
    assert labels_of(most) == ["joy", None, None, None]


def test_a_speaker_that_the_table_names_stands_before_the_voice(base):
    table, voices = HEADER + "a.mp4,0,0.42,joy,Ann\nmore/b,,,fear,\n", ["speaker 1", "speaker 2", None]
    assert read(base, table, voices=voices).rows["speaker"].to_list() == ["Ann"] + ["unknown"] * 3
    found = read(base, table, voices=voices, speakers="found")
    assert found.rows["speaker"].to_list() == ["Ann", "speaker 2", "unknown", "unknown"]
    assert labels_of(found) == ["joy", None, None, "fear"]
    with pytest.raises(PipelineError, match="no column 'speaker'"):
        read(base, table, speakers="found")


@pytest.mark.fault(
    "config", "`corpus.own.speakers: found` where no sentences are recognised", "refused: says what to set"
)
@pytest.mark.parametrize("untranscribed", ["error", "whole"])
def test_voices_say_recognised_sentences_alone(tmp_path, untranscribed):
    with pytest.raises(
        ValueError, match=f"untranscribed is {untranscribed}; set untranscribed to recognised"
    ):
        trees.settings("folder", tmp_path, own={"untranscribed": untranscribed, "speakers": "found"})


def test_parquet_hours_subtitles_and_whole_files_are_labelled_too(base):
    table = pl.DataFrame(
        {"file": ["c.mp4", "a"], "start": [0.0, None], "end": [1.0, None], "label": ["joy", "fear"]}
    )
    corpus = read(base, table, "times.parquet", told=False)
    assert labels_of(corpus) == ["fear", "joy", None]
    corpus = read(base, HEADER + "c.mp4,00:00:00.1,00:00:01,joy,Ann\n", told=False)
    assert labels_of(corpus) == [None, "joy", None] and corpus.rows["speaker"][1] == "Ann"
    # a table without times is of whole files, and films without a transcript may be one utterance each
    corpus = read(base, "file,label\na,joy\nc,fear\n", told=False, untranscribed="whole")
    assert labels_of(corpus) == ["joy", "fear", None]


def test_scores_and_splits_come_from_the_table(base):
    table = "file,score,split\na,1.5,train\nmore/b,-2,val\nc,,test\n"
    corpus = read(base, table, task="regression")
    assert corpus.rows["score"].to_list() == [1.5, 1.5, None, -2]
    assert corpus.rows["split"].to_list() == ["train", "train", "test", "val"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        pytest.param(
            HEADER + "a.mp4,0,0.6,joy,\na.mp4,0.5,1,anger,\n",
            r"labels\.csv, row 3: it begins at 0\.5 s, before row 2 of the same file ends \(0\.6 s\)",
            marks=pytest.mark.fault("tables", "rows of a time table overlap", "refused, with both rows"),
        ),
        pytest.param(
            HEADER + "a.mp4,,,joy,\na.mp4,0.5,1,anger,\n",
            r"row 3: it begins at 0\.5 s, before row 2 of the same file ends \(the end of the file\)",
            marks=pytest.mark.fault(
                "tables",
                "a time table has a row of a whole file and another of it",
                "refused, with both rows",
            ),
        ),
        pytest.param(
            HEADER + "b.mp4,0,0.6,joy,\n",
            r"row 2, column file: there is no medium 'b\.mp4' in the folder; did you mean '.+'\? Mend",
            marks=pytest.mark.fault("tables", "a time table names an unknown file", "refused, with its row"),
        ),
        pytest.param(
            HEADER + "a.mp4,0,0.6,glee,\n",
            r"row 2: unknown label 'glee'; known are anger, fear, joy",
            marks=pytest.mark.fault("tables", "a time table has an unknown label", "refused, with its row"),
        ),
        pytest.param(
            HEADER + "a.mp4,0,7,joy,\n",
            r"row 2: it ends at 7 s, and its file at 1",
            marks=pytest.mark.fault(
                "tables", "a row of a time table ends after its file", "refused, with both ends"
            ),
        ),
        pytest.param(
            HEADER + "a.mp4,0.5,0.5,joy,\n",
            r"row 2: from 0\.5 s to 0\.5 s is no stretch",
            marks=pytest.mark.fault("tables", "a row of a time table has no length", "refused, with its row"),
        ),
        pytest.param(
            HEADER + "a.mp4,0.5,,joy,\n",
            r"row 2, column end: None is not a number",
            marks=pytest.mark.fault("tables", "a row of a time table has one time", "refused, with its row"),
        ),
        pytest.param(
            "file,start,label\na.mp4,0.5,joy\n",
            r"labels\.csv: it has a column 'start' and no 'end'",
            marks=pytest.mark.fault("tables", "a time table has starts and no ends", "refused, naming them"),
        ),
        pytest.param(
            "file,start,end\na.mp4,0,1\n",
            r"labels\.csv: no column 'label'; it has file, start, end",
            marks=pytest.mark.fault("tables", "a time table has no labels", "refused, with its columns"),
        ),
    ],
)
def test_a_faulty_time_table_is_refused(base, table, message):
    with pytest.raises(PipelineError, match=message) as caught:
        read(base, table, labels=["anger", "fear", "joy"])
    assert "\n" not in str(caught.value)


@pytest.mark.fault("tables", "a time table labels what has a label of its own", "refused, with both rows")
def test_two_labels_of_one_utterance_are_refused(base):
    (base / "c.srt").unlink()
    trees.write_text(base / "c.csv", "start,end,label,split\n0,0.9,joy,train\n")
    with pytest.raises(PipelineError, match=r"c\.csv, row 2: .* of its own, and .*labels\.csv, row 2"):
        read(base, HEADER + "c.mp4,0,1,anger,\n")
    # a row without a label tells who speaks
    corpus = read(base, HEADER + "c.mp4,0,1,,Ann\n")
    assert labels_of(corpus)[2] == "joy" and corpus.rows["speaker"][2] == "Ann"
    with pytest.raises(PipelineError, match="'test', but the transcript of the file says 'train'"):
        read(base, "file,label,split\nc,,test\n")


@pytest.mark.fault("config", "`corpus.own.time_table` names no file, or no table", "says what is looked for")
def test_a_table_that_is_none_is_refused(base):
    with pytest.raises(PipelineError, match=r"key corpus\.own\.time_table: there is no file .*other\.csv"):
        read(base, None, "other.csv")
    with pytest.raises(PipelineError, match=r"labels\.xlsx is neither \.csv nor \.parquet"):
        read(base, HEADER, "labels.xlsx")
    # and where it is not named it is a transcript of nothing
    with pytest.raises(PipelineError, match=r"labels\.csv: a transcript without a video"):
        read(base, HEADER, time_table="")


EDGES = st.lists(st.integers(0, 40), min_size=2, max_size=12, unique=True).map(sorted)


@given(EDGES, st.integers(0, 40), st.integers(1, 20), st.sampled_from([0.1, 0.5, 1.0]))
def test_the_best_row_is_that_of_a_plain_search(edges, start, length, covered):
    pairs = zip(edges[::2], edges[1::2], strict=False)
    entries = [Entry(low / 4, high / 4, f"row {low}", "joy") for low, high in pairs]
    start, end = start / 4, (start + length) / 4
    shares = [entry.shared(start, end) for entry in entries]
    plain = entries[shares.index(max(shares))] if max(shares) >= covered * (end - start) else None
    assert best(entries, start, end, covered) == plain
    (cue,) = labelled([Cue(start, end, "Hi", "here")], entries, covered)
    assert cue.label == (None if plain is None else "joy")
