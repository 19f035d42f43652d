"""The vectors of the labels' names: as the text encoder reads them, normalised as the dataset's text."""

import fixture_encoders
import numpy as np
import pytest
import torch
from dialogues import write_dataset

from pipeline import label_names
from pipeline.core import artefacts
from pipeline.core.registries import encoders
from pipeline.settings.encoders import TextSettings
from pipeline.training import normalisation


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders")
    fixture_encoders.place(folder)
    return folder / "weights" / "tests--text" / fixture_encoders.REVISION


def test_names_are_read_as_the_text_of_the_dataset_is(tmp_path, encoder):
    model = encoders.encoder("text", encoder).load(encoder, TextSettings(), torch.device("cpu"))
    dataset, labels = write_dataset(tmp_path / "dataset"), ["very_glad", "sad", "at rest"]
    facts = artefacts.load_json(dataset / "facts.json")
    artefacts.save_json(dataset / "facts.json", facts | {"labels": labels})
    random = np.random.default_rng(0)
    seen = random.normal(3, 2, size=(40, model.dimension)).astype(np.float32)
    fitted = normalisation.fit(seen, np.ones(40, dtype=bool))
    arrays = artefacts.load_tensors(dataset / "features.safetensors")
    artefacts.save_tensors(dataset / "features.safetensors", arrays | fitted.arrays("text"))
    path = tmp_path / "names.safetensors"
    params = label_names.Params(device="cpu")
    label_names.run(params, dataset=dataset, encoder=encoder, names=path)
    found = artefacts.load_tensors(path)["text"]
    pooled = np.stack([frames.mean(0) for frames in model.encode(["very glad", "sad", "at rest"])])
    np.testing.assert_allclose(found, (pooled - fitted.mean) / fitted.scale, rtol=1e-3, atol=1e-4)
    assert found.dtype == np.float32
    before = path.read_bytes()
    label_names.run(params, dataset=dataset, encoder=encoder, names=path)
    assert path.read_bytes() == before


def test_scores_have_no_names(tmp_path, encoder):
    dataset = write_dataset(tmp_path / "dataset", regression=True)
    arrays = artefacts.load_tensors(dataset / "features.safetensors")
    width = {"text_mean": np.zeros(16, np.float32), "text_scale": np.ones(16, np.float32)}
    artefacts.save_tensors(dataset / "features.safetensors", arrays | width)
    model = encoders.encoder("text", encoder).load(encoder, TextSettings(), torch.device("cpu"))
    path = tmp_path / "names.safetensors"
    label_names.run(label_names.Params(device="cpu"), dataset=dataset, encoder=encoder, names=path)
    assert artefacts.load_tensors(path)["text"].shape == (0, model.dimension)
