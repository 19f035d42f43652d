"""The turns of IEMOCAP, out of dialog/EmoEvaluation."""

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.corpora import reading, times

CODES = ("ang", "dis", "exc", "fea", "fru", "hap", "neu", "oth", "sad", "sur", "xxx")
# in the release tabs stand between the parts; some copies have blanks
HEAD = re.compile(r"\[\s*([^\]\s]+)\s*-\s*([^\]\s]+)\s*\]\s+(\S+)\s+(\S+)\s+\[.*")
UTTERANCE = re.compile(r"(Ses\d\d[FM]_\S+)_([FM])\d{3}")


@dataclass(frozen=True)
class Turn:
    """One block of an EmoEvaluation file."""

    session: str
    dialogue: str
    utterance: str
    start: float
    end: float
    code: str
    where: str

    @property
    def actor(self) -> str:
        """F or M: who speaks."""
        return self.utterance[-4]


def evaluated(session: str, folder: Path) -> list[Turn]:
    """All turns of one session's dialog/EmoEvaluation/*.txt; its subfolders are other material.

    Raises PipelineError naming file and line for a turn that cannot be read, an unknown label, a strange id,
    a duplicate, or an end before its start; and naming a file without any turn.
    """
    base = folder / "dialog" / "EmoEvaluation"
    files = sorted(path for path in base.glob("*.txt") if not path.name.startswith("."))
    if not files:
        raise PipelineError(f"{base}: there are no label files (*.txt). Unpack the whole release.")
    seen: dict[str, str] = {}
    turns: list[Turn] = []
    for path in files:
        before = len(turns)
        named = re.compile(rf"\b{re.escape(path.stem)}_[FM]\d{{3}}\b")
        for number, line in enumerate(reading.lines(reading.read_text(path)), 1):
            if line.lstrip().startswith("[") or named.search(line):
                turns.append(_turn(session, path, line.strip(), f"{path}, line {number}"))
                reading.first_only(seen, turns[-1].utterance, turns[-1].where)
        if len(turns) == before:
            raise PipelineError(
                f"{path}: there is no turn in it, such as [6.2901 - 8.2357] Ses01F_impro01_F000 neu [2.5, "
                "2.5, 2.5]. Unpack the file anew."
            )
    return turns


def _turn(session: str, path: Path, line: str, where: str) -> Turn:
    """The first line of a block; raises PipelineError naming `where`."""
    found = HEAD.fullmatch(line)
    if not found:
        raise PipelineError(
            f"{where}: {line[:80]!r} is not a turn: [start - end], utterance, label and [V, A, D], with tabs "
            "between them. Mend the line."
        )
    first, last, utterance, code = found.groups()
    start, end = (reading.number(text, where) for text in (first, last))
    times.in_order(start, end, where)
    reading.known_label(code, CODES, where)
    name = UTTERANCE.fullmatch(utterance)
    if not name or name[1] != path.stem:
        raise PipelineError(
            f"{where}: {utterance!r} is not an utterance of the dialogue {path.stem}. Mend the file."
        )
    return Turn(session, path.stem, utterance, start, end, code, where)
