"""Which transcript belongs to a video: that of its name beside it. Nothing to load here."""

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from pipeline.core.disk import FILE, kind
from pipeline.core.errors import PipelineError

SUFFIXES = (".srt", ".vtt", ".csv")
# talk.en.vtt, talk.en-US.srt, talk.de.auto.srt; of three letters the usual ones, for talk.old.srt is none
LANGUAGE = (
    "[A-Za-z]{2}|ara|ces|chi|cze|dan|deu|dut|ell|eng|fin|fil|fra|fre|ger|gre|heb|hin|hun|ind|ita|jpn|kor|nld|nor|"
    "pol|por|ron|rum|rus|spa|swe|tha|tur|ukr|vie|zho"
)
TAG = rf"\.(?:(?:{LANGUAGE})(?:[-_][A-Za-z0-9]{{1,8}})*|forced|auto|default|orig|sdh)"
TAGGED = re.compile(rf"(.+?)(?:{TAG}){{1,2}}", re.S | re.I)


def is_transcript(path: Path) -> bool:
    """By its ending, in small or capital letters."""
    return path.suffix.lower() in SUFFIXES


def untagged(path: Path) -> str | None:
    """The name of a transcript without its language and ending: `talk` of `talk.en.vtt`; None without one."""
    found = TAGGED.fullmatch(path.stem)
    return found[1] if found else None


def check_files(paths: Iterable[Path], stems: Collection[str]) -> None:
    """Raise PipelineError for what has the name of a transcript of one of the media, and is no file.

    paths: what lies in their folder; stems: the names of the media, without their endings.
    """
    for path in sorted(paths):
        named = is_transcript(path) and (path.stem in stems or untagged(path) in stems)
        if named and (found := kind(path)) != FILE:
            raise PipelineError(
                f"{path}: it is {found}, and a transcript is expected. Put the file there (or mount the disk "
                "that the link leads to), or move it elsewhere."
            )


def beside(video: Path) -> list[Path]:
    """The transcripts beside a video, sorted: those of its name or, if none, those with a language in it.

    Raises PipelineError if its folder cannot be listed, or what has such a name is no file.
    """
    try:
        names = [path for path in video.absolute().parent.iterdir() if path.name.startswith(video.stem)]
        there = sorted(path for path in names if path.is_file())
    except OSError as error:
        raise PipelineError(
            f"{video}: the folder cannot be searched for a transcript ({error}). Name the transcript, or let "
            "the folder be read."
        ) from error
    check_files(names, [video.stem])
    found = [path for path in there if is_transcript(path)]
    same = [path for path in found if path.stem == video.stem]
    # talk.en.srt is that of talk.en.mp4, if there is one
    others = {path.stem for path in there if not is_transcript(path)}
    told = [path for path in found if untagged(path) == video.stem and path.stem not in others]
    return [video.with_name(path.name) for path in same or told]


def one_beside(video: Path) -> Path | None:
    """The transcript beside a video; raises PipelineError if there are several, or none can be looked for."""
    found = beside(video)
    if len(found) > 1:
        raise PipelineError(
            f"{found[0]} and {found[1].name}: two transcripts of one video. Name the one that is meant with "
            "--transcript (transcript=... in the config), or move the other away."
        )
    return found[0] if found else None
