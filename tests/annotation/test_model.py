"""An exported model: it loads, predicts what its network says, and refuses what is not its own."""

import shutil

import numpy as np
import pytest
import torch
from fixture_model import LABELS, WIDTH, write_model
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from models.modalities import MODALITIES
from pipeline.annotation.exported import pieces
from pipeline.annotation.facts import EMBEDDED_NOTICE
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.model import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("exported") / "model")


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "model")


def features(count: int, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    generator = np.random.default_rng(seed)
    arrays = {name: generator.normal(size=(count, WIDTH)).astype(np.float32) for name in MODALITIES}
    return arrays, generator.random((count, 3)) < 0.7


def test_probabilities_of_one_dialogue(folder):
    model = load(folder)
    arrays, available = features(5)
    values = model.predict(arrays, available, list("ABABA"))
    assert values.shape == (5, len(LABELS))
    assert values.sum(1) == pytest.approx(np.ones(5))
    # what is absent is not read, and speakers are names only
    arrays["audio"][~available[:, 1]] = np.nan
    assert (model.predict(arrays, available, list("CDCDC")) == values).all()
    assert not (model.predict(arrays, available, list("AAAAA")) == values).all()


def test_the_normalisation_is_applied(folder):
    model = load(folder)
    arrays, available = features(3)
    available[:] = True
    moved = {}
    for name, array in arrays.items():
        own = model.normalisation[name]
        unwhitened = array if own.whitening is None else array @ np.linalg.inv(own.whitening)
        moved[name] = unwhitened * own.scale + own.mean
    batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
    from pipeline.annotation.exported import _batch

    with torch.inference_mode():
        logits = model.network(_batch(batch, available, ["A"] * 3, 0, 3)).logits[0]
    assert model.predict(moved, available) == pytest.approx(torch.softmax(logits, -1).numpy(), abs=1e-5)


def test_a_modality_that_the_variant_never_saw_is_not_read(tmp_path):
    model = load(write_model(tmp_path / "model", shown=["text"]))
    arrays, available = features(4)
    available[:] = True
    other = arrays | {"visual": arrays["visual"] + 5}
    assert (model.predict(arrays, available) == model.predict(other, available)).all()


def test_long_dialogues_are_judged_in_pieces(folder):
    model = load(folder)
    arrays, available = features(50)
    whole = model.predict(arrays, available)
    assert (model.predict(arrays, available, stretch=50, context=0) == whole).all()
    parts = model.predict(arrays, available, stretch=10, context=5)
    assert parts.shape == whole.shape
    first, known = {name: array[:15] for name, array in arrays.items()}, available[:15]
    assert parts[:10] == pytest.approx(model.predict(first, known)[:10], abs=1e-6)


@given(st.integers(0, 400), st.integers(4, 60), st.integers(0, 20))
def test_pieces_judge_every_utterance_once(count, stretch, context):
    judged = [place for _, low, high, _ in pieces(count, stretch, context) for place in range(low, high)]
    assert judged == list(range(count))
    for first, low, high, last in pieces(count, stretch, context):
        assert high - low <= stretch
        assert (first, last) == (max(0, low - context), min(count, high + context))


def test_the_notice_is_said_at_every_load(folder, caplog):
    load(folder)
    assert EMBEDDED_NOTICE in caplog.text


@pytest.mark.fault("weights", "features of another width than a model reads", "`predict` stops, naming both")
def test_features_of_another_width_are_refused(folder):
    arrays, available = features(2)
    with pytest.raises(PipelineError, match=r"audio features of shape \(2, 3\).*\(2, 16\)"):
        load(folder).predict(arrays | {"audio": np.zeros((2, 3), np.float32)}, available)


def change(folder, **keys):
    path = folder / "config.json"
    artefacts.save_json(path, artefacts.load_json(path) | keys)


@pytest.mark.fault(
    "weights", "a folder that is no exported model", "the load stops, and says how to make one"
)
def test_a_folder_that_is_no_model_says_how_to_make_one(tmp_path):
    with pytest.raises(PipelineError, match=r"no config\.json.*snakemake --cores all model"):
        load(tmp_path)


@pytest.mark.fault(
    "weights",
    "an exported model of another format, or whose parts are of several models",
    "the load stops, naming the file",
)
@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"format": 0}, "format 0, this version reads 1"),
        ({"task": "guessing"}, "key task"),
        ({"labels": ["one"]}, "not of one model"),
        ({"extraction": {}}, r"extraction\.faces"),
    ],
)
def test_another_format_or_a_damaged_folder_is_named(copy, keys, said):
    change(copy, **keys)
    with pytest.raises(PipelineError, match=said):
        load(copy)


def test_a_model_from_before_detectors_were_told_apart_loads(copy):
    extraction = artefacts.load_json(copy / "config.json")["extraction"]
    assert extraction["faces"].pop("detector") == "mtcnn"
    change(copy, extraction=extraction)
    assert load(copy).facts.extraction.faces.detector == "mtcnn"


@pytest.mark.fault("weights", "an exported model whose encoder is another", "annotate stops, naming the file")
def test_a_changed_encoder_is_refused(copy):
    model = load(copy)
    model.encoder_folder("text")
    (copy / "encoders" / "text" / "config.json").write_text("{}")
    with pytest.raises(PipelineError, match="not the file that this model was exported with"):
        model.encoder_folder("text")


@pytest.mark.fault(
    "weights",
    "an exported model without its public encoder",
    "annotate stops with the command that fetches it",
)
def test_a_public_encoder_that_is_not_there_is_named_with_the_command_that_fetches_it(copy):
    weights = {"name": "some/encoder", "revision": "0" * 40, "files": {}}
    change(
        copy, encoders={name: {"source": "public", "weights": weights, "files": {}} for name in MODALITIES}
    )
    shutil.rmtree(copy / "encoders")
    with pytest.raises(PipelineError, match=r"python -m pipeline\.weights --params .*some/encoder"):
        load(copy).encoder_folder("audio")


@pytest.mark.fault(
    "weights",
    "an exported model without the network that chose its faces",
    "annotate stops with the command that fetches it",
)
def test_a_model_whose_faces_a_network_chose_brings_its_pin_along(copy):
    assert load(copy).chooser_folder() is None
    weights = {"name": "Junhua-Liao/Light-ASD", "revision": "0" * 40, "files": {}}
    change(copy, chooser={"source": "public", "weights": weights, "files": {"model.safetensors": "0" * 64}})
    with pytest.raises(PipelineError, match=r'pipeline\.weights --params .*"kind": "chooser".*Light-ASD'):
        load(copy).chooser_folder()
    (copy / "chooser").mkdir()
    (copy / "chooser" / "model.safetensors").write_bytes(b"another")
    with pytest.raises(PipelineError, match="not the file that this model was exported with"):
        load(copy).chooser_folder()


@pytest.mark.fault(
    "weights", "a model of given features is to annotate a video", "annotate stops, and says why"
)
def test_a_model_of_given_features_reads_no_video(copy):
    change(copy, encoders={name: {"source": "none", "files": {}} for name in MODALITIES})
    with pytest.raises(PipelineError, match="extracted elsewhere"):
        load(copy).encoder_folder("visual")


@pytest.mark.fault(
    "weights",
    "a flipped bit in an exported model",
    "the load stops: copy the folder again, or export it anew",
)
@pytest.mark.parametrize("name", ["weights.safetensors", "normalisation.safetensors", "config.json"])
def test_a_flipped_bit_of_an_exported_model_is_noticed(copy, name):
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(PipelineError, match=rf"{name}.*(Copy the|export)"):
        load(copy)


def test_an_exported_model_without_checksums_loads_with_lines_in_the_log(copy, caplog):
    """As versions of before wrote it."""
    caplog.set_level("INFO", "pipeline")
    expected = load(copy)
    for name in ("weights.safetensors", "normalisation.safetensors"):
        arrays, metadata = artefacts.load_tensors(copy / name), artefacts.load_metadata(copy / name)
        save_file(arrays, copy / name, metadata=metadata)
    artefacts.save_json(copy / "config.json", artefacts.load_json(copy / "config.json"), seal=False)
    assert "no checksum" not in caplog.text
    found = load(copy)
    assert caplog.text.count("no checksum") == 3
    assert found.facts == expected.facts
