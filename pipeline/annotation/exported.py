"""An exported model in memory: its facts, its network, and what it says of features.

What the folder holds stands in docs/artefacts.md; `pipeline.model` is the door for everybody else.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float

from models.batch import Batch
from models.modalities import MODALITIES
from models.network import Network
from pipeline.annotation.facts import EXPORTED, MAKE, EncoderFacts, ModelFacts, read_facts
from pipeline.core import artefacts
from pipeline.core.digests import file_digest
from pipeline.core.errors import PipelineError
from pipeline.training import checkpoint
from pipeline.training.networks import name_of
from pipeline.training.normalisation import Normalisation, stored

log = logging.getLogger("pipeline")


@dataclass(frozen=True)
class ExportedModel:
    """A network in eval mode on the CPU, and all that stands between a video and its features."""

    folder: Path
    facts: ModelFacts
    network: Network
    normalisation: dict[str, Normalisation]  # by modality

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.facts.labels)

    @property
    def regression(self) -> bool:
        return self.facts.task == "regression"

    @property
    def dimensions(self) -> dict[str, int]:
        """Width of the features, by modality."""
        return {name: len(own.mean) for name, own in self.normalisation.items()}

    def encoder_folder(self, modality: str) -> Path:
        """The folder of one encoder, its files checked.

        Raises PipelineError if it has to be fetched first, or its files are not those of the export.
        """
        facts = self.facts.encoders[modality]
        if facts.source == "none":
            raise PipelineError(
                f"{self.folder}: this model was trained on {modality} features that were extracted "
                "elsewhere, so it cannot read a video. Extract the same features and call its `predict`."
            )
        return self._checked(facts, self.folder / "encoders" / modality, f"{modality} encoder", "encoder")

    def chooser_folder(self) -> Path | None:
        """The folder of the network that chooses the face that speaks, its files checked; None if none does.

        Raises PipelineError as `encoder_folder`.
        """
        if self.facts.chooser.source == "none":
            return None
        return self._checked(self.facts.chooser, self.folder / "chooser", "chooser of faces", "chooser")

    def _checked(self, facts: EncoderFacts, folder: Path, what: str, kind: str) -> Path:
        if not folder.is_dir():
            weights = facts.weights.model_dump_json() if facts.weights else "{}"
            params = f'{{"kind": "{kind}", "weights": {weights}}}'
            raise PipelineError(
                f"{folder}: the public {what} of this model is not there. Fetch it once (where there is "
                f"internet): python -m pipeline.weights --params '{params}' --folder {folder}"
            )
        for name, digest in facts.files.items():
            # what converts public weights may write its small files in another way tomorrow
            if facts.source == "public" and not name.endswith(".safetensors"):
                continue
            path = folder / name
            if not path.is_file() or file_digest(path) != digest:
                raise PipelineError(
                    f"{path}: not the file that this model was exported with. Copy the model's folder again, "
                    f"or export it anew: {MAKE}"
                )
        return folder

    @torch.inference_mode()
    def predict(
        self,
        features: Mapping[str, Float[np.ndarray, "u _"]],
        available: Bool[np.ndarray, "u 3"],
        speakers: Sequence[str] | None = None,
        *,
        stretch: int = 128,
        context: int = 16,
    ) -> Float[np.ndarray, "u c"]:
        """Probabilities of the classes, or one score, for the utterances of one dialogue in their order.

        features: by modality, as the encoders give them (not normalised); available: in the order text,
        audio, visual; speakers: a name an utterance, one for all if left out. A dialogue of more than
        `stretch` utterances is judged in pieces that also see `context` utterances on either side.
        Raises PipelineError if a width is not the network's.
        """
        count = len(available)
        available = available & np.array([name in self.facts.shown for name in MODALITIES])
        inputs = {}
        for column, name in enumerate(MODALITIES):
            given = np.asarray(features[name], np.float32)
            if given.shape != (count, self.dimensions[name]):
                raise PipelineError(
                    f"{name} features of shape {given.shape}: this model reads ({count}, "
                    f"{self.dimensions[name]}). Extract them with the encoder that its config.json names."
                )
            inputs[name] = torch.from_numpy(self.normalisation[name](given, available[:, column]))
        names = list(speakers) if speakers is not None else [""] * count
        outputs = []
        for first, low, high, last in pieces(count, stretch, context):
            logits = self.network(_batch(inputs, available, names, first, last)).logits[0]
            outputs.append(logits[low - first : high - first])
        logits = torch.cat(outputs) if outputs else torch.zeros(0, max(1, len(self.labels)))
        values = logits if self.regression else torch.softmax(logits.double(), dim=-1)
        return values.float().numpy()


def pieces(count: int, stretch: int, context: int) -> Iterator[tuple[int, int, int, int]]:
    """Pieces of at most `stretch` utterances: first seen, first judged, last judged + 1, last seen + 1."""
    number = -(-count // stretch)
    edges = np.linspace(0, count, number + 1).round().astype(int).tolist() if number else []
    for low, high in pairwise(edges):
        yield max(0, low - context), low, high, min(count, high + context)


def _batch(
    inputs: Mapping[str, torch.Tensor], available: np.ndarray, names: Sequence[str], first: int, last: int
) -> Batch:
    """One dialogue, or a piece of one, without padding."""
    order: dict[str, int] = {}
    speaker = torch.tensor([[order.setdefault(name, len(order)) for name in names[first:last]]])
    shape = speaker.shape
    return Batch(
        features={name: value[None, first:last] for name, value in inputs.items()},
        available=torch.from_numpy(available[None, first:last].copy()),
        speaker=speaker,
        valid=torch.ones(shape, dtype=torch.bool),
        label=torch.full(shape, -1),
        score=torch.full(shape, torch.nan),
        row=torch.arange(first, last)[None],
    )


def load(folder: Path | str) -> ExportedModel:
    """Read an exported model; says its notice, if it has one.

    Raises PipelineError if the folder is no exported model, is of another format, or its parts contradict
    each other.
    """
    folder = Path(folder)
    facts = read_facts(folder)
    network, _ = checkpoint.load_network(folder / "weights.safetensors", EXPORTED)
    arrays = artefacts.load_tensors(folder / "normalisation.safetensors", source=EXPORTED)
    whole = [name for name in MODALITIES if {f"{name}_mean", f"{name}_scale"} <= arrays.keys()]
    known = {name: stored(arrays, name) for name in whole}
    widths = {name: len(known[name].mean) if name in known else None for name in MODALITIES}
    name, shape = name_of(network), network.shape.as_dict()
    outputs = 1 if facts.task == "regression" else len(facts.labels)
    # keys that a network has got since then are not in a folder of before, and have their defaults
    former = shape.keys() - facts.shape.keys()
    same = (name, shape) == (facts.network, {**facts.shape, **{key: shape[key] for key in former}})
    if not same or widths != shape["dimensions"] or outputs != shape["outputs"]:
        raise PipelineError(
            f"{folder}: config.json, weights.safetensors and normalisation.safetensors are not of one model. "
            f"Copy the folder again, or export it anew: {MAKE}"
        )
    if facts.notice:
        log.warning("%s", facts.notice)
    return ExportedModel(folder, facts, network, known)
