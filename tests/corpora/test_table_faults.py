"""Tables as people have them: what of a CSV or an index is read, left out and logged, or refused."""

import logging

import fixture_trees as trees
import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from pipeline import given, manifest
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.corpora import features, reading, transcripts

ROWS = 4
INDEX = "utterance,dialogue,label\n" + "".join(
    f"u{n},d{n // 2},{'yes' if n % 2 else 'no'}\n" for n in range(4)
)
POOLED = np.arange(2.0 * ROWS).reshape(ROWS, 2)


def kind(said, ends, *values, area="tables", id):
    return pytest.param(*values, marks=pytest.mark.fault(area, said, ends), id=id)


def read(folder, index, **own):
    base = trees.features(folder, index, {"text": {"pooled": POOLED}})
    corpus = features.read(trees.settings("features", base, features=own), [])
    manifest.check(corpus)
    return corpus


WHOLE = [
    kind(
        "blank rows at the end",
        "left out, and counted in the log",
        INDEX + ",,\n\n , ,\n",
        "3 blank row",
        id="blank",
    ),
    kind("blanks around names and cells", "read without them", INDEX.replace(",", " , "), "", id="padded"),
    kind(
        "a column of row numbers without a name",
        "not read",
        "\n".join(f"{n - 1 if n else ''},{line}" for n, line in enumerate(INDEX.splitlines())),
        "",
        id="unnamed",
    ),
    kind(
        "rows that end in CR LF, with a mark of UTF-8",
        "read as such",
        "\ufeff" + INDEX.replace("\n", "\r\n"),
        "",
        id="crlf",
    ),
    kind("cells in quotation marks", "read as such", INDEX.replace("u0", '"u0"'), "", id="quoted"),
]


@pytest.mark.parametrize(("index", "said"), WHOLE)
def test_what_is_read_all_the_same(tmp_path, caplog, index, said):
    caplog.set_level(logging.INFO)
    corpus = read(tmp_path, index)
    assert corpus.labels == ("no", "yes")
    assert corpus.rows["utterance"].to_list() == ["u0", "u1", "u2", "u3"]
    assert corpus.rows["label"].to_list() == [0, 1, 0, 1]
    assert said in caplog.text


REFUSED = [
    kind(
        "a column that stands twice",
        "refused, with its name and places",
        INDEX.replace("label", "label,label").replace("no\n", "no,yes\n").replace("yes\n", "yes,no\n"),
        r"index\.csv: the column 'label' stands twice, as number 3 and 4",
        id="column-twice",
    ),
    kind(
        "a row of too few cells",
        "refused, with its row",
        INDEX.replace("u1,d0,yes", "u1,d0"),
        r"index\.csv, row 3: 2 cells, the header has 3",
        id="short",
    ),
    kind(
        "a row of too many cells",
        "refused, with its row",
        INDEX.replace("u1,d0,yes", "u1,d0,yes,no"),
        r"index\.csv, row 3: 4 cells, the header has 3",
        id="long",
    ),
    kind(
        "a row of another length after a blank one",
        "refused, with its row in the file",
        INDEX.replace("u1,d0,yes", ",,\nu1,d0"),
        r"index\.csv, row 4: 2 cells",
        id="short-after-blank",
    ),
    kind(
        "a quotation mark that is never closed",
        "refused, with the line where it begins",
        INDEX.replace("u1,", '"u1,'),
        r"index\.csv, row 3, which begins at line 3: cannot be read as CSV",
        id="quote",
    ),
    kind(
        "semicolons for commas",
        "refused, with that advice",
        INDEX.replace(",", ";"),
        r"no column 'utterance'; .* set apart by ';': save it with commas",
        id="semicolons",
    ),
    kind(
        "a file without a header",
        "refused",
        "",
        r"index\.csv: cannot be read as CSV \(it has no header",
        id="empty",
    ),
    kind(
        "an utterance without a name",
        "refused, with its row",
        INDEX.replace("u1,", "nan,"),
        r"index\.csv, row 3: utterance and dialogue must not be empty",
        id="nameless",
    ),
    kind(
        "an utterance that stands twice, with blanks around its name",
        "refused, with both rows",
        INDEX.replace("u1,", " u0 ,"),
        r"index\.csv, rows 2 and 3: the utterance 'u0' occurs twice",
        id="utterance-twice",
    ),
    kind(
        "a position before the first",
        "refused, with its row",
        "utterance,dialogue,position\nu0,d,0\nu1,d,1\nu2,d,-2\nu3,d,3\n",
        r"index\.csv, row 4, column position: -2\.0, but .* whole number from 0",
        id="negative",
    ),
    kind(
        "a position of 400 digits",
        "refused, with its row",
        f"utterance,dialogue,position\nu0,d,0\nu1,d,{'9' * 400}\nu2,d,2\nu3,d,3\n",
        r"index\.csv, row 3, column position: .* is too large a number",
        id="digits",
    ),
    kind(
        "fewer rows of features than of the index",
        "refused, with both counts",
        INDEX + "u4,d2,no\n",
        r"text\.npz: 4 rows, .*index\.csv has 5",
        id="unequal",
    ),
]


@pytest.mark.parametrize(("index", "message"), REFUSED)
def test_what_is_refused_says_where(tmp_path, index, message):
    with pytest.raises(PipelineError, match=message):
        read(tmp_path, index)


@pytest.mark.fault("labels", "a label cell `nan`", "an utterance without a label, counted in the log")
@pytest.mark.parametrize("cell", ["nan", "NaN"])
def test_a_label_that_is_nan_is_none(tmp_path, caplog, cell):
    caplog.set_level(logging.INFO)
    corpus = read(tmp_path, INDEX.replace("d1,yes", f"d1,{cell}"))
    assert corpus.labels == ("no", "yes")
    assert corpus.rows["label"].to_list() == [0, 1, 0, None]
    assert "column label: 1 cell(s) are nan" in caplog.text


@pytest.mark.fault("labels", "label names that repeat", "refused, with the key and the name")
@pytest.mark.parametrize("name", ["features", "own"])
def test_label_names_differ(name):
    with pytest.raises(ValidationError, match="an entry stands twice: 'a'"):
        trees.settings("features", "x", **{name: {"labels": ["a", "b", "a"]}})


@pytest.mark.fault("labels", "a label name that is empty, or has blanks around it", "refused, with the key")
@pytest.mark.parametrize("name", ["", " ", "a "])
def test_label_names_are_names(name):
    with pytest.raises(ValidationError, match="is empty, or has blanks around it"):
        trees.settings("features", "x", features={"labels": [name]})


def packed(folder, table: pl.DataFrame, **own):
    folder.mkdir(exist_ok=True)
    table.write_parquet(folder / "index.parquet")
    np.savez(folder / "text.npz", pooled=POOLED)
    return features.read(trees.settings("features", folder, features=own), [])


PARQUET = pl.DataFrame({"utterance": [f"u{n}" for n in range(ROWS)], "dialogue": ["d"] * ROWS})


@pytest.mark.fault(
    "labels", "label numbers written as fractions, with NaN in the gaps", "read as the numbers"
)
def test_label_numbers_with_gaps(tmp_path):
    table = PARQUET.with_columns(label=pl.Series([0.0, float("nan"), 1.0, None]))
    corpus = packed(tmp_path, table, labels=["bad", "good"])
    assert corpus.rows["label"].to_list() == [0, None, 1, None]
    with pytest.raises(PipelineError, match=r"index\.parquet, row 4: unknown label 1"):
        packed(tmp_path, table, labels=["bad"])


@pytest.mark.fault("labels", "a score NaN", "an utterance without a score")
def test_a_score_that_is_nan_is_none(tmp_path):
    scored = PARQUET.with_columns(score=pl.Series([0.5, float("nan"), -1.0, None]))
    assert packed(tmp_path / "a", scored, task="regression").rows["score"].to_list() == [
        0.5,
        None,
        -1.0,
        None,
    ]
    (tmp_path / "b").mkdir()
    told = "utterance,dialogue,score\nu0,d,0.5\nu1,d,nan\nu2,d,-1\nu3,d,\n"
    assert read(tmp_path / "b", told, task="regression").rows["score"].to_list() == [0.5, None, -1.0, None]


@pytest.mark.fault("tables", "lists where names are expected", "refused, with the column")
@pytest.mark.parametrize("column", ["utterance", "dialogue", "label", "speaker", "text", "split"])
def test_a_column_of_lists_is_named(tmp_path, column):
    table = PARQUET.with_columns(pl.Series(column, [[1]] * ROWS))
    with pytest.raises(PipelineError, match=rf"index\.parquet, column {column}: text is expected, not List"):
        packed(tmp_path, table)


@pytest.mark.fault("tables", "an index.parquet that is damaged", "refused as a file of the user's")
def test_a_damaged_index_is_the_users_own(tmp_path):
    packed(tmp_path, PARQUET)
    raw = (tmp_path / "index.parquet").read_bytes()
    for damaged in (b"", raw[:40], b"x" + raw[1:-4] + b"PAR2"):
        (tmp_path / "index.parquet").write_bytes(damaged)
        with pytest.raises(
            PipelineError, match=r"index\.parquet: cannot be read as Parquet .* file of yours"
        ):
            features.index(tmp_path)


ODD = [
    kind(
        "`available` that holds NaN",
        "refused, with its row",
        [1, 1, float("nan"), 0],
        r"row 2 of `available`.*nan",
        id="nan",
    ),
    kind("`available` of strings", "refused", ["1", "0", "1", "1"], "`available` holds <U1", id="strings"),
    kind(
        "`available` of other numbers",
        "refused, with its row",
        [1, 0, 1, 2],
        r"row 3 of `available`.*: 2,",
        id="two",
    ),
    kind(
        "`available` of another length",
        "refused, with its shape",
        [1, 0, 1],
        r"has the shape \(3,\)",
        id="length",
    ),
]


@pytest.mark.parametrize(("available", "message"), ODD)
def test_available_is_0_or_1(tmp_path, available, message):
    base = trees.features(tmp_path, INDEX, {"text": {"pooled": POOLED, "available": np.array(available)}})
    shard = tmp_path / "shard.parquet"
    artefacts.save_table(shard, pl.DataFrame({"utterance": ["u0", "u1"]}))
    params = given.Params(folder=str(base), modality="text")
    with pytest.raises(PipelineError, match=message):
        given.run(params, shard=shard, features=tmp_path / "o.safetensors", index=tmp_path / "o.parquet")


CELLS = [
    kind(
        "a start that is no number",
        "refused, with row and column",
        "start,end\nnow,1\n",
        "row 2, column start: 'now'",
        id="start",
    ),
    kind(
        "a time too large for a number",
        "refused, with row and column",
        "start,end\n0,1e999\n",
        r"row 2, column end: '1e999' is too large",
        id="1e999",
    ),
    kind(
        "a time of hours with 400 digits",
        "refused, with row and column",
        f"start,end\n0,{'9' * 400}:00:00\n",
        r"row 2, column end: .* is no time of any medium",
        id="hours",
    ),
    kind(
        "a time without a digit",
        "refused, with row and column",
        "start,end\n0,:\n",
        "row 2, column end: ':' is not a time",
        id="colon",
    ),
    kind(
        "a score that is no number",
        "refused, with row and column",
        "start,end,score\n0,1,much\n",
        "row 2, column score: 'much'",
        id="score",
    ),
    kind(
        "a row that ends before it begins",
        "refused, with its row",
        "start,end\n0,1\n\n2,1\n",
        r"row 4: ends at 1\.0 s, starts at 2\.0 s",
        id="backwards",
    ),
]


@pytest.mark.parametrize(("text", "message"), CELLS)
def test_a_faulty_cell_of_a_transcript_is_named(tmp_path, text, message):
    with pytest.raises(PipelineError, match=r"t\.csv, " + message):
        transcripts.read(trees.write_text(tmp_path / "t.csv", text))


@pytest.mark.fault("tables", "a speaker before the words of a table", "the speaker is known, and is no word")
def test_a_speaker_before_the_words_of_a_table(tmp_path):
    path = trees.write_text(
        tmp_path / "t.csv", "start,end,speaker,text\n0,1,,[SPEAKER_00]: Hi\n1,2,Ann,[B]: x\n"
    )
    assert [(cue.speaker, cue.text) for cue in transcripts.read(path)] == [
        ("SPEAKER_00", "Hi"),
        ("Ann", "[B]: x"),
    ]


@pytest.mark.fault(
    "tables", "missing values written `nan` in a transcript", "nothing is there, and it is counted"
)
def test_missing_values_of_a_transcript(tmp_path):
    path = trees.write_text(
        tmp_path / "t.csv", "start,end,speaker,text,label,score,split\n0,1,nan,nan,NaN,nan,nan\n"
    )
    (cue,), repaired = transcripts.told(path)
    assert (cue.speaker, cue.text, cue.label, cue.score, cue.split) == ("unknown", None, None, None, None)
    assert repaired == {transcripts.EMPTY: 5}


@pytest.mark.fault("names", "a file that may not be read", "refused, with its path")
def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(PipelineError, match=r"t\.csv: cannot be read"):
        reading.read_csv(tmp_path / "t.csv", ())
