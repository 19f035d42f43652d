"""Letters to phones, and what each phone sounds like: a small English reading aid of this project's own."""

import re
from typing import NamedTuple


class Phone(NamedTuple):
    """Formants (Hz), length (ms), strength of voicing and of noise (0..1), the noise band (Hz)."""

    f1: float
    f2: float
    f3: float
    length: float
    voiced: float = 1.0
    noise: float = 0.0
    centre: float = 3000.0
    band: float = 2000.0


PHONES = {
    "IY": Phone(280, 2250, 3000, 110),
    "IH": Phone(390, 1990, 2550, 80),
    "EH": Phone(530, 1840, 2480, 95),
    "AE": Phone(660, 1720, 2410, 125),
    "AA": Phone(730, 1090, 2440, 130),
    "AO": Phone(570, 840, 2410, 125),
    "UH": Phone(440, 1020, 2240, 85),
    "UW": Phone(310, 870, 2240, 115),
    "AH": Phone(620, 1200, 2400, 80),
    "ER": Phone(480, 1350, 1690, 120),
    "AX": Phone(500, 1450, 2450, 55),
    "M": Phone(260, 1100, 2200, 70, 0.45),
    "N": Phone(260, 1500, 2500, 65, 0.45),
    "NG": Phone(260, 2000, 2700, 75, 0.45),
    "L": Phone(360, 1050, 2700, 65, 0.7),
    "R": Phone(420, 1250, 1600, 70, 0.7),
    "W": Phone(310, 680, 2200, 65, 0.7),
    "Y": Phone(280, 2200, 3000, 55, 0.7),
    "S": Phone(320, 1600, 2600, 105, 0.0, 0.55, 5600, 2200),
    "SH": Phone(320, 1700, 2500, 105, 0.0, 0.60, 3200, 1600),
    "F": Phone(320, 1100, 2300, 90, 0.0, 0.22, 5000, 5000),
    "TH": Phone(320, 1400, 2500, 80, 0.0, 0.18, 5500, 5000),
    "HH": Phone(500, 1500, 2500, 60, 0.0, 0.30, 1600, 2400),
    "CH": Phone(320, 1700, 2500, 95, 0.0, 0.60, 3400, 1800),
    "Z": Phone(320, 1600, 2600, 80, 0.45, 0.30, 5600, 2200),
    "V": Phone(320, 1100, 2300, 65, 0.5, 0.10, 4500, 4000),
    "DH": Phone(320, 1400, 2500, 45, 0.5, 0.08, 5000, 4000),
    "JH": Phone(320, 1700, 2500, 85, 0.3, 0.40, 3400, 1800),
    "P": Phone(400, 900, 2300, 85, 0.0, 0.50, 1200, 1800),
    "T": Phone(400, 1700, 2600, 80, 0.0, 0.60, 4500, 2600),
    "K": Phone(400, 1900, 2500, 85, 0.0, 0.55, 2300, 1400),
    "B": Phone(300, 900, 2300, 70, 0.35, 0.20, 1000, 1500),
    "D": Phone(300, 1700, 2600, 60, 0.35, 0.25, 4000, 2600),
    "G": Phone(300, 1900, 2500, 70, 0.35, 0.22, 2200, 1400),
}
SILENCE = Phone(500, 1500, 2500, 110, 0.0, 0.0)
PAUSE = "_"
STOPS = frozenset(("P", "T", "K", "B", "D", "G", "CH", "JH"))
DIPHTHONGS = {
    "EY": ("EH", "IY"),
    "AY": ("AA", "IH"),
    "OW": ("AO", "UW"),
    "AW": ("AA", "UH"),
    "OY": ("AO", "IH"),
}

_EXCEPTIONS = """
the DH AX | a AX | i AY | you Y UW | to T UW | of AH V | do D UW | are AA R | was W AA Z | have HH AE V
what W AH T | said S EH D | my M AY | me M IY | we W IY | he HH IY | she SH IY | they DH EY | there DH EH R
your Y AO R | one W AH N | so S OW | no N OW | go G OW | who HH UW | could K UH D | would W UH D
should SH UH D | people P IY P AX L | love L AH V | come K AH M | some S AH M | done D AH N | again AX G EH N
be B IY | by B AY | why W AY | into IH N T UW | were W ER | his HH IH Z | has HH AE Z | two T UW
only OW N L IY | every EH V R IY
"""
_RULES = """
tion SH AX N | ough AO F | ight AY T | igh AY | ing IH NG | eigh EY | tch CH | ck K | sh SH | ch CH | th TH
ph F | ng NG | qu K W | wh W | kn N | wr R | ee IY | ea IY | oo UW | ou AW | ow OW | ai EY | ay EY | oa OW
oi OY | oy OY | au AO | aw AO | ew UW | ie IY | er ER | ir ER | ur ER | ar AA R | or AO R | ll L | ss S | tt T
pp P | rr R | nn N | mm M | ff F | dd D | gg G | bb B | zz Z | ce S | ci S IH | cy S IY | ge JH | a AE | b B
c K | d D | e EH | f F | g G | h HH | i IH | j JH | k K | l L | m M | n N | o AA | p P | r R | s S | t T
u AH | v V | w W | x K S | y IY | z Z | q K
"""


def _table(text: str) -> dict[str, list[str]]:
    entries = (entry.split() for row in text.strip().splitlines() for entry in row.split("|"))
    return {letters: spoken for letters, *spoken in entries}


EXCEPTIONS, RULES = _table(_EXCEPTIONS), _table(_RULES)
LONG_VOWELS = {"a": "EY", "i": "AY", "o": "OW", "u": "UW"}
_SILENT_E = re.compile(r"([aiou])[bcdfgklmnprstvz]e$")


def phones(text: str) -> list[str]:
    """The phones of an English text; `_` is a pause. Letters outside a-z are not spoken."""
    spoken: list[str] = []
    for word in re.findall(r"[a-z]+|[,.!?]", text.lower().replace("'", "")):
        spoken += [PAUSE] if word in ",.!?" else EXCEPTIONS.get(word) or _spell(word)
    return spoken


def _spell(word: str) -> list[str]:
    silent = _SILENT_E.search(word)
    long_at = silent.start() if silent else None
    letters = word[:-1] if silent else word
    spoken: list[str] = []
    place = 0
    while place < len(letters):
        if place == long_at:
            spoken.append(LONG_VOWELS[letters[place]])
            place += 1
            continue
        rule = next(rule for rule in RULES if letters.startswith(rule, place))
        spoken += RULES[rule]
        place += len(rule)
    if len(letters) > 3 and spoken[-1] == "EH":  # a last e is mute
        spoken.pop()
    return spoken
