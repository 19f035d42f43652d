"""Settings of the objectives: every variant and ablation is an entry here, not code."""

from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import Field, model_validator

from models.modalities import CHANNELS, SUBSETS, Channels, Modality, Subset, letters_of
from models.terms import CORRUPTIONS, Corruption, Weights, may_read_references
from pipeline.core.registries.networks import BESIDE, NETWORKS
from pipeline.settings.base import Settings

# one of the registry's names or none, which a type checker cannot know
if TYPE_CHECKING:
    OwnNetwork = str
else:
    OwnNetwork = Literal[("", *NETWORKS)]


class ViewSettings(Settings):
    """How the incomplete training views are drawn, a family for each dialogue."""

    fixed_share: float = Field(0.5, ge=0, le=1, description="Chance that one subset covers the dialogue")
    subsets: tuple[Subset, ...] = Field(SUBSETS, min_length=1, description="Subsets of the fixed family")
    rates: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7), min_length=1, description="Missing rates of the random family"
    )


class TeacherObjectiveSettings(Settings):
    """What the complete-view teacher learns from; it is judged, and refers, by complete views alone."""

    incomplete: float = Field(
        0.0,
        ge=0,
        description="Weight of the task loss on an incomplete view, which regularises as its students'",
    )
    auxiliary: float = Field(0.3, ge=0, description="Weight of the modality heads' task loss")
    label_smoothing: float = Field(
        0.05, ge=0, lt=1, description="Share of the target spread over all classes"
    )
    class_weights: Literal["none", "balanced"] = Field("none", description="Weights of the classes")
    huber: float = Field(1.0, gt=0, description="Regression: where the loss turns linear, in score units")
    views: ViewSettings = Field(default_factory=ViewSettings, description="Incomplete views")


class ConflictSettings(Settings):
    """How nonverbal conflict views are drawn."""

    share: float = Field(0.3, gt=0, le=1, description="Share of a dialogue's utterances in conflict")
    same_share: float = Field(0.3, ge=0, le=1, description="Share of donors with the target's own label")
    channels: tuple[Channels, ...] = Field(
        CHANNELS, min_length=1, description="What is taken from the donor, one drawn each time"
    )
    gap: float = Field(1.0, gt=0, description="Regression: least distance of another score, in score units")


class CorruptionSettings(Settings):
    """How training views with unreliable features are drawn, in the place of incomplete ones."""

    share: float = Field(0.0, ge=0, le=1, description="Share of the dialogues; 0: no such views")
    kinds: tuple[Corruption, ...] = Field(
        CORRUPTIONS,
        min_length=1,
        description="What is done to one modality of a dialogue, one drawn each time: mixed with another "
        "utterance, noise of the corpus's own covariance, dimensions left out",
    )
    least: float = Field(0.2, ge=0, le=1, description="Least strength, drawn for a dialogue")
    most: float = Field(0.8, ge=0, le=1, description="Greatest strength")

    @model_validator(mode="after")
    def _bounds(self) -> "CorruptionSettings":
        if self.least > self.most:
            raise ValueError(f"least ({self.least}) is above most ({self.most}); swap them")
        return self


class ObjectiveSettings(Settings):
    """The student's objective: a weight of 0 switches a term off (docs/method.md, Objective)."""

    complete: float = Field(1.0, ge=0, description="Weight of the task loss on the complete view")
    incomplete: float = Field(1.0, ge=0, description="Weight of the task loss on the incomplete view")
    prediction: float = Field(1.0, ge=0, description="Weight of L_pred, incomplete view")
    fused: float = Field(1.0, ge=0, description="Weight of L_fused, incomplete view")
    modality: float = Field(0.5, ge=0, description="Weight of L_mod, incomplete view")
    evidence: float = Field(0.0, ge=0, description="Weight of L_evi, incomplete view")
    beliefs: float = Field(0.0, ge=0, description="Weight of L_chain, incomplete view")
    nce: float = Field(0.5, ge=0, description="Weight of L_nce as a whole")
    nce_margin: float = Field(0.3, ge=0, description="Weight of the margin within L_nce (beta)")
    nce_reference: float = Field(0.0, ge=0, description="Weight of the KL to the teacher within L_nce")
    reconstruction: float = Field(0.0, ge=0, description="Weight of the imputer's reconstruction loss")
    auxiliary: float = Field(0.0, ge=0, description="Weight of the modality heads' task loss")
    anchor: float = Field(0.0, ge=0, description="Weight of the pull to the anchor of the class (EACL)")
    anchor_angle: float = Field(0.0, ge=0, description="Weight of what keeps the anchors apart (EACL)")
    anchor_temperature: float = Field(0.2, gt=0, description="Temperature of the pull to anchors")
    own: float = Field(0.0, ge=0, description="Weight of the modalities' own losses, by their pace (Ada2I)")
    parts: float = Field(0.0, ge=0, description="Weight of the decoupled parts' task loss (DHMD)")
    apart: float = Field(0.0, ge=0, description="Weight of right angles between the parts (DHMD)")
    rebuilt: float = Field(0.0, ge=0, description="Weight of a state's error from its parts (DHMD)")
    graph: float = Field(0.0, ge=0, description="Weight of distillation between modalities (DHMD)")
    dictionary: float = Field(0.0, ge=0, description="Weight of the matching of prototypes (DHMD)")
    temperature: float = Field(2.0, gt=0, description="Temperature of L_pred (tau)")
    distance: Literal["cosine", "mse", "smooth_l1"] = Field("cosine", description="Distance of states")
    scope: Literal["observed", "all"] = Field("observed", description="Modalities that L_mod compares")
    trust: Literal["constant", "hidden", "sure", "hidden_sure"] = Field(
        "constant",
        description="What weighs a comparison with the teacher: nothing, the share of the utterance that the "
        "view hides, how sure the teacher is, or both",
    )
    margin: float = Field(0.0, ge=0, description="Margin within L_nce, in nats or score units")
    label_smoothing: float = Field(
        0.05, ge=0, lt=1, description="Share of the target spread over all classes"
    )
    class_weights: Literal["none", "balanced"] = Field("none", description="Weights of the classes")
    huber: float = Field(1.0, gt=0, description="Regression: where the loss turns linear, in score units")
    references: Literal["in_sample", "cross_fitted", "ensemble", "oracle"] = Field(
        "in_sample",
        description="Which references are read: of the teacher that has seen the dialogue, of one that has "
        "not, the mean of several that have not, or (a diagnostic) of one that knows how the corpus was made",
    )
    initialisation: Literal["scratch", "teacher"] = Field("scratch", description="Where the student starts")
    modalities: tuple[Modality, ...] = Field(
        get_args(Modality), min_length=1, description="Modalities this variant may ever see"
    )
    network: OwnNetwork = Field(
        "", description="The network of this variant's students; empty: network.name, as the teacher's"
    )
    views: ViewSettings = Field(default_factory=ViewSettings, description="Incomplete views")
    conflict: ConflictSettings = Field(default_factory=ConflictSettings, description="Conflict views")
    unreliable: CorruptionSettings = Field(
        default_factory=CorruptionSettings, description="Views with unreliable features"
    )

    @model_validator(mode="after")
    def _consistent(self) -> "ObjectiveSettings":
        if self.network:
            self.check_network(self.network)
        if not any(term.alone for term in self.weights.computed.values()):
            raise ValueError("no term has a weight above 0, so there is nothing to learn from")
        if "sure" in self.trust and self.references == "in_sample" and self.needs_references:
            raise ValueError(
                f"trust {self.trust} asks how sure the teacher is, and one that has seen the dialogue is "
                "sure of what it was told; write references: cross_fitted or ensemble, or trust: hidden"
            )
        more = [name for name, term in self.weights.computed.items() if {*term.references} - {"logits"}]
        if self.references == "oracle" and more:
            raise ValueError(
                f"{more[0]}: references: oracle has answers alone, and {' and '.join(more)} compare more; "
                "set what is named to 0, or read other references"
            )
        if self.unreliable.share > 0 and not self.weights.sees("incomplete"):
            raise ValueError(
                "unreliable.share: views with unreliable features take the place of incomplete ones, and no "
                "term with a weight above 0 reads those; set the weight incomplete, or share to 0"
            )
        letters = set(letters_of(self.modalities))
        if self.nce > 0 and not (
            "text" in self.modalities and any(letters >= set(name) for name in self.conflict.channels)
        ):
            raise ValueError(
                "nce needs text in modalities, and one of conflict.channels whose modalities are in it, too; "
                "name them, or set nce to 0"
            )
        return self

    @property
    def needs_references(self) -> bool:
        """Whether any term reads the teacher's references."""
        return may_read_references(self)

    @property
    def weights(self) -> Weights:
        """The weights of all loss terms."""
        return Weights.of(self)

    def check_network(self, name: str) -> None:
        """Raise ValueError if a term needs what the network of this name does not give."""
        for term, row in self.weights.computed.items():
            if row.needs and row.needs not in BESIDE.get(name, ()):
                able = " or ".join(
                    f"network: {other}" for other, given in BESIDE.items() if row.needs in given
                )
                raise ValueError(
                    f"{term} has a weight, and the network {name} gives no {row.needs}, which it compares; "
                    f"write {able}, or set the weight to 0"
                )
