"""What every network of teacher and student has in common: what fixes it, what it is asked, what it says.

A network is a module in `models/networks/` with two classes, `Shape` and `Network`, that derive from those
here; `pipeline/core/registries/networks.py` gives it a name. docs/new-network.md adds one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from models.batch import Batch


@dataclass(frozen=True)
class Shape:
    """Everything that fixes the parameters of a network, as its checkpoint holds it.

    A network's own `Shape` adds its keys: those of `network` in the configuration by the same names.
    """

    dimensions: Mapping[str, int]  # width of the features, by modality
    outputs: int  # classes, or 1 for a regression score

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; `Shape(**that)` is this shape again."""
        return {**asdict(self), "dimensions": dict(self.dimensions)}


@dataclass(frozen=True)
class Output:
    """What a network says of B dialogues of N utterances; meaningless on padding.

    A network without such states gives what comes nearest: the loss terms compare them, and figures show
    the fused ones in a plane.
    """

    logits: Float[Tensor, "b n c"]  # C classes (log-probabilities up to a constant), or one score
    fused: Float[Tensor, "b n h"]  # z
    states: Float[Tensor, "b n 3 h"]  # h of text, audio, visual
    modality_logits: Float[Tensor, "b n 3 c"]  # what each modality says by itself, for the auxiliary term

    def __getitem__(self, part: slice) -> "Output":
        """The output of some of the dialogues."""
        return replace(self, **{field.name: _of(getattr(self, field.name), part) for field in fields(self)})


@dataclass(frozen=True)
class Chained(Output):
    """The output of a network whose last layer is a chain over the dialogue."""

    # what the chain says of an utterance from all others: log-probabilities, or one score
    beliefs: Float[Tensor, "b n c"]


@dataclass(frozen=True)
class Anchored(Chained):
    """The output of a network that has an anchor for each class."""

    # K anchors, the same for every utterance; constants while the network adapts them by its answers alone
    anchors: Float[Tensor, "b n k h"]


@dataclass(frozen=True)
class Balanced(Chained):
    """The output of a network that weighs its modalities by how far each has come."""

    pace: Float[Tensor, "b n 3"]  # the weights of the epoch, the same for every utterance


@dataclass(frozen=True)
class Decoupled(Chained):
    """The output of a network that splits each state into a part that is shared and one of its own."""

    read: Float[Tensor, "b n 3 h"]  # the states before the split
    rebuilt: Float[Tensor, "b n 3 h"]  # the states as made from both parts again
    parts: Float[Tensor, "b n 2 3 _"]  # shared, own
    part_logits: Float[Tensor, "b n 2 3 c"]  # what each part of each modality says by itself
    # what each modality (third axis) learns of each other one (last): sums to 1 over the shown others, else 0
    edges: Float[Tensor, "b n 2 3 3"]
    matches: Float[Tensor, "b n 3 k"]  # of the shared parts with K prototypes, log-probabilities
    matching: Float[Tensor, "b n"]  # 1 in the second stage, else 0


@dataclass(frozen=True)
class Imputed(Output):
    """The output of a network that fills absent features first."""

    guesses: dict[str, Float[Tensor, "b n _"]]  # of all slots, by modality


def _of(value: Any, part: slice) -> Any:
    if isinstance(value, Mapping):
        return {name: own[part] for name, own in value.items()}
    return value[part]


class Network(nn.Module):
    """A network of teacher or student.

    Laws, to which the tests hold every registered network: absent slots change no output bit, whatever they
    hold; padding and the other dialogues of the batch change nothing beyond float tolerance; an utterance
    with nothing to read gets finite numbers.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    @property
    def width(self) -> int:
        """H, the width of its states; at least 2."""
        raise NotImplementedError

    @property
    def heir(self) -> "Network":
        """What may start from the parameters of a teacher of another kind: this network, or one within it."""
        return self

    def begin(self, training: Iterable[Batch]) -> None:
        """Set what starts from counts over the training split, once, after the random start.

        `training`: its dialogues under complete views, always in the same order. By default nothing is read.
        """

    def name_classes(self, names: Float[Tensor, "c d"]) -> None:
        """Set what starts from the text encoder's vectors of the labels' names, once, after `begin`.

        `names`: in the order of the classes, normalised as the text features are. Called where a corpus has
        words, for the networks of `NAMED` in the registry. By default nothing is read.
        """

    def enter(self, done: float, last: Mapping[str, float]) -> None:
        """Set what follows the course of training, before each epoch.

        `done`: the share of the epochs that are over, 0 before the first. `last`: the last epoch's row of
        the history, empty before the first. A training that goes on after an interruption enters the same
        way, so what is set follows from these two alone; what the answers depend on is a buffer, for it is
        stored with the parameters. Parameters that take no gradient from here on are set to need none. By
        default nothing changes.
        """

    def course(self) -> dict[str, float]:
        """What `enter` has set, by name, for the history and the figure of the training; here nothing."""
        return {}

    def forward(self, batch: Batch) -> Output:
        """What the network says of every utterance under the view `batch.available`."""
        raise NotImplementedError
