"""The text of a cue: what is said in it, by whom, and how words are written so that they come back."""

import html
import re

# of ASS, which .srt files borrow: {\an8}, {\i1}
OVERRIDE = re.compile(r"\{\\[^}]*\}")
# only what is known to be a tag: in `if a<b and c>d` there is none
ATTRIBUTE = r"""\s+[\w:-]+\s*=\s*(?:"[^"\n]*"|'[^'\n]*'|[^\s<>"']+)"""
TAG = re.compile(
    r"</?(?:[bius]|em|strong|ruby|rt|rp|c|lang|p|div|span|font)(?:\.[^\s<>/]*)?"
    rf"(?:{ATTRIBUTE})*\s*/?>|<lang\s+[\w-]+\s*>|<\d[\d:.]*>",
    re.I,
)
UNVOICED = re.compile(r"</?v(?:\.[^\s<>/]*)?\s*>", re.I)
BREAK = re.compile(r"<br\s*/?>", re.I)
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# a voice of WebVTT; and what recognisers put before the words: [SPEAKER_00]: (SPEAKER 1) Speaker 1: [Ann]:
NUMBERED = r"(?:speaker|spk)(?:[ _-]\w{1,12}|\d{1,3})"
LABEL = (
    r"^[ \t]*(?:\[(?!\d+:\d)([^\[\]\n]{1,60})\][ \t]*:"
    rf"|[\[(]({NUMBERED})[\])][ \t]*:?|({NUMBERED})[ \t]*:)[ \t]*"
)
VOICE = re.compile(rf"(?<!\w)<v(?:\.[^\s<>]*)?[ \t]+([^<>\n]+)>|{LABEL}", re.I | re.M)
LABELLED = re.compile(LABEL, re.I)


def _unescaped(text: str) -> str:
    """Entities resolved; without its semicolon one is just words (`AT&T`, `&copy`)."""
    return ENTITY.sub(lambda found: html.unescape(found[0]), text)


def _plain(text: str) -> str:
    """Without formatting, but with voices and entities."""
    return TAG.sub("", BREAK.sub("\n", OVERRIDE.sub("", text)))


def words(text: str) -> str:
    """What is said in the text of a cue: without tags and voices, its entities resolved."""
    return _unescaped(UNVOICED.sub("", VOICE.sub("", _plain(text))))


def voices(text: str) -> list[tuple[str | None, str | None]]:
    """Who says what in a cue, in one line each: a pair for every voice, neighbours of one name together.

    The name is None where the cue gives none; the words are None if there are none at all.
    """
    plain = _plain(text)
    marks = list(VOICE.finditer(plain))
    begins = [0, *(mark.end() for mark in marks)]
    ends = [*(mark.start() for mark in marks), len(plain)]
    names = [None, *(next(name for name in mark.groups() if name is not None) for mark in marks)]
    found: list[tuple[str | None, str]] = []
    for name, first, last in zip(names, begins, ends, strict=True):
        own = None if name is None else _unescaped(name).strip() or None
        shown = _unescaped(UNVOICED.sub("", plain[first:last]))
        said = " ".join(filter(None, (line.strip() for line in shown.split("\n"))))
        if found and found[-1][0] == own:
            found[-1] = (own, f"{found[-1][1]} {said}".strip())
        else:
            found.append((own, said))
    kept = [(name, said) for name, said in found if said]
    # a cue without words is an utterance all the same
    return [*kept] if kept else [(found[-1][0], None)]


def labelled(text: str) -> tuple[str | None, str]:
    """The name that a recogniser put before the words, if any, and the words without it."""
    found = LABELLED.match(text)
    if not found:
        return None, text
    return next(name for name in found.groups() if name is not None).strip(), text[found.end() :].strip()


def as_text(line: str) -> str:
    """A line of words, escaped so that `words` gives it back."""
    # a brace before a backslash would begin an override
    return html.escape(line, quote=False).replace("{\\", "&#123;\\")
