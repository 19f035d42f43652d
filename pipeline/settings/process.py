"""Settings of the embedded corpus's dialogue process: what is felt, what is shown, who speaks."""

from pydantic import Field, model_validator

from pipeline.core.splits import SPLITS
from pipeline.settings.base import Settings


def split_pattern(shares: tuple[float, float, float], count: int) -> list[str]:
    """The splits of dialogues 0 .. count - 1: each goes to the split that lags its share most.

    The pattern looks at the shares alone, so a longer corpus moves none of its first dialogues.
    """
    filled = [0, 0, 0]
    pattern = []
    for number in range(1, count + 1):
        # rounded, so that no last bit of a product decides a tie
        lags = [round(share * number - done, 9) for share, done in zip(shares, filled, strict=True)]
        chosen = lags.index(max(lags))
        filled[chosen] += 1
        pattern.append(SPLITS[chosen])
    return pattern


class ChannelSettings(Settings):
    """How one channel shows the emotion, where the utterance is neither flat, ironic nor masked."""

    shows: float = Field(0.78, ge=0, le=1, description="chance that the channel shows the emotion")
    flat: float = Field(0.17, ge=0, le=1, description="chance that it shows nothing (looks neutral)")

    @model_validator(mode="after")
    def _leave_room(self) -> "ChannelSettings":
        if self.shows + self.flat > 1 + 1e-9:
            raise ValueError("shows + flat must not exceed 1; the rest goes to look-alike emotions")
        return self


class ProcessSettings(Settings):
    """The process behind the embedded corpus; exact inference (the ceilings) reads the same numbers."""

    dialogues: int = Field(40, ge=4, le=100_000, description="dialogues in the corpus")
    utterances: int = Field(8, ge=2, le=64, description="utterances in a dialogue")
    speakers: int = Field(24, ge=6, le=10_000, description="identities; no two splits share one")
    train_share: float = Field(0.60, gt=0, lt=1, description="share of the dialogues in the training split")
    val_share: float = Field(0.15, gt=0, lt=1, description="share of the dialogues in the validation split")
    test_share: float = Field(0.25, gt=0, lt=1, description="share of the dialogues in the test split")

    # with 0.45 context is worth 3.0-3.2 points to the cue ceiling, with 0.40 3.6 or more in every subset
    prior: float = Field(0.40, gt=0, le=10, description="weight of the emotions' prior in the next label")
    contagion: float = Field(0.60, ge=0, le=10, description="weight of the reply to the last utterance")
    inertia: float = Field(0.45, ge=0, le=10, description="weight of the speaker's own last emotion")
    reshuffle: float = Field(0.12, ge=0, le=1, description="chance that a turn's speaker is drawn by a coin")

    text: ChannelSettings = Field(
        ChannelSettings(shows=0.78, flat=0.17), description="how the words show the emotion"
    )
    audio: ChannelSettings = Field(
        ChannelSettings(shows=0.76, flat=0.16), description="how the voice shows the emotion"
    )
    visual: ChannelSettings = Field(
        ChannelSettings(shows=0.80, flat=0.13), description="how the face shows the emotion"
    )
    flat: float = Field(0.25, ge=0, le=1, description="chance that an utterance is flat in all channels")
    irony: float = Field(0.22, ge=0, le=1, description="chance of kind words over sadness, anger or disgust")
    masked: float = Field(0.06, ge=0, le=1, description="chance that the face hides an emotion")

    turned: float = Field(0.04, ge=0, le=1, description="chance that the speaker's face is turned away")
    off_screen: float = Field(0.04, ge=0, le=1, description="chance that the speaker is off screen")
    two_shot: float = Field(0.25, ge=0, le=1, description="share of dialogues that show both speakers")
    snr_mean: float = Field(20.0, ge=-20, le=80, description="mean of the signal-to-noise ratio, dB")
    snr_spread: float = Field(7.0, ge=0, le=40, description="its standard deviation, dB")
    intensity_mean: float = Field(0.78, ge=0, le=1, description="mean strength of a shown expression")
    intensity_spread: float = Field(0.14, ge=0, le=1, description="its standard deviation")

    @model_validator(mode="after")
    def _consistent(self) -> "ProcessSettings":
        if abs(self.train_share + self.val_share + self.test_share - 1) > 1e-6:
            raise ValueError("train_share + val_share + test_share must be 1")
        if self.turned + self.off_screen > 1:
            raise ValueError("turned + off_screen must not exceed 1")
        missing = set(SPLITS) - set(split_pattern(self.shares, self.dialogues))
        if missing:
            raise ValueError(f"no dialogue falls into {sorted(missing)}: raise dialogues or these shares")
        return self

    @property
    def shares(self) -> tuple[float, float, float]:
        """The shares of the dialogues in SPLITS."""
        return self.train_share, self.val_share, self.test_share
