"""Encoders: batches change nothing, padding changes nothing, absences are named; on tiny random models."""

import shutil
from itertools import pairwise
from pathlib import Path

import fixture_encoders
import numpy as np
import polars as pl
import pytest
import torch
from films import tone, write
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    PreTrainedTokenizerFast,
    ResNetConfig,
    ResNetModel,
    RobertaConfig,
    RobertaModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
)

from pipeline import audio, text, visual, weights
from pipeline.core import absence, artefacts, device
from pipeline.core.errors import PipelineError
from pipeline.core.registries import encoders
from pipeline.encoders import fetching, loading
from pipeline.encoders.audio import windows
from pipeline.encoders.loading import by_length
from pipeline.extraction.faces import CROPS
from pipeline.extraction.feature_table import FeatureTable
from pipeline.faces import UTTERANCES
from pipeline.settings.encoders import AudioSettings, TextSettings, VisualSettings, WeightsSettings

CPU = torch.device("cpu")
WORDS = "we see that you are here now and not there so go on then please".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    vocabulary = {name: k for k, name in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, mask_token="<mask>", **names)
    fast.model_max_length = 32
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = RobertaConfig(
        vocab_size=len(vocabulary), max_position_embeddings=34, pad_token_id=1, type_vocab_size=1, **sizes
    )
    RobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def save_speech(folder: Path, norm: str) -> Path:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = Wav2Vec2Config(
        conv_dim=(8,) * 7,
        feat_extract_norm=norm,
        conv_bias=norm == "layer",
        do_stable_layer_norm=norm == "layer",
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        **sizes,
    )
    Wav2Vec2Model(config).save_pretrained(folder)
    masked = norm == "layer"
    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=masked).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["layer", "group"])
def audio_folder(request, tmp_path_factory) -> Path:
    return save_speech(tmp_path_factory.mktemp("audio"), request.param)


@pytest.fixture(scope="module")
def visual_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("visual")
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic")
    ResNetModel(config).save_pretrained(folder)
    facts = {"size": {"height": 48, "width": 48}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    artefacts.save_json(folder / "preprocessor_config.json", facts)
    return folder


def test_text_in_a_batch_equals_text_alone(text_folder):
    texts = [" ".join(WORDS[k : k + 1 + 2 * k]) for k in range(7)]
    batched = encoders.encoder("text", text_folder).load(text_folder, TextSettings(batch=8), CPU)
    alone = encoders.encoder("text", text_folder).load(text_folder, TextSettings(batch=1), CPU)
    for one, other, words in zip(batched.encode(texts), alone.encode(texts), texts, strict=True):
        assert one.shape == (len(words.split()), 16)
        assert one == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize(
    ("size", "side"), [(48, 48), ({"height": 32, "width": 32}, 32), ({"shortest_edge": 24}, 24)]
)
def test_crops_are_scaled_to_the_side_that_the_preprocessor_names(visual_folder, tmp_path, size, side):
    copy = shutil.copytree(visual_folder, tmp_path / "encoder")
    facts = artefacts.load_json(copy / "preprocessor_config.json")
    artefacts.save_json(copy / "preprocessor_config.json", facts | {"size": size})
    encoder = encoders.encoder("visual", copy).load(copy, VisualSettings(), CPU)
    assert encoder.inputs(np.zeros((2, 40, 40, 3), np.uint8)).shape == (2, 3, side, side)


@pytest.mark.fault(
    "weights", "a preprocessor that names no square side", "the load stops, naming what is needed"
)
def test_a_preprocessor_that_names_no_side_is_refused(visual_folder, tmp_path):
    copy = shutil.copytree(visual_folder, tmp_path / "encoder")
    facts = artefacts.load_json(copy / "preprocessor_config.json")
    artefacts.save_json(copy / "preprocessor_config.json", facts | {"size": {"longest_edge": 48}})
    with pytest.raises(PipelineError, match="its size names longest_edge, and height or shortest_edge"):
        encoders.encoder("visual", copy).load(copy, VisualSettings(), CPU)


@pytest.mark.parametrize("modality", ["text", "audio", "visual"])
def test_half_precision_gives_nearly_the_same_features_in_float32(modality, tmp_path):
    fixture_encoders.place(tmp_path)
    (folder,) = (tmp_path / "weights").glob(f"tests--{modality}/*")
    generator = np.random.default_rng(0)
    inputs = {
        "text": ["Words of an utterance", "an utterance"],
        "audio": [generator.standard_normal(4000).astype(np.float32)],
        "visual": generator.integers(0, 256, (3, 40, 40, 3), dtype=np.uint8),
    }[modality]
    settings = {"text": TextSettings, "audio": AudioSettings, "visual": VisualSettings}[modality]()
    module = encoders.encoder(modality, folder)
    full = np.concatenate(list(module.load(folder, settings, CPU).encode(inputs)))
    with device.computing(CPU, "bfloat16"):
        half = np.concatenate(list(module.load(folder, settings, CPU).encode(inputs)))
    assert half.dtype == np.float32
    error = np.linalg.norm(half - full) / np.linalg.norm(full)
    assert 0 < error < 0.02


@pytest.mark.parametrize("kernel", [2, 8, 16, 32])
@pytest.mark.parametrize("channels", [1, 2, 4, 8, 12, 24, 32, 48])
def test_products_in_half_precision_are_right_for_convolutions_of_any_width(channels, kernel):
    """With matrix tiles (AMX) those of 2 to 31 channels a group are wrong by as much as they are large."""
    torch.manual_seed(0)
    conv = torch.nn.Conv1d(4 * channels, 4 * channels, kernel, groups=4)
    model = torch.nn.Sequential(conv)
    values = torch.randn(2, 4 * channels, 100)
    with torch.inference_mode():
        full = model(values)
        loading.narrow_in_float32(model)
        assert torch.equal(model(values), full)
        with device.computing(CPU, "bfloat16"):
            half = model(values.bfloat16()).float()
    assert (half - full).norm() < 0.02 * full.norm()


@pytest.mark.fault(
    "text", "an utterance of more words than the encoder reads", "it is cut, and counted in the log"
)
def test_long_text_is_cut_and_counted(text_folder):
    model = encoders.encoder("text", text_folder).load(text_folder, TextSettings(), CPU)
    assert len(model.encode([" ".join(WORDS * 9)])[0]) == 30
    assert model.lengths([" ".join(WORDS * 9), "we see"]) == [32, 4]
    assert model.most == 32


@pytest.mark.fault(
    "config",
    "a layer that the encoder does not have",
    "the stage stops, naming the key and the layers there are",
)
def test_layers_are_averaged_and_checked(text_folder):
    def encoded(layers):
        settings = TextSettings(layers=layers)
        return encoders.encoder("text", text_folder).load(text_folder, settings, CPU).encode(["we see"])[0]

    assert encoded([1, 2]) == pytest.approx((encoded([1]) + encoded([2])) / 2, abs=1e-6)
    assert encoded([-1]) == pytest.approx(encoded([2]))
    with pytest.raises(PipelineError, match=r"encoders\.text\.layers"):
        encoded([3])


def test_sound_in_a_batch_equals_sound_alone(audio_folder):
    generator = np.random.default_rng(0)
    sounds = [generator.standard_normal(n).astype(np.float32) for n in (400, 5000, 5000, 16_000, 7777)]
    batched = encoders.encoder("audio", audio_folder).load(audio_folder, AudioSettings(batch=8), CPU)
    alone = encoders.encoder("audio", audio_folder).load(audio_folder, AudioSettings(batch=1), CPU)
    assert batched.shortest == 400
    for one, other in zip(batched.encode(sounds), alone.encode(sounds), strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_a_long_sound_is_encoded_without_padding(audio_folder):
    sound = np.random.default_rng(0).standard_normal(35_000).astype(np.float32)
    settings = AudioSettings(window=1)
    frames = encoders.encoder("audio", audio_folder).load(audio_folder, settings, CPU).encode([sound])[0]
    assert len(frames) == pytest.approx(35_000 / 320, abs=4)


@given(st.integers(1, 100_000), st.integers(1000, 50_000))
def test_windows_cover_all_samples_once(samples, most):
    pieces = windows(samples, most)
    assert pieces[0][0] == 0 and pieces[-1][1] == samples
    assert all(before[1] == after[0] for before, after in pairwise(pieces))
    lengths = [high - low for low, high in pieces]
    assert max(lengths) <= most and max(lengths) - min(lengths) <= 1


@given(st.lists(st.integers(1, 9)), st.integers(1, 5), st.booleans())
def test_batches_partition_the_inputs(lengths, most, equal):
    batches = by_length(lengths, most, equal)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    assert all(len(batch) <= most for batch in batches)
    assert not equal or all(len({lengths[place] for place in batch}) == 1 for batch in batches)


def test_crops_in_a_batch_equal_crops_alone(visual_folder):
    crops = np.random.default_rng(0).integers(0, 256, (9, 160, 160, 3), dtype=np.uint8)
    load = encoders.encoder("visual", visual_folder).load
    together = load(visual_folder, VisualSettings(batch=4), CPU).encode(crops)
    alone = load(visual_folder, VisualSettings(batch=1), CPU).encode(crops)
    assert together.shape == (9, 12)
    assert together == pytest.approx(alone, abs=1e-5)


def shard(folder: Path, rows: list[dict]) -> Path:
    kinds = {"utterance": pl.String, "text": pl.String, "media": pl.String}
    kinds |= {"start": pl.Float64, "end": pl.Float64, "withheld": pl.String}
    rows = [{"withheld": None} | row for row in rows]
    artefacts.save_table(folder / "shard.parquet", pl.DataFrame(rows, schema=kinds))
    return folder / "shard.parquet"


def stored(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, str | None]]:
    arrays = artefacts.load_tensors(folder / "f.safetensors")
    table = artefacts.load_table(folder / "f.parquet")
    assert (table["available"] == table["reason"].is_null()).all()
    absent = ~table["available"].to_numpy()
    assert (arrays["pooled"][absent] == 0).all()
    assert (np.abs(arrays["pooled"][~absent]).max(1, initial=0) > 0).all()
    return arrays, dict(zip(table["utterance"], table["reason"], strict=True))


def outputs(folder: Path) -> dict[str, Path]:
    return {"features": folder / "f.safetensors", "index": folder / "f.parquet"}


@pytest.mark.fault("text", "an utterance without words, or of blanks alone", "it lacks text: no_text")
def test_text_stage_names_absences_and_keeps_frames(tmp_path, text_folder):
    said = {"a": "we see", "b": None, "c": "  ", "d": "you are here"}
    rows = [{"utterance": k, "text": v, "media": "", "start": 0.0, "end": 1.0} for k, v in said.items()]
    params = text.Params(encoder=TextSettings(frames=True), device="cpu")
    text.run(params, shard=shard(tmp_path, rows), encoder=text_folder, **outputs(tmp_path))
    arrays, reasons = stored(tmp_path)
    assert reasons == {"a": None, "b": "no_text", "c": "no_text", "d": None}
    assert arrays["offsets"].tolist() == [0, 2, 2, 2, 5]
    assert arrays["pooled"][3] == pytest.approx(arrays["frames"][2:].mean(0), abs=1e-6)


@pytest.mark.fault(
    "sound",
    "silent, too short, withheld or late utterances, files without sound or not there",
    "each lacks sound, with its reason",
)
def test_audio_stage_names_absences(tmp_path, audio_folder):
    voiced = write(tmp_path / "voiced.mp4", sound=tone(4, 48_000, begins=2))
    mute = write(tmp_path / "mute.mp4", pictures=3)
    cases = {
        "fine": (voiced, 2.5, 3.5, None),
        "silent": (voiced, 0.5, 1.5, absence.SILENT),
        "short": (voiced, 3.0, 3.02, absence.TOO_SHORT),
        "late": (voiced, 8.0, 9.0, absence.OUT_OF_RANGE),
        "withheld": (voiced, 2.5, 3.5, "wrong_cut"),
        "mute": (mute, 0.0, 0.2, absence.NO_AUDIO),
        "gone": (tmp_path / "gone.mp4", 0.0, 1.0, absence.FILE_MISSING),
    }
    rows = [
        {"utterance": name, "text": None, "media": str(path), "start": start, "end": end}
        | {"withheld": "wrong_cut" if name == "withheld" else None}
        for name, (path, start, end, _) in cases.items()
    ]
    params = audio.Params(device="cpu")
    audio.run(params, shard=shard(tmp_path, rows), encoder=audio_folder, **outputs(tmp_path))
    assert stored(tmp_path)[1] == {name: case[3] for name, case in cases.items()}


@pytest.mark.fault("sound", "sound tracks that cannot be decoded", "their utterances lack sound: undecodable")
def test_audio_stage_finds_a_wrong_path_and_lets_broken_tracks_be(tmp_path, audio_folder):
    def run(paths: list[Path]) -> None:
        rows = [
            {"utterance": str(n), "text": None, "media": str(path), "start": 0.0, "end": 1.0}
            | {"withheld": None if n else "wrong_cut"}
            for n, path in enumerate(paths)
        ]
        params = audio.Params(device="cpu")
        audio.run(params, shard=shard(tmp_path, rows), encoder=audio_folder, **outputs(tmp_path))

    broken = [tmp_path / f"{n}.mp4" for n in range(4)]
    with pytest.raises(PipelineError, match="not one of the 3 media files"):
        run(broken)
    for path in broken:
        path.write_text("no sound")
    run(broken)
    assert stored(tmp_path)[1] == {"0": "wrong_cut"} | {name: absence.UNDECODABLE for name in "123"}


def test_visual_stage_pools_the_crops_of_each_utterance(tmp_path, visual_folder):
    crops = np.random.default_rng(0).integers(0, 256, (5, 160, 160, 3), dtype=np.uint8)
    artefacts.save_tensors(tmp_path / "faces/crops.safetensors", {"crops": crops})
    owners = pl.DataFrame({"utterance": ["a", "a", "c", "c", "c"]})
    boxes = [pl.lit(None, kind).alias(name) for name, kind in CROPS.items() if name != "utterance"]
    artefacts.save_table(tmp_path / "faces/crops.parquet", owners.with_columns(boxes))
    found = {"utterance": ["a", "b", "c"], "crops": [2, 0, 3], "reason": [None, "no_face", None]}
    table = pl.DataFrame(
        found | {k: [None] * 3 for k in UTTERANCES if k not in found}, schema_overrides=UTTERANCES
    )
    artefacts.save_table(tmp_path / "faces/utterances.parquet", table)
    rows = [{"utterance": k, "text": None, "media": "", "start": 0.0, "end": 1.0} for k in "abc"]
    inputs = {"shard": shard(tmp_path, rows), "faces": tmp_path / "faces", "encoder": visual_folder}
    visual.run(visual.Params(device="cpu"), **inputs, **outputs(tmp_path))
    arrays, reasons = stored(tmp_path)
    assert reasons == {"a": None, "b": "no_face", "c": None}
    single = encoders.encoder("visual", visual_folder).load(visual_folder, VisualSettings(), CPU)
    assert arrays["pooled"][2] == pytest.approx(single.encode(crops[2:]).mean(0), abs=1e-5)
    artefacts.save_table(tmp_path / "faces/utterances.parquet", table[::-1])
    with pytest.raises(PipelineError, match="not the faces"):
        visual.run(visual.Params(device="cpu"), **inputs, **outputs(tmp_path))


def test_an_empty_shard_has_empty_features(tmp_path, text_folder):
    params = text.Params(encoder=TextSettings(frames=True), device="cpu")
    text.run(params, shard=shard(tmp_path, []), encoder=text_folder, **outputs(tmp_path))
    assert stored(tmp_path)[0]["pooled"].shape == (0, 16)


@pytest.mark.fault(
    "weights", "an encoder whose features are not finite", "the stage stops, naming the utterance"
)
def test_features_that_are_not_finite_are_an_error():
    table = FeatureTable(["a"], 2, keep_frames=False)
    with pytest.raises(PipelineError, match="finite"):
        table.add("a", np.array([[np.nan, 1]], np.float32))


@pytest.mark.fault("weights", "a folder without config.json", "the load stops")
def test_a_folder_that_is_no_encoder_is_an_error(tmp_path):
    with pytest.raises(PipelineError, match=r"config\.json"):
        encoders.encoder("text", tmp_path)


def pinned(files: dict[str, str]) -> weights.Params:
    return weights.Params(weights=WeightsSettings(name="some/model", revision="0" * 40, files=files))


@pytest.mark.fault("weights", "a file that is not the pinned one", "`weights` stops, nothing is written")
def test_weights_placed_by_hand_are_checked_and_converted(tmp_path, monkeypatch, text_folder):
    monkeypatch.chdir(tmp_path)
    place = weights.by_hand(pinned({}).weights)
    place.parent.mkdir(parents=True)
    place.symlink_to(text_folder)
    digest = artefacts.file_digest(text_folder / "model.safetensors")
    weights.run(pinned({"model.safetensors": digest}), folder=tmp_path / "encoder")
    load = encoders.encoder("text", tmp_path / "encoder").load
    one = load(tmp_path / "encoder", TextSettings(), CPU).encode(["we see"])[0]
    assert one == pytest.approx(load(text_folder, TextSettings(), CPU).encode(["we see"])[0])
    with pytest.raises(PipelineError, match="SHA-256"):
        weights.run(pinned({"model.safetensors": "0" * 64}), folder=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def with_unpinned_parameters(folder, text_folder):
    """Write the encoder's parameters as .bin beside other ones as safetensors; the pin of the .bin."""
    for path in text_folder.iterdir():
        shutil.copy(path, folder / path.name)
    state = load_file(folder / "model.safetensors")
    torch.save(state, folder / "pytorch_model.bin")
    metadata = {"format": "pt"}
    save_file({k: torch.zeros_like(v) for k, v in state.items()}, folder / "model.safetensors", metadata)
    return {"pytorch_model.bin": artefacts.file_digest(folder / "pytorch_model.bin")}


@pytest.mark.fault("weights", "unpinned parameters beside pinned ones", "only the pinned file is read")
def test_only_the_pinned_format_is_read(tmp_path, monkeypatch, text_folder):
    monkeypatch.chdir(tmp_path)
    place = weights.by_hand(pinned({}).weights)
    place.mkdir(parents=True)
    pins = with_unpinned_parameters(place, text_folder)
    weights.run(pinned(pins), folder=tmp_path / "encoder")
    state, expected = (load_file(path / "model.safetensors") for path in (tmp_path / "encoder", text_folder))
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)
    assert (tmp_path / "encoder" / "tokenizer.json").is_file()


@pytest.mark.parametrize(
    ("files", "wanted"),
    [({}, ["model.safetensors", "pytorch_model.bin"]), ({"pytorch_model.bin": ""}, ["pytorch_model.bin"])],
)
def test_the_pinned_format_is_fetched(tmp_path, monkeypatch, text_folder, files, wanted):
    monkeypatch.chdir(tmp_path)
    hub = tmp_path / "hub"
    hub.mkdir()
    pins = with_unpinned_parameters(hub, text_folder)
    if not files:
        (hub / "model.safetensors").unlink()
    asked = []

    def download(name, revision, allow_patterns):
        asked.append(next(model for model in fetching.MODELS if model in allow_patterns))
        return str(hub)

    monkeypatch.setattr(fetching, "snapshot_download", download)
    assert fetching.fetch_hub(pinned(pins if files else {}).weights) == hub
    assert asked == wanted
    (hub / "pytorch_model.bin").unlink()
    with pytest.raises(PipelineError, match=r"no pytorch_model\.bin there"):
        fetching.fetch_hub(pinned(pins if files else {}).weights)


def test_weights_without_a_pin_are_told_so(tmp_path, caplog):
    caplog.set_level("INFO")
    weights.check_digests(pinned({}).weights, tmp_path)
    assert "no file of some/model is pinned" in caplog.text


@pytest.mark.fault(
    "weights", "the hub cannot be reached", "`weights` stops, and says where to place which files"
)
def test_weights_that_cannot_be_fetched_say_where_to_place_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def offline(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr(fetching, "snapshot_download", offline)
    with pytest.raises(PipelineError, match=r"model\.safetensors.*weights/some--model/0000"):
        weights.run(pinned({}), folder=tmp_path / "encoder")


@pytest.mark.slow
def test_inception_folder_loads_and_batches(tmp_path):
    from facenet_pytorch import InceptionResnetV1

    torch.manual_seed(0)
    model = InceptionResnetV1(pretrained=None, classify=False)
    state = {**model.state_dict(), "logits.weight": torch.zeros(2, 512)}
    torch.save(state, tmp_path / "published.pt")
    weights.convert_facenet(tmp_path / "published.pt", tmp_path)
    load = encoders.encoder("visual", tmp_path).load
    crops = np.random.default_rng(0).integers(0, 256, (3, 160, 160, 3), dtype=np.uint8)
    together = load(tmp_path, VisualSettings(), CPU).encode(crops)
    assert together.shape == (3, 512)
    assert together == pytest.approx(load(tmp_path, VisualSettings(batch=1), CPU).encode(crops), abs=1e-4)
