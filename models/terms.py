"""The table of loss terms: what each reads, and where its weight stands (docs/method.md, Objective).

No torch is imported here, so that the settings and the job graph read the same table as the training;
`models.objective` computes the terms. docs/new-term.md adds one.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from models.modalities import MODALITIES

View = Literal["complete", "incomplete", "conflict"]
Corruption = Literal[
    "mix", "noise", "dropout"
]  # what makes features of a view unreliable (models.corruption)
CORRUPTIONS: tuple[Corruption, ...] = get_args(Corruption)


@dataclass(frozen=True)
class Term:
    """One loss term, beside the function that computes it."""

    title: str  # in figures
    view: View  # the view that goes through the network for it
    keys: tuple[str, ...]  # keys of the objective whose product is its weight
    references: tuple[str, ...] = ()  # which fields of models.passes.References it reads
    needs: str = ""  # what an output has to hold beside models.network.Output
    alone: bool = True  # whether a network could learn its answers from this term alone
    classes: bool = False  # whether it speaks of classes, so that scores have no such term


# in the order in which they are added
TERMS = {
    "complete": Term("task, complete view", "complete", ("complete",)),
    "auxiliary": Term("task, modality heads", "complete", ("auxiliary",), alone=False),
    "incomplete": Term("task, incomplete view", "incomplete", ("incomplete",)),
    "prediction": Term("L_pred (CSA, answers)", "incomplete", ("prediction",), ("logits",)),
    "fused": Term("L_fused (CSA, fused state)", "incomplete", ("fused",), ("fused",)),
    "modality": Term("L_mod (CSA, modality states)", "incomplete", ("modality",), ("states",)),
    "evidence": Term(
        "L_evi (CSA, evidence of modalities)", "incomplete", ("evidence",), ("evidence",), alone=False
    ),
    "beliefs": Term(
        "L_chain (CSA, beliefs of the chain)",
        "incomplete",
        ("beliefs",),
        ("beliefs",),
        needs="beliefs",
        alone=False,
    ),
    "reconstruction": Term(
        "reconstruction (imputer)", "incomplete", ("reconstruction",), needs="guesses", alone=False
    ),
    "anchor": Term(
        "pull to the anchor (EACL)", "incomplete", ("anchor",), needs="anchors", alone=False, classes=True
    ),
    "anchor_angle": Term(
        "angle of anchors (EACL)", "incomplete", ("anchor_angle",), needs="anchors", alone=False, classes=True
    ),
    **{
        f"own_{name}": Term(f"own loss, {name} (Ada2I)", "complete", ("own",), needs="pace", alone=False)
        for name in MODALITIES
    },
    "parts": Term("task, decoupled parts (DHMD)", "complete", ("parts",), needs="parts", alone=False),
    "apart": Term("parts at right angles (DHMD)", "complete", ("apart",), needs="parts", alone=False),
    "rebuilt": Term("state from its parts (DHMD)", "complete", ("rebuilt",), needs="parts", alone=False),
    "graph": Term("modalities teach each other (DHMD)", "complete", ("graph",), needs="parts", alone=False),
    "dictionary": Term("matched prototypes (DHMD)", "complete", ("dictionary",), needs="parts", alone=False),
    "nce_task": Term("L_nce, task under conflict", "conflict", ("nce",)),
    "nce_margin": Term("L_nce, margin over the donor", "conflict", ("nce", "nce_margin")),
    "nce_reference": Term("L_nce, KL to the teacher", "conflict", ("nce", "nce_reference"), ("logits",)),
}


class Weights(Mapping[str, float]):
    """The weight of every term by its name; a term of weight 0 is not computed."""

    def __init__(self, **given: float) -> None:
        """Terms that are not given have weight 0; raises ValueError for a name that is no term."""
        if unknown := given.keys() - TERMS.keys():
            raise ValueError(f"no loss terms: {', '.join(sorted(unknown))}; there are {', '.join(TERMS)}")
        self._given = {name: given.get(name, 0.0) for name in TERMS}

    @classmethod
    def of(cls, objective: object) -> "Weights":
        """The weights that an objective's keys give."""
        return cls(
            **{name: math.prod(getattr(objective, key) for key in term.keys) for name, term in TERMS.items()}
        )

    def __getitem__(self, name: str) -> float:
        return self._given[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    @property
    def computed(self) -> dict[str, Term]:
        """The terms whose weight is above 0, in the order of the table."""
        return {name: term for name, term in TERMS.items() if self[name] > 0}

    def sees(self, view: View) -> bool:
        """Whether a term is computed on this view."""
        return any(term.view == view for term in self.computed.values())

    @property
    def references(self) -> frozenset[str]:
        """The fields of the teacher's references that some term reads."""
        return frozenset(name for term in self.computed.values() for name in term.references)


def may_read_references(objective: object, searched: Collection[str] = ()) -> bool:
    """Whether a term reads references, or could if the keys `searched` had other values."""
    return any(
        all(getattr(objective, key) > 0 or key in searched for key in term.keys)
        for term in TERMS.values()
        if term.references
    )
