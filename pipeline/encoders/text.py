"""Text encoders of the transformers library, safe under padding with a mask (RoBERTa and its kin)."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import AutoConfig, BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

from pipeline.core.device import fetched, fitting, onto
from pipeline.encoders.loading import (
    by_length,
    checked_layers,
    from_folder,
    hidden_states,
    mean_layers,
    model_from_folder,
    tokenizer_from_folder,
)
from pipeline.settings.encoders import TextSettings


class TextEncoder:
    """Token features of sentences."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        model: PreTrainedModel,
        settings: TextSettings,
        device: torch.device,
    ) -> None:
        self.tokenizer, self.model = tokenizer, model
        self.settings, self.device = settings, device
        # tokens of a forward pass, padding included; None: it takes `batch` texts
        self.budget = settings.tokens if device.type == "cuda" else None
        self.dimension = int(model.config.hidden_size)
        self.layers = checked_layers(
            settings.layers, model.config.num_hidden_layers + 1, "encoders.text.layers"
        )
        # RoBERTa numbers positions from the padding index + 1, so two of its positions are never used
        self.most = min(settings.most_tokens, tokenizer.model_max_length)
        positions = getattr(model.config, "max_position_embeddings", None)
        if positions is not None:
            self.most = min(self.most, positions - 2)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as the encoder reads it."""
        read = (self.tokenizer(text, truncation=True, max_length=self.most) for text in texts)
        return [len(row["input_ids"]) for row in read]

    def batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Which of the texts of these lengths (tokens) share a forward pass."""
        if self.budget is None:
            return by_length(lengths, self.settings.batch, equal=False)
        return by_length(lengths, None, equal=False, budget=self.budget)

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Float32 (tokens, dimension) of each text, without the special tokens (unless it has no others)."""
        encoded = [
            self.tokenizer(text, truncation=True, max_length=self.most, return_special_tokens_mask=True)
            for text in texts
        ]
        lengths = [len(row["input_ids"]) for row in encoded]
        features: dict[int, np.ndarray] = {}
        for (places, shown), pooled in fetched(self._begun(encoded, lengths)):
            for place, row, kept in zip(places, pooled, shown, strict=True):
                own = row[kept]
                words = np.array(encoded[place]["special_tokens_mask"]) == 0
                features[place] = own[words] if words.any() else own
        return [features[place] for place in range(len(texts))]

    def _begun(
        self, encoded: Sequence[BatchEncoding], lengths: Sequence[int]
    ) -> Iterator[tuple[tuple[list[int], np.ndarray], Tensor]]:
        """Batch by batch which texts are in it, which of their columns are no padding, and their features."""
        for places in self.batches(lengths):
            rows = [{"input_ids": encoded[place]["input_ids"]} for place in places]
            batch = self.tokenizer.pad(rows, padding=True, return_tensors="pt")
            # padding may stand on either side; the mask says where the tokens are
            shown = batch["attention_mask"].numpy() > 0
            with fitting("encoders.text.tokens"):
                inputs = {name: onto(self.device, values) for name, values in batch.items()}
                output = self.model(**inputs, output_hidden_states=True)
                pooled = mean_layers(hidden_states(output, self.settings.final_norm), self.layers)
            yield (places, shown), pooled


def load(folder: Path, settings: TextSettings, device: torch.device) -> TextEncoder:
    """Load a local folder in float32; raises PipelineError if its parts do not fit each other."""
    config = from_folder(AutoConfig.from_pretrained, folder)
    model = model_from_folder(folder, config.model_type)
    tokenizer = tokenizer_from_folder(folder, model)
    return TextEncoder(tokenizer, model.to(device).eval(), settings, device)
