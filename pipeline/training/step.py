"""One training step of a student: its views, and the terms of its variant on them."""

import torch

from models.batch import Batch
from models.corruption import CorruptionRates, Noises, unreliable_view
from models.modalities import letters_of, modalities_of
from models.network import Network
from models.objective import terms_of
from models.passes import References
from models.views import ConflictRates, Donors, conflict_view, incomplete_view
from pipeline.settings.objective import ObjectiveSettings, ViewSettings
from pipeline.training import loop
from pipeline.training.dialogues import Dataset


def drawn_view(batch: Batch, views: ViewSettings, generator: torch.Generator) -> torch.Tensor:
    """What an incomplete view shows, bool (b, n, 3), drawn by the settings."""
    return incomplete_view(batch.available, views.fixed_share, views.subsets, views.rates, generator)


class Step:
    """Draws the views of a batch and computes the terms of a variant on them."""

    def __init__(
        self, data: Dataset, objective: ObjectiveSettings, references: References | None, device: torch.device
    ) -> None:
        self.objective, self.references, self.device = objective, references, device
        self.weights = objective.weights
        self.target = data.score if data.regression else torch.where(data.label >= 0, data.label, torch.nan)
        self.options = loop.options_of(data, objective, device)
        rows = data.rows(["train"])
        self.dialogue = data.dialogue
        self.donors = Donors(
            {name: data.features[name][rows] for name in modalities_of("av")},
            data.available[rows],
            self.target[rows],
            data.dialogue[rows],
        )
        own = objective.unreliable
        self.corruption = CorruptionRates(own.share, own.kinds, own.least, own.most)
        self.gauges = data.gauges
        self.noises: Noises | None = None
        if own.share > 0:
            widths = data.dimensions
            features = {name: values[rows, : widths[name]] for name, values in data.features.items()}
            self.noises = Noises.of(features, data.available[rows])
        # a channel that the variant may never see cannot carry a conflict
        may_carry = set(letters_of(objective.modalities))
        channels = tuple(name for name in objective.conflict.channels if may_carry >= set(name))
        self.rates = ConflictRates(
            objective.conflict.share,
            objective.conflict.same_share,
            channels,
            objective.conflict.gap if data.regression else 0.0,
        )

    def __call__(self, network: Network, batch: Batch, generator: torch.Generator) -> loop.Terms:
        """The named terms of one batch (on the CPU, complete views)."""
        objective, device = self.objective, self.device
        batch = loop.restricted(batch, objective.modalities)
        incomplete = conflict = None
        if self.weights.sees("incomplete"):
            incomplete = batch.showing(drawn_view(batch, objective.views, generator))
            if self.noises is not None:
                incomplete = unreliable_view(
                    batch, incomplete, self.noises, self.corruption, generator, self.gauges
                )
            incomplete = incomplete.to(device)
        if self.weights.sees("conflict"):
            target = torch.where(batch.valid, self.target[batch.row.clamp(min=0)], torch.nan)
            dialogue = self.dialogue[batch.row[:, 0]]
            conflict = conflict_view(batch, dialogue, target, self.donors, self.rates, generator).to(device)
        batch = batch.to(device)
        references = None if self.references is None else self.references.of(batch)
        return terms_of(network, batch, incomplete, conflict, references, self.weights, self.options)
