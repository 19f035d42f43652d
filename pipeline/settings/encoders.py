"""Settings of the encoders: which weights, which layers, how they are pooled and batched."""

from pydantic import Field, field_validator

from pipeline.settings.base import Settings


class EncoderSettings(Settings):
    """What all three kinds of encoder share."""

    layers: tuple[int, ...] = Field(
        (-1,), min_length=1, description="hidden states to average; 0 is the input embedding, -1 the last"
    )
    batch: int = Field(8, ge=1, le=1024, description="inputs of one forward pass")
    frames: bool = Field(False, description="also store the unpooled features")


class TextSettings(EncoderSettings):
    """The text encoder."""

    most_tokens: int = Field(512, ge=8, le=100_000, description="longer utterances are cut after this many")


class AudioSettings(EncoderSettings):
    """The speech encoder."""

    silence: float = Field(-60.0, ge=-200, le=0, description="an utterance below this level (dB) is silent")
    shortest: float = Field(0.1, ge=0.025, le=10, description="a shorter utterance (s) is absent")
    window: float = Field(
        20.0, ge=1, le=600, description="longer utterances (s) are encoded in equal windows of at most this"
    )


class VisualSettings(EncoderSettings):
    """The face encoder."""

    batch: int = Field(32, ge=1, le=1024, description="crops of one forward pass")


class WeightsSettings(Settings):
    """Public weights of one encoder, pinned."""

    name: str = Field(description="id on the Hugging Face hub, or `facenet-pytorch/vggface2`")
    revision: str = Field(description="full commit (40 hexadecimal digits) or release tag")
    files: dict[str, str] = Field(
        default_factory=dict, description="SHA-256 by file name; a file named here must have it"
    )

    @field_validator("files")
    @classmethod
    def _hexadecimal(cls, files: dict[str, str]) -> dict[str, str]:
        for name, digest in files.items():
            if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
                raise ValueError(f"the SHA-256 of {name} must be 64 lower-case hexadecimal digits")
        return files
