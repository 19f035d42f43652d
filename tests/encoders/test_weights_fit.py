"""Encoder weights that do not fit stop the stage weights and every load; known heads may be left over."""

import json
import shutil
from pathlib import Path

import fixture_encoders
import fixture_model
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    HubertConfig,
    HubertModel,
    RobertaConfig,
    RobertaForMaskedLM,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2ForPreTraining,
    Wav2Vec2Model,
)

from pipeline import weights
from pipeline.annotation.facts import read_facts
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.core.registries import encoders
from pipeline.settings.encoders import AudioSettings, TextSettings, VisualSettings, WeightsSettings

CPU = torch.device("cpu")
SETTINGS = {"text": TextSettings, "audio": AudioSettings, "visual": VisualSettings}
PUBLISHED = {"text": "roberta", "audio": "wav2vec2", "visual": "resnet"}


@pytest.fixture(scope="module")
def placed(tmp_path_factory) -> Path:
    base = tmp_path_factory.mktemp("encoders")
    fixture_encoders.place(base)
    return base


@pytest.fixture
def copy_of(placed, tmp_path):
    def made(modality: str) -> Path:
        (source,) = (placed / "weights").glob(f"tests--{modality}/*")
        target = tmp_path / "weights" / f"tests--{modality}" / fixture_encoders.REVISION
        return shutil.copytree(source, target)

    return made


def edit(folder: Path, change) -> None:
    """Write what `change` makes of the parameters."""
    path = folder / "model.safetensors"
    state = change({name: value.clone() for name, value in load_file(path).items()})
    save_file(state, path, metadata={"format": "pt"})


def load(modality: str, folder: Path, **settings):
    return encoders.encoder(modality, folder).load(folder, SETTINGS[modality](**settings), CPU)


def convert(modality: str, folder: Path) -> Path:
    """Run the stage weights on a folder that was placed by hand; the folder that it writes."""
    found = WeightsSettings(name=f"tests/{modality}", revision=fixture_encoders.REVISION)
    target = folder.parents[2] / "encoder"
    weights.run(weights.Params(weights=found), folder=target)
    return target


def refused(modality: str, folder: Path, monkeypatch, *said: str) -> None:
    """Load and stage weights end in one paragraph that says all of `said`; nothing is written."""
    monkeypatch.chdir(folder.parents[2])
    for attempt in (load, convert):
        with pytest.raises(PipelineError) as caught:
            attempt(modality, folder)
        assert all(word in str(caught.value) for word in (*said, str(folder.name))), str(caught.value)
        assert "\n" not in str(caught.value)
    assert not (folder.parents[2] / "encoder").exists()


@pytest.mark.fault(
    "weights", "all names of the parameters carry a foreign prefix", "`weights` and every load stop"
)
@pytest.mark.parametrize("modality", ["text", "audio", "visual"])
def test_a_foreign_prefix_is_refused(copy_of, monkeypatch, modality):
    folder = copy_of(modality)
    edit(folder, lambda state: {f"module.{name}": value for name, value in state.items()})
    refused(modality, folder, monkeypatch, "lacks", "module.")


@pytest.mark.parametrize("modality", ["text", "audio", "visual"])
def test_the_prefix_of_the_published_heads_fits(copy_of, modality):
    folder = copy_of(modality)
    expected = encoded(modality, folder)
    edit(folder, lambda state: {f"{PUBLISHED[modality]}.{name}": value for name, value in state.items()})
    np.testing.assert_array_equal(encoded(modality, folder), expected)


def encoded(modality: str, folder: Path, **settings) -> np.ndarray:
    generator = np.random.default_rng(0)
    inputs = {
        "text": ["Words of an utterance"],
        "audio": [generator.standard_normal(4000).astype(np.float32)],
        "visual": generator.integers(0, 256, (1, 40, 40, 3), dtype=np.uint8),
    }[modality]
    return np.concatenate(list(load(modality, folder, **settings).encode(inputs)))


def without(name: str):
    return lambda state: {key: value for key, value in state.items() if key != name}


@pytest.mark.fault("weights", "one parameter is missing", "`weights` and every load stop, naming it")
@pytest.mark.parametrize(
    ("modality", "name"),
    [
        ("text", "encoder.layer.0.output.dense.weight"),
        ("audio", "encoder.layers.0.final_layer_norm.bias"),
        ("visual", "embedder.embedder.normalization.running_mean"),
    ],
)
def test_a_missing_parameter_is_named(copy_of, monkeypatch, modality, name):
    folder = copy_of(modality)
    edit(folder, without(name))
    refused(modality, folder, monkeypatch, f"lacks {name}")


@pytest.mark.fault(
    "weights", "the parameters have other shapes than config.json says", "`weights` and every load stop"
)
def test_parameters_of_another_size_are_refused(copy_of, monkeypatch):
    folder = copy_of("text")
    facts = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(facts | {"intermediate_size": 24}))
    refused("text", folder, monkeypatch, "encoder.layer.0.intermediate.dense", "another shape")


@pytest.mark.fault(
    "weights", "the file holds a layer more than config.json says", "`weights` and every load stop"
)
def test_a_layer_too_many_is_refused(copy_of, monkeypatch):
    folder = copy_of("text")
    edit(
        folder,
        lambda state: (
            state
            | {
                n.replace("layer.0", "layer.1"): v.clone()
                for n, v in state.items()
                if n.startswith("encoder.layer.0")
            }
        ),
    )
    refused("text", folder, monkeypatch, "encoder.layer.1.", "config.json")


@pytest.mark.fault("weights", "a parameter is not a number (NaN)", "`weights` and every load stop, naming it")
@pytest.mark.parametrize("modality", ["text", "audio", "visual"])
def test_parameters_that_are_not_finite_are_refused(copy_of, monkeypatch, modality):
    folder = copy_of(modality)
    name = sorted(
        name for name, value in load_file(folder / "model.safetensors").items() if value.is_floating_point()
    )[0]

    def spoil(state):
        state[name].view(-1)[0] = float("nan")
        return state

    edit(folder, spoil)
    refused(modality, folder, monkeypatch, name, "finite")


@pytest.mark.fault("weights", "the file of the weights is cut off", "`weights` and every load stop")
@pytest.mark.parametrize("modality", ["text", "audio", "visual"])
def test_a_file_that_was_cut_off_is_refused(copy_of, monkeypatch, modality):
    folder = copy_of(modality)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-500])
    refused(modality, folder, monkeypatch, "cannot be loaded")


@pytest.mark.fault(
    "weights", "config.json is no JSON, or of an unknown kind of model", "`weights` and every load stop"
)
@pytest.mark.parametrize("text", ['{"model_type": "tests_unknown"}', "{", "[]", '{"model_type": 3}', "{}"])
def test_a_config_that_names_no_known_model_is_refused(copy_of, monkeypatch, text):
    folder = copy_of("text")
    (folder / "config.json").write_text(text)
    refused("text", folder, monkeypatch)


@pytest.mark.fault("weights", "the tokenizer's files are missing", "`weights` and every load stop")
def test_a_folder_without_tokenizer_is_refused(copy_of, monkeypatch):
    folder = copy_of("text")
    for path in folder.iterdir():
        if path.name not in ("config.json", "model.safetensors"):
            path.unlink()
    refused("text", folder, monkeypatch, "tokenizer")


@pytest.mark.fault(
    "weights", "the tokenizer is of a model with a larger vocabulary", "`weights` and every load stop"
)
def test_a_tokenizer_of_another_model_is_refused(copy_of, monkeypatch):
    folder = copy_of("text")
    facts = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(facts | {"vocab_size": 40}))
    edit(
        folder,
        lambda s: (
            s | {"embeddings.word_embeddings.weight": s["embeddings.word_embeddings.weight"][:40].clone()}
        ),
    )
    refused("text", folder, monkeypatch, "tokenizer", "40")


@pytest.mark.fault("weights", "the feature extractor's settings are missing", "`weights` and every load stop")
def test_sound_without_an_extractor_is_refused(copy_of, monkeypatch):
    folder = copy_of("audio")
    (folder / "preprocessor_config.json").unlink()
    refused("audio", folder, monkeypatch)


SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
CONVOLUTIONS = {
    "conv_dim": (8, 8),
    "conv_stride": (10, 8),
    "conv_kernel": (20, 16),
    "num_feat_extract_layers": 2,
}
POSITIONS = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}


def speech(kind, stable: bool = False):
    torch.manual_seed(0)
    config = HubertConfig if kind is HubertModel else Wav2Vec2Config
    shape = {"feat_extract_norm": "layer" if stable else "group", "do_stable_layer_norm": stable}
    quantizer = {"codevector_dim": 16, "proj_codevector_dim": 8, "num_codevectors_per_group": 4}
    return kind(config(**SIZES, **CONVOLUTIONS, **POSITIONS, **shape, **quantizer))


@pytest.mark.parametrize("kind", [Wav2Vec2ForPreTraining, Wav2Vec2ForCTC])
def test_known_heads_may_be_left_over(tmp_path, kind):
    """wav2vec2-base is published with its quantizer, fine-tuned ones with their letters."""
    model = speech(kind)
    model.save_pretrained(tmp_path / "heads")
    model.wav2vec2.save_pretrained(tmp_path / "bare")
    for folder in (tmp_path / "heads", tmp_path / "bare"):
        Wav2Vec2FeatureExtractor().save_pretrained(folder)
    np.testing.assert_array_equal(encoded("audio", tmp_path / "heads"), encoded("audio", tmp_path / "bare"))


def test_what_only_training_uses_may_be_missing(copy_of):
    folder = copy_of("audio")
    expected = encoded("audio", folder)
    edit(folder, without("masked_spec_embed"))
    np.testing.assert_array_equal(encoded("audio", folder), expected)


def test_a_language_model_head_may_be_left_over(copy_of):
    folder = copy_of("text")
    expected = encoded("text", folder)
    config = RobertaConfig.from_pretrained(folder)
    whole = RobertaForMaskedLM(config)
    own = {f"roberta.{name}": value for name, value in load_file(folder / "model.safetensors").items()}
    whole.load_state_dict(own, strict=False)
    whole.save_pretrained(folder)
    np.testing.assert_array_equal(encoded("text", folder), expected)


@pytest.mark.parametrize("kind", [Wav2Vec2Model, HubertModel])
@pytest.mark.parametrize("stable", [True, False])
def test_the_last_layer_is_the_output_of_the_encoder(tmp_path, kind, stable):
    """Also where a norm follows the last layer, as in the large models of speech."""
    model = speech(kind, stable).eval()
    with torch.no_grad():
        model.encoder.layer_norm.weight.mul_(3)
    model.save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(tmp_path)
    sound = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    with torch.inference_mode():
        output = model(torch.from_numpy(sound)[None], output_hidden_states=True)
    own = output.last_hidden_state[0].numpy()
    first = output.hidden_states[0][0].numpy()
    for layers in ([-1], [1]):
        (found,) = load("audio", tmp_path, layers=layers).encode([sound])
        np.testing.assert_allclose(found, own, atol=1e-5)
    (mean,) = load("audio", tmp_path, layers=[0, -1]).encode([sound])
    np.testing.assert_allclose(mean, (own + first) / 2, atol=1e-5)
    (before,) = load("audio", tmp_path, final_norm=False).encode([sound])
    np.testing.assert_allclose(before, output.hidden_states[-1][0].numpy(), atol=1e-5)
    assert np.allclose(before, own, atol=1e-3) != stable


@pytest.mark.fault(
    "weights", "the published file of the face encoder is another", "`weights` stops, nothing is written"
)
@pytest.mark.parametrize("what", ["other names", "no archive", "no file"])
def test_facenet_weights_that_do_not_fit_are_refused(tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    found = WeightsSettings(name=weights.FACENET, revision="v2.2.9")
    place = weights.by_hand(found)
    place.mkdir(parents=True)
    path = place / weights.FACENET_FILE
    if what == "other names":
        torch.save({"module.conv2d_1a.conv.weight": torch.zeros(3)}, path)
    elif what == "no archive":
        path.write_text("<html>not found</html>")
    with pytest.raises(PipelineError, match=weights.FACENET_FILE):
        weights.run(weights.Params(weights=found), folder=tmp_path / "encoder")
    assert not (tmp_path / "encoder").exists()


@pytest.mark.fault(
    "weights",
    "a speech encoder with an adapter behind its layers",
    "the load stops: its output is not that of a layer",
)
def test_an_adapter_is_refused(tmp_path):
    torch.manual_seed(0)
    config = Wav2Vec2Config(**SIZES, **CONVOLUTIONS, **POSITIONS, add_adapter=True, num_adapter_layers=1)
    Wav2Vec2Model(config).save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    with pytest.raises(PipelineError, match="adapter"):
        load("audio", tmp_path)


def test_a_model_of_before_reads_the_layer_that_it_was_trained_on(tmp_path):
    """Folders that say nothing of `final_norm` were made from the state before it."""
    folder = fixture_model.write_model(tmp_path / "model")
    path = folder / "config.json"
    raw = artefacts.load_json(path)
    for own in raw["extraction"].values():
        own.pop("final_norm", None)
    artefacts.save_json(path, raw)
    told = read_facts(folder).extraction
    assert (told.text.final_norm, told.audio.final_norm, told.visual.final_norm) == (False, False, True)
