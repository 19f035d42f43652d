"""Settings of the networks: which one is trained, and its size."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from pipeline.core.registries.networks import NETWORKS, SECTIONS
from pipeline.settings.base import Settings

# one of the registry's names, which a type checker cannot know
if TYPE_CHECKING:
    NetworkName = str
else:
    NetworkName = Literal[tuple(NETWORKS)]


class StructuredSettings(Settings):
    """What the networks `structured` and `gated` read."""

    chain: Literal["own", "pairs"] = Field(
        "own", description="Which labels are linked: a speaker's own, or also the last one of anybody else"
    )
    through: Literal["lstm", "attention"] = Field(
        "lstm", description="What carries the states through the dialogue"
    )
    evidence: bool = Field(
        True, description="Whether the answer sums what each modality says by itself, beside what all say"
    )


class AnchoredSettings(StructuredSettings):
    """What only the network `anchored` reads."""

    evidence: bool = Field(
        False, description="Whether each modality's evidence is added to what the nearness of anchors says"
    )
    adaptation: float = Field(
        0.25, ge=0, lt=1, description="Share of the epochs, the last ones, in which anchors adapt and answer"
    )


class BalancedSettings(StructuredSettings):
    """What only the network `balanced` reads."""

    strength: float = Field(
        1.0, ge=0, le=4, description="How strongly modalities that lag are favoured; 0: all alike"
    )


class DecoupledSettings(StructuredSettings):
    """What only the network `decoupled` reads."""

    prototypes: int = Field(16, ge=2, le=4096, description="Prototypes in the dictionary of shared parts")
    matching: float = Field(
        0.5, ge=0, lt=1, description="Share of the epochs, the last ones, in which the dictionary is matched"
    )


class ImputationSettings(StructuredSettings):
    """What only the network `imputation` reads: the network that reads what it fills, and its settings."""

    reader: Literal["structured", "attention"] = Field(
        "structured", description="The network that reads what was filled in"
    )


class NetworkSettings(Settings):
    """Which network, and its size and regularisation, the same for teacher and student."""

    name: NetworkName = Field("structured", description="The network, by its registered name")
    hidden: int = Field(64, ge=8, le=1024, multiple_of=8, description="Width of all states")
    layers: int = Field(1, ge=0, le=8, description="Temporal layers of each modality")
    context_layers: int = Field(1, ge=0, le=8, description="Temporal layers over the fused states")
    heads: int = Field(4, ge=1, le=16, description="Attention heads; they divide the width")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout within the network")
    feature_dropout: float = Field(0.3, ge=0, lt=1, description="Dropout on the features")
    speakers: int = Field(8, ge=1, le=64, description="Speakers of a dialogue told apart; later ones share")
    reach: int = Field(8, ge=1, le=256, description="Distance in utterances beyond which all count alike")

    structured: StructuredSettings = Field(
        StructuredSettings(), description="Read for name: structured, and network: gated"
    )
    anchored: AnchoredSettings = Field(AnchoredSettings(), description="Read for network: anchored")
    balanced: BalancedSettings = Field(BalancedSettings(), description="Read for network: balanced")
    decoupled: DecoupledSettings = Field(DecoupledSettings(), description="Read for network: decoupled")
    imputation: ImputationSettings = Field(ImputationSettings(), description="Read for network: imputation")

    @model_validator(mode="after")
    def _heads_divide(self) -> "NetworkSettings":
        if self.hidden % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide hidden ({self.hidden})")
        return self

    def keys_of(self, name: str) -> dict[str, Any]:
        """The keys that a network may read: those that all share, and those of the section of its name."""
        own = getattr(self, SECTIONS.get(name, name), None)
        shared = {key: value for key, value in self if not isinstance(value, Settings)}
        return shared | (dict(own) if isinstance(own, Settings) else {})

    def read_by(self, *names: str) -> "NetworkSettings":
        """The same settings, the sections of all other networks at their defaults: they are not read."""
        read = [SECTIONS.get(name, name) for name in names]
        defaults = {
            key: type(self).model_fields[key].get_default(call_default_factory=True)
            for key, value in self
            if isinstance(value, Settings) and key not in read
        }
        return self.model_copy(update=defaults)

    def named(self, name: str) -> "NetworkSettings":
        """The settings under which the network of this name is trained."""
        return self.read_by(name).model_copy(update={"name": name})
