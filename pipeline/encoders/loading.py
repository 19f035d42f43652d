"""What the encoders share: loading a local folder, the average of layers, pieces of a batch."""

import pickle
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

from pipeline.core.errors import PipelineError

N = TypeVar("N", bound=nn.Module)
logging.disable_progress_bar()  # of weights that load in a moment; it would tear the job's log

# what a published file may hold beside the encoder, by the first words of their names: heads of pretraining
# and of classifiers, and what only they use
LEFT_OVER = (
    *("lm_head", "cls", "classifier", "pre_classifier", "score", "qa_outputs", "pooler", "dropout"),
    *(
        "quantizer",
        "project_q",
        "project_hid",
        "projector",
        "layer_weights",
        "final_proj",
        "label_embs_concat",
    ),
    *("decoder", "mask_token", "embeddings.position_ids", "embeddings.mask_token"),
)
# what a published file may lack, for no hidden state depends on it: masks of training, the pooled sentence
LACKING = ("masked_spec_embed", "mask_token", "embeddings.mask_token", "pooler", "embeddings.position_ids")
TILED = 32  # channels of a group from which products in bfloat16 are right everywhere
TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model")
REMEDY = (
    "It must be a folder as save_pretrained writes it; delete it and rerun the stage standins or weights, or "
    "place the right files in weights/."
)


def from_folder(loader: Callable[..., Any], folder: Path, **options: Any) -> Any:
    """`loader(folder)`, of local files only; raises PipelineError if the folder lacks what it needs."""
    try:
        return loader(str(folder), local_files_only=True, **options)
    except (
        *(OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError),
        *(SafetensorError, pickle.UnpicklingError),
    ) as error:
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise PipelineError(f"{folder}: cannot be loaded ({said}). {REMEDY}") from error


def torch_state(path: Path) -> dict[str, Any]:
    """What a published file of torch holds, read without running what is pickled in it.

    Raises PipelineError if it cannot be read, or holds no dictionary.
    """
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, ValueError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise PipelineError(
            f"{path}: cannot be read as weights of torch ({next(iter(str(error).splitlines()), '')}). Fetch "
            "it again, or place the right file."
        ) from error


def saved_state(path: Path) -> dict[str, Tensor]:
    """The tensors that the stage weights saved; raises PipelineError if they cannot be read."""
    try:
        return load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise PipelineError(
            f"{path}: cannot be read as safetensors ({error}). Delete the folder and rerun the stage weights."
        ) from error


def fitted(network: N, state: Mapping[str, Tensor], path: Path, what: str) -> N:
    """A network of this project's own with these parameters; raises PipelineError if they are not its.

    path, what: the file that they come from, and whose weights it should hold.
    """
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise PipelineError(
            f"{path}: not the weights of {what} ({' '.join(str(error).split())[:300]}). Fetch or place the "
            "right file, and rerun the stage weights."
        ) from error
    if spoilt := not_finite(network):
        raise PipelineError(
            f"{path}: {spoilt[0]} holds numbers that are not finite. Fetch or place the right file, and "
            "rerun the stage weights."
        )
    return network


def model_from_folder(folder: Path, kind: str, loader: Any = AutoModel) -> Any:
    """The model of a local folder in float32, all of whose parameters are those of the folder.

    kind: the `model_type` of its config.json; loader: the library's class that makes it. Raises
    PipelineError, with the names, for parameters that are missing, left over, of another shape or not finite;
    heads and other unused ones (`LEFT_OVER`, `LACKING`) may differ.
    """
    options = {"add_pooling_layer": False} if kind in ("roberta", "bert", "xlm-roberta") else {}
    model, told = from_folder(
        loader.from_pretrained,
        folder,
        dtype=torch.float32,
        output_loading_info=True,
        # what does not fit is named below
        ignore_mismatched_sizes=True,
        **options,
    )
    missing = _used(told["missing_keys"], LACKING)
    # a counter of training batches that no evaluation reads
    missing = [name for name in missing if not name.endswith(".num_batches_tracked")]
    left = _used(told["unexpected_keys"], LEFT_OVER, getattr(model, "base_model_prefix", ""))
    shapes = [str(found[0]) if isinstance(found, tuple) else str(found) for found in told["mismatched_keys"]]
    faults = [
        ("it lacks {}, which would be filled with random numbers", missing),
        ("config.json does not know {}", left),
        ("config.json gives another shape to {}", sorted(shapes)),
        ("not finite is {}", not_finite(model)),
    ]
    said = [text.format(_few(names)) for text, names in faults if names]
    if said:
        raise PipelineError(
            f"{folder}: these weights do not fit a model of the kind {kind}: {'; '.join(said)}. {REMEDY}"
        )
    narrow_in_float32(model)
    return model


def narrow_in_float32(model: nn.Module) -> None:
    """Have narrow convolutions compute in float32 on a CPU, whatever the precision of the others.

    oneDNN's products in bfloat16 on a CPU with matrix tiles (AMX) are wrong, without a word, for convolutions
    of 2 to 31 channels a group whose kernels are long. They are a small part of the work.
    """
    for part in model.modules():
        if not isinstance(part, nn.Conv1d | nn.Conv2d):
            continue
        channels = part.in_channels // part.groups
        if 1 < channels < TILED and channels * part.kernel_size[-1] >= 2 * TILED:
            setattr(part, "forward", _in_float32(part.forward))  # noqa: B010


def _in_float32(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def computed(values: Tensor) -> Tensor:
        if values.device.type != "cpu":
            return forward(values)
        with torch.autocast("cpu", enabled=False):
            return forward(values.float())

    return computed


def _used(names: Collection[str], unused: Sequence[str], prefix: str = "") -> list[str]:
    """Those of the names that begin with none of `unused`, with or without the `prefix`."""
    bare = {name: name.removeprefix(f"{prefix}.") if prefix else name for name in names}
    return sorted(
        name
        for name, short in bare.items()
        if not any(short == start or short.startswith(f"{start}.") for start in unused)
    )


def not_finite(model: nn.Module) -> list[str]:
    """Names of the parameters and buffers that hold NaN or infinity."""
    return [
        name
        for name, value in model.state_dict().items()
        if value.is_floating_point() and not bool(torch.isfinite(value).all())
    ]


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def tokenizer_from_folder(folder: Path, model: Any) -> Any:
    """The tokenizer of a local folder that goes with its `model`.

    Raises PipelineError if the model reads no text, the tokenizer's files are missing (the library would make
    one that knows no word), or it has more tokens than the model.
    """
    try:
        embeddings = model.get_input_embeddings().num_embeddings
    except (NotImplementedError, AttributeError) as error:
        raise PipelineError(
            f"{folder}: a model of the kind {model.config.model_type} reads no text. If it reads sound or "
            "pictures, its preprocessor_config.json is missing: place it there, too."
        ) from error
    if not any(next(folder.glob(name), None) for name in TOKENIZERS):
        raise PipelineError(
            f"{folder}: the tokenizer is missing: there is none of {', '.join(TOKENIZERS)}. {REMEDY}"
        )
    tokenizer = from_folder(AutoTokenizer.from_pretrained, folder)
    if not len(tokenizer.all_special_ids) < len(tokenizer) <= embeddings:
        raise PipelineError(
            f"{folder}: the tokenizer has {len(tokenizer)} tokens ({len(tokenizer.all_special_ids)} of them "
            f"special) and the model knows {embeddings}, so they are not of one encoder. {REMEDY}"
        )
    return tokenizer


def checked_layers(layers: Sequence[int], count: int, key: str) -> list[int]:
    """Layer numbers as indices into `count` hidden states; raises PipelineError if one does not exist."""
    for layer in layers:
        if not -count <= layer < count:
            raise PipelineError(
                f"config, key {key}: there is no layer {layer}; this encoder has {count} hidden states "
                f"(0 ... {count - 1}, or -1 for the last)."
            )
    return list(layers)


def hidden_states(output: Any, final_norm: bool) -> list[Float[Tensor, "..."]]:
    """The hidden states of a model's output, the embedding first; the last one is the encoder's own output.

    final_norm: false gives the last one as the last layer leaves it, before the norm that follows in some
    models, as earlier versions of this project took it.
    """
    states = list(output.hidden_states)
    # some models count the state before their last norm as the last one
    return [*states[:-1], output.last_hidden_state] if final_norm else states


def mean_layers(states: Sequence[Float[Tensor, "..."]], layers: Sequence[int]) -> Float[Tensor, "..."]:
    """The mean of the chosen hidden states, in float32."""
    return torch.stack([states[layer].float() for layer in layers]).mean(0)


def by_length(
    lengths: Sequence[int], most: int | None, equal: bool, budget: int | None = None
) -> list[list[int]]:
    """Places of inputs grouped into batches of at most `most`, of similar (or equal) length.

    budget: most that a batch may hold with its padding, unless one input alone holds more. Sorting by length
    keeps padding small; ties keep their order, so that the grouping is repeatable.
    """
    order = sorted(range(len(lengths)), key=lambda place: lengths[place])
    batches: list[list[int]] = []
    for place in order:
        last = batches[-1] if batches else []
        fits = most is None or len(last) < most
        within = budget is None or (len(last) + 1) * lengths[place] <= budget
        if last and fits and within and not (equal and lengths[last[0]] != lengths[place]):
            last.append(place)
        else:
            batches.append([place])
    return batches
