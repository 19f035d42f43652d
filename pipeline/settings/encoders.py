"""Settings of the encoders: which weights, which layers, how they are pooled and batched."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from pipeline.settings.base import Settings


class WeightsSettings(Settings):
    """Public weights, pinned; those of encoders are not read where stand-ins are used."""

    name: str = Field(
        description="id on the Hugging Face hub, or `facenet-pytorch/vggface2`; of `chooser` on GitHub"
    )
    revision: str = Field(
        pattern=r"^([0-9a-f]{40}|v[0-9.]+)$",
        description="full commit of the hub (of GitHub), or a release of a package",
    )
    files: dict[str, str] = Field(
        default_factory=dict, description='SHA-256 by file name that a file must have; "" lifts a pin'
    )

    @field_validator("files")
    @classmethod
    def _hexadecimal(cls, files: dict[str, str]) -> dict[str, str]:
        # an overlay is merged with config.yaml, so it can replace an entry and never remove one
        files = {name: digest for name, digest in files.items() if digest}
        for name, digest in files.items():
            if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
                raise ValueError(f"the SHA-256 of {name} must be 64 lower-case hexadecimal digits")
        return files


class EncoderSettings(Settings):
    """What all three kinds of encoder share."""

    layers: list[Annotated[int, Field(ge=-100, le=100)]] = Field(
        [-1],
        min_length=1,
        description="hidden states to average; 0 is the input embedding, -1 the encoder's output",
    )
    final_norm: bool = Field(
        True,
        description="the last one is the encoder's own output (`last_hidden_state`), after the norm that "
        "follows the last layer in some models; false: before it",
    )
    batch: int = Field(8, ge=1, le=1024, description="inputs of one forward pass on a CPU")
    frames: bool = Field(False, description="also store the unpooled features")


class TextSettings(EncoderSettings):
    """The text encoder."""

    weights: WeightsSettings = Field(
        WeightsSettings(name="FacebookAI/roberta-base", revision="e2da8e2f811d1448a5b465c236feacd80ffbac7b"),
        description="public weights",
    )
    tokens: int = Field(
        16_384, ge=1, le=10_000_000, description="tokens of one forward pass on a GPU, padding included"
    )
    most_tokens: int = Field(512, ge=8, le=100_000, description="longer utterances are cut after this many")


class AudioSettings(EncoderSettings):
    """The speech encoder."""

    weights: WeightsSettings = Field(
        WeightsSettings(
            name="facebook/wav2vec2-base",
            revision="0b5b8e868dd84f03fd87d01f9c4ff0f080fecfe8",
            files={"pytorch_model.bin": "3249fe98bfc62fcbc26067f724716a6ec49d12c4728a2af1df659013905dff21"},
        ),
        description="public weights",
    )
    seconds: float = Field(
        320.0,
        gt=0,
        le=1_000_000,
        description="seconds of sound of one forward pass on a GPU, padding included",
    )
    silence: float = Field(-60.0, ge=-200, le=0, description="an utterance below this level (dB) is silent")
    shortest: float = Field(0.1, ge=0.025, le=10, description="a shorter utterance (s) is absent")
    window: float = Field(
        20.0, ge=1, le=600, description="longer utterances (s) are encoded in equal windows of at most this"
    )


class VisualSettings(EncoderSettings):
    """The face encoder."""

    weights: WeightsSettings = Field(
        WeightsSettings(
            name="facenet-pytorch/vggface2",
            revision="v2.2.9",
            files={
                "20180402-114759-vggface2.pt": (
                    "281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b"
                )
            },
        ),
        description="public weights",
    )
    batch: int = Field(32, ge=1, le=1024, description="crops of one forward pass on a CPU")
    crops: int = Field(512, ge=1, le=100_000, description="crops of one forward pass on a GPU")


class EncodersSettings(Settings):
    """The encoder of each modality."""

    standins: bool = Field(
        True, description="small encoders that the pipeline trains itself, in place of public weights"
    )
    precision: Literal["float32", "bfloat16", "auto"] = Field(
        "float32",
        description="of the encoders' products; bfloat16 moves features by less than 2 %; auto takes it "
        "where CPU or GPU has it in hardware",
    )
    text: TextSettings = Field(TextSettings(), description="text encoder")
    audio: AudioSettings = Field(AudioSettings(), description="speech encoder")
    visual: VisualSettings = Field(VisualSettings(), description="face encoder")
