"""The modalities, their letters, and which of them may be shown or swapped; defined here and nowhere else."""

from collections.abc import Iterable
from typing import Literal, get_args

Modality = Literal["text", "audio", "visual"]
Subset = Literal["t", "a", "v", "at", "tv", "av"]
Channels = Literal["a", "v", "av"]

MODALITIES: tuple[str, ...] = get_args(Modality)
LETTERS = tuple(name[0] for name in MODALITIES)
SUBSETS: tuple[Subset, ...] = get_args(Subset)  # what P2 shows
CHANNELS: tuple[Channels, ...] = get_args(Channels)  # nonverbal: what a conflict may take from its donor


def has_letter(letters: str) -> tuple[bool, ...]:
    """Of each modality, in the order of `MODALITIES`, whether its letter is among `letters`.

    Raises ValueError for a letter other than t, a, v.
    """
    if unknown := set(letters) - set(LETTERS):
        raise ValueError(f"unknown modality letter {sorted(unknown)[0]!r}; the letters are {LETTERS}")
    return tuple(letter in letters for letter in LETTERS)


def modalities_of(letters: str) -> tuple[str, ...]:
    """The modalities that `letters` name, in the order of `MODALITIES`; raises ValueError as above."""
    return tuple(name for name, there in zip(MODALITIES, has_letter(letters), strict=True) if there)


def letters_of(modalities: Iterable[str]) -> str:
    """The letters of modalities, in the order of `MODALITIES`."""
    wanted = set(modalities)
    return "".join(letter for name, letter in zip(MODALITIES, LETTERS, strict=True) if name in wanted)
