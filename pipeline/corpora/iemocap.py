"""Adapter of IEMOCAP: ten actors in five sessions, each dialogue one split-screen video.

Protocols: `four` (neutral, happy with excited, sad, angry: 5,531 utterances), `six` (with excited and
frustrated apart: 7,380), `six_by_ids` (the 7,433 utterances of an id file of the user's). Turns of other
classes stay as unlabelled context unless `iemocap.other: drop`. Folds: `main` tests on session 5, `session1`
to `session5` on the session of that name; validation is a seeded share of whole dialogues of the others.
A run has `main` or `session5`: both test the same session.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from pipeline.core.errors import PipelineError
from pipeline.corpora import reading
from pipeline.corpora.counts import compare
from pipeline.corpora.iemocap_media import Medium, media_of, times_in
from pipeline.corpora.iemocap_turns import CODES, Turn, evaluated
from pipeline.corpora.rows import Corpus, draw_validation
from pipeline.settings.corpora import FileSettings, IemocapSettings
from pipeline.settings.corpus import CorpusSettings

log = logging.getLogger("pipeline")

SESSIONS = tuple(f"session{number}" for number in range(1, 6))
SIX = ("happy", "sad", "neutral", "angry", "excited", "frustrated")
CLASSES = {  # by protocol
    "four": ("happy", "sad", "neutral", "angry"),
    "six": SIX,
    "six_by_ids": SIX,
}
NAMES = {
    "hap": "happy",
    "sad": "sad",
    "neu": "neutral",
    "ang": "angry",
    "exc": "excited",
    "fru": "frustrated",
}
# the 53 utterances of the feature files that have no six-way label of their own are happy there
UNNAMED = "happy"
EXPECTED = dict(zip((f"{name} dialogues" for name in SESSIONS), (28, 30, 32, 30, 31), strict=True)) | dict(
    xxx=2507, fru=1849, neu=1708, ang=1103, sad=1084, exc=1041, hap=595, sur=107, fea=40, oth=3, dis=2
)
LABELLED = {
    "four": {"labelled": 5531, "labelled happy": 1636},
    "six": {"labelled": 7380},
    "six_by_ids": {"labelled": 7433, "labelled in session5": 1623},
}
LINE = re.compile(r"(Ses[^\s\[]+)\s*\[[^\]]*\]\s*:?\s?(.*)")


def sessions(folder: Path) -> dict[str, Path]:
    """The session folders; raises PipelineError if there is none."""
    for base in (folder, folder / "IEMOCAP_full_release"):
        found = {name: base / name.capitalize() for name in SESSIONS}
        found = {name: path for name, path in found.items() if path.is_dir()}
        if found:
            return found
    raise PipelineError(
        f"{folder}: there is no Session1 to Session5 in it. Set corpus.folder to IEMOCAP_full_release."
    )


def transcripts(folder: Path) -> dict[str, str]:
    """What was said, by utterance; remarks (`M:`, `F:`) and ids with XX are not utterances.

    A line that begins as an utterance and cannot be read is logged; that utterance has no words.
    """
    spoken: dict[str, str] = {}
    for path in sorted((folder / "dialog" / "transcriptions").glob("*.txt")):
        if path.name.startswith("."):
            continue
        for number, line in enumerate(reading.lines(reading.read_text(path)), 1):
            found = LINE.fullmatch(line.strip())
            if found and "XX" not in found[1]:
                spoken[found[1]] = found[2].strip()
            elif not found and line.lstrip().startswith("Ses"):
                log.info(
                    "%s, line %d: %r is no line of a transcript, and is left out", path, number, line[:80]
                )
    return spoken


def listed(file: FileSettings) -> dict[str, str | None]:
    """The utterances of the id file: one a line, optionally with a comma and its label's name or code.

    Raises PipelineError for a missing file, another checksum, a duplicate or an unknown label.
    """
    path = reading.pinned(file, "corpus.iemocap.ids", "the list of the 7,433 utterances")
    result: dict[str, str | None] = {}
    seen: dict[str, str] = {}
    for number, line in enumerate(reading.lines(reading.read_text(path)), 1):
        name, _, label = (cell.strip() for cell in line.partition(","))
        if not name or name == "utterance":
            continue
        where = f"{path}, row {number}"
        reading.first_only(seen, name, where)
        label = NAMES.get(label, label)
        result[name] = reading.known_label(label, SIX, where) if label else None
    return result


def labels_of(turns: Sequence[Turn], protocol: str, settings: IemocapSettings) -> dict[str, str]:
    """The label name of every utterance that the protocol labels.

    Raises PipelineError for an id in the id file that is no turn of the corpus.
    """
    names = dict(NAMES)
    if protocol == "four":
        names = {code: name for code, name in names.items() if code != "fru"} | {"exc": "happy"}
    own = {turn.utterance: names[turn.code] for turn in turns if turn.code in names}
    if protocol != "six_by_ids":
        return own
    ids = listed(settings.ids)
    unknown = sorted(set(ids) - {turn.utterance for turn in turns})
    if unknown:
        raise PipelineError(
            f"{settings.ids.path}: {unknown[0]} ({len(unknown)} such) is no utterance of the corpus. "
            "Complete the corpus, or mend the file: one utterance a line, as Ses01F_impro01_F000."
        )
    return {name: label or own.get(name, UNNAMED) for name, label in ids.items()}


def crop(turn: Turn, settings: IemocapSettings) -> list[float]:
    """The half of the split screen that shows the speaker: x0, y0, x1, y1 in 0..1.

    The sixth letter of the dialogue names the actor who wears the markers.
    """
    marked = turn.actor == turn.dialogue[5]
    left = marked == (settings.marked_half == "left")
    return [0.0, 0.0, 0.5, 1.0] if left else [0.5, 0.0, 1.0, 1.0]


def _counts(turns: Sequence[Turn], labels: dict[str, str]) -> dict[str, int]:
    counts = {f"{name} dialogues": len({t.dialogue for t in turns if t.session == name}) for name in SESSIONS}
    counts |= {code: sum(turn.code == code for turn in turns) for code in CODES}
    counts["labelled"] = len(labels)
    for name in set(labels.values()):
        counts[f"labelled {name}"] = sum(label == name for label in labels.values())
    counts["labelled in session5"] = sum(name.startswith("Ses05") for name in labels)
    return counts


def read(settings: CorpusSettings, parts: Sequence[Path]) -> Corpus:
    """All turns of all sessions under the protocol of the config.

    Raises PipelineError for a missing tree, faulty files, or if no medium can be used.
    """
    protocol = settings.label_protocol
    found = sessions(reading.root(settings))
    turns = [turn for name, path in found.items() for turn in evaluated(name, path)]
    spoken = {key: text for path in found.values() for key, text in transcripts(path).items()}
    labels = labels_of(turns, protocol, settings.iemocap)
    compare("iemocap", EXPECTED | LABELLED[protocol], _counts(turns, labels), settings.counts)
    rows = _rows(turns, labels, spoken, media_of(turns, found), CLASSES[protocol], settings.iemocap)
    silent = sum(row["text"] is None for row in rows)
    log.info("iemocap: %d turns, %d labelled, %d without a transcript", len(rows), len(labels), silent)
    return Corpus(reading.table(rows), CLASSES[protocol], "classification")


def _rows(
    turns: Sequence[Turn],
    labels: dict[str, str],
    spoken: dict[str, str],
    media: Mapping[str, Medium],
    names: Sequence[str],
    settings: IemocapSettings,
) -> list[dict]:
    """Manifest rows; a turn's position counts all turns of its dialogue, kept or not, by time."""
    order: dict[str, int] = {}
    rows = []
    for turn in sorted(turns, key=lambda turn: (turn.dialogue, turn.start, turn.end, turn.utterance)):
        position = order.get(turn.dialogue, 0)
        order[turn.dialogue] = position + 1
        if settings.other == "drop" and turn.utterance not in labels:
            continue
        medium = media[turn.utterance]
        label = labels.get(turn.utterance)
        rows.append(
            {
                "corpus": "iemocap",
                "dialogue": turn.dialogue,
                "position": position,
                "utterance": turn.utterance,
                "speaker": turn.utterance[:5] + turn.actor,
                "text": spoken.get(turn.utterance) or None,
                "label": None if label is None else list(names).index(label),
                "media": medium.path.as_posix(),
                "crop": crop(turn, settings),
                "group": turn.session,
                **times_in(turn, medium)._asdict(),
            }
        )
    return rows


def splits(rows: pl.DataFrame, settings: CorpusSettings, fold: str) -> pl.DataFrame:
    """One session tests, a seeded share of the other dialogues validates.

    Raises PipelineError if the session of the fold is not in the corpus.
    """
    tested = SESSIONS[-1] if fold == "main" else fold
    table = rows.group_by("dialogue", maintain_order=True).agg(pl.col("group").first())
    others = table.filter(pl.col("group") != tested)["dialogue"].to_list()
    if len(others) == len(table):
        raise PipelineError(f"fold {fold}: the corpus has no dialogue of {tested}. Unpack that session.")
    drawn = draw_validation(others, settings.validation, settings.seed)
    split = (
        pl.when(pl.col("group") == tested)
        .then(pl.lit("test"))
        .when(pl.col("dialogue").is_in(drawn))
        .then(pl.lit("val"))
        .otherwise(pl.lit("train"))
    )
    return table.select("dialogue", split=split)
