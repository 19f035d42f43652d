"""Settings of the stand-in encoders: small networks in the formats of the public ones."""

from pydantic import Field

from pipeline.settings.base import Settings


class TextStandinSettings(Settings):
    """The RoBERTa stand-in; its tokenizer is trained, its body stays as drawn from the seed."""

    hidden: int = Field(128, ge=16, le=1024, multiple_of=4, description="width of the features")
    layers: int = Field(2, ge=1, le=24, description="transformer layers")
    vocabulary: int = Field(1000, ge=262, le=50_000, description="most tokens of the byte-level BPE")


class AudioStandinSettings(Settings):
    """The wav2vec2 stand-in (layer-norm kind) and its pretraining."""

    hidden: int = Field(96, ge=16, le=1024, multiple_of=16, description="width of the features")
    layers: int = Field(2, ge=1, le=24, description="transformer layers")
    channels: int = Field(
        64, ge=8, le=512, multiple_of=4, description="channels of the last five convolutions"
    )
    voices: int = Field(300, ge=8, le=100_000, description="made-up speakers that it is pretrained on")
    steps: int = Field(200, ge=1, le=100_000, description="optimizer steps")
    batch: int = Field(8, ge=1, le=1024, description="excerpts in a step")
    excerpt: float = Field(1.6, ge=0.5, le=10, description="length of an excerpt, s")
    rate: float = Field(3e-3, gt=0, le=1, description="highest learning rate")


class VisualStandinSettings(Settings):
    """The face network's stand-in (ResNet) and its pretraining."""

    # torch 2.11 on a CPU aborts in the backward pass of channels-last convolutions of 4 channels
    width: int = Field(32, ge=16, le=256, multiple_of=16, description="a quarter of the features' width")
    faces: int = Field(800, ge=8, le=1_000_000, description="made-up faces that it is pretrained on")
    side: int = Field(96, ge=48, le=512, description="side to which crops are scaled, px")
    steps: int = Field(150, ge=1, le=100_000, description="optimizer steps")
    batch: int = Field(32, ge=2, le=4096, description="crops in a step")
    rate: float = Field(4e-3, gt=0, le=1, description="highest learning rate")


class StandinsSettings(Settings):
    """All three stand-ins."""

    text: TextStandinSettings = Field(TextStandinSettings(), description="RoBERTa stand-in")
    audio: AudioStandinSettings = Field(AudioStandinSettings(), description="wav2vec2 stand-in")
    visual: VisualStandinSettings = Field(VisualStandinSettings(), description="face network's stand-in")
