"""Light-ASD: what the published layout means, its sound, its weights, and how it judges a track."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from pipeline import corpus, faces, manifest, weights
from pipeline.core import artefacts
from pipeline.core.errors import PipelineError
from pipeline.encoders import fetching, light_asd
from pipeline.extraction import learned
from pipeline.extraction.casting import casting
from pipeline.extraction.detection import Face
from pipeline.extraction.looking import View, sample_times
from pipeline.extraction.tracking import Track
from pipeline.settings.corpus import CorpusSettings
from pipeline.settings.encoders import WeightsSettings
from pipeline.settings.faces import FacesSettings
from pipeline.settings.process import ProcessSettings

CPU = torch.device("cpu")
PUBLISHED = WeightsSettings(name="Junhua-Liao/Light-ASD", revision="0" * 40, files={})
RATE = 16_000


def published(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights under the names and in the shapes of the published file."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) / math.sqrt(math.prod(shape[1:]) or 1)

    state = {}
    for name, first in (("visual", "s"), ("audio", "m")):
        for block, (inputs, outputs) in enumerate(((1, 32), (32, 64), (64, 128)), 1):
            layers = {"last": (outputs, 1, 1)}
            for size in (3, 5):
                layers |= {f"{first}_{size}": (inputs, size, 1), f"t_{size}": (outputs, 1, size)}
            for layer, (before, across, along) in layers.items():
                kernel = (along, across, across) if name == "visual" else (across, along)
                path = f"model.{name}Encoder.block{block}"
                state[f"{path}.{layer}.weight"] = drawn(outputs, before, *kernel)
                state[f"{path}.bn_{layer}.weight"] = 1 + 0.1 * drawn(outputs)
                state[f"{path}.bn_{layer}.bias"] = 0.1 * drawn(outputs)
                state[f"{path}.bn_{layer}.running_mean"] = 0.1 * drawn(outputs)
                state[f"{path}.bn_{layer}.running_var"] = 1 + drawn(outputs).abs()
                state[f"{path}.bn_{layer}.num_batches_tracked"] = torch.tensor(7)
    for way in ("forward", "backward"):
        for kind in ("ih", "hh"):
            state[f"model.GRU.gru_{way}.weight_{kind}_l0"] = drawn(384, 128)
            state[f"model.GRU.gru_{way}.bias_{kind}_l0"] = drawn(384)
    for head in ("lossAV", "lossV"):
        state |= {f"{head}.FC.weight": drawn(2, 128), f"{head}.FC.bias": drawn(2)}
    return state


def plainly(state: dict[str, torch.Tensor], faces: np.ndarray, cepstra: np.ndarray) -> np.ndarray:
    """What the published layout computes, written out: logit of speaking minus that of not, a picture."""

    def layer(values: torch.Tensor, path: str, name: str, stride: tuple[int, ...] | int = 1) -> torch.Tensor:
        kernel = state[f"{path}.{name}.weight"]
        padding = [size // 2 for size in kernel.shape[2:]]
        conv = F.conv3d if kernel.dim() == 5 else F.conv2d
        norm = {
            key: state[f"{path}.bn_{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")
        }
        return F.relu(F.batch_norm(conv(values, kernel, None, stride, padding), **norm, eps=1e-3))

    def block(values: torch.Tensor, path: str, first: str, stride: tuple[int, ...] | int) -> torch.Tensor:
        both = [layer(layer(values, path, f"{first}_{n}", stride), path, f"t_{n}") for n in (3, 5)]
        return layer(both[0] + both[1], path, "last")

    def gru(values: torch.Tensor, way: str) -> torch.Tensor:
        made = torch.nn.GRU(128, 128, batch_first=True)
        made.load_state_dict(
            {key.removeprefix(f"model.GRU.gru_{way}."): v for key, v in state.items() if f"gru_{way}" in key}
        )
        return F.gelu(made(values)[0])

    seen = (torch.from_numpy(faces.astype(np.float32))[None, None] / 255 - 0.4161) / 0.1688
    seen = block(seen, "model.visualEncoder.block1", "s", (1, 2, 2))
    seen = F.max_pool3d(seen, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    seen = block(seen, "model.visualEncoder.block2", "s", 1)
    seen = F.max_pool3d(seen, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    seen = block(seen, "model.visualEncoder.block3", "s", 1).flatten(3).max(3).values[0].T
    heard = torch.from_numpy(cepstra.astype(np.float32)).T[None, None]
    heard = F.max_pool2d(block(heard, "model.audioEncoder.block1", "m", 1), (1, 3), (1, 2), (0, 1))
    heard = F.max_pool2d(block(heard, "model.audioEncoder.block2", "m", 1), (1, 3), (1, 2), (0, 1))
    heard = block(heard, "model.audioEncoder.block3", "m", 1).mean(2)[0].T
    both = gru(gru((seen + heard)[None], "forward").flip(1), "backward").flip(1)[0]
    logits = both @ state["lossAV.FC.weight"].T + state["lossAV.FC.bias"]
    return (logits[:, 1] - logits[:, 0]).detach().numpy()


def plain_cepstra(sound: np.ndarray, frames: int) -> np.ndarray:
    """Frame by frame and band by band, by the definitions."""
    loud = [32768 * float(value) for value in sound] + [0.0] * 400
    loud = [value - 0.97 * (loud[k - 1] if k else 0) for k, value in enumerate(loud)]
    top = 2595 * math.log10(1 + 8000 / 700)
    edges = [math.floor(513 * 700 * (10 ** (top * k / 27 / 2595) - 1) / RATE) for k in range(28)]
    found = np.zeros((frames, 13))
    for frame in range(frames):
        own = np.array(loud[160 * frame : 160 * frame + 400] + [0.0] * 112)
        power = np.abs(np.fft.fft(own)[:257]) ** 2 / 512
        bands = []
        for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False):
            rising = sum(power[k] * (k - low) / (middle - low) for k in range(low, middle))
            falling = sum(power[k] * (high - k) / (high - middle) for k in range(middle, high))
            bands.append(math.log(rising + falling))
        for k in range(1, 13):
            turned = sum(band * math.cos(math.pi * k * (n + 0.5) / 26) for n, band in enumerate(bands))
            found[frame, k] = turned * math.sqrt(2 / 26) * (1 + 11 * math.sin(math.pi * k / 22))
        found[frame, 0] = math.log(power.sum())
    return found


@pytest.fixture(scope="module")
def chooser(tmp_path_factory):
    """The folder that the stage weights makes of random weights that were placed by hand."""
    base = tmp_path_factory.mktemp("chooser")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        placed(published())
        weights.run(weights.Params(weights=PUBLISHED, kind="chooser"), folder=base / "chooser")
    return base / "chooser"


def placed(state: object) -> None:
    """Lay a file of torch where the weights are looked for."""
    place = weights.by_hand(PUBLISHED)
    place.mkdir(parents=True, exist_ok=True)
    torch.save(state, place / "finetuning_TalkSet.model")


def scene(seed: int, pictures: int) -> tuple[np.ndarray, np.ndarray]:
    """Faces and sound."""
    generator = np.random.default_rng(seed)
    seen = generator.integers(0, 256, (pictures, 112, 112)).astype(np.uint8)
    return seen, (0.1 * generator.standard_normal(pictures * 640)).astype(np.float32)


def test_it_computes_what_the_published_layout_says(chooser):
    seen, sound = scene(0, 9)
    network = light_asd.load(chooser, CPU)
    expected = plainly(published(), seen, plain_cepstra(sound, 36))
    assert np.ptp(expected) > 0.01
    assert network.log_odds(seen, sound) == pytest.approx(expected, abs=1e-4)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 4000))
def test_cepstra_are_those_of_the_definitions(seed, pictures, samples):
    sound = np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)
    found = light_asd.cepstra(sound, pictures)
    assert found.shape == (4 * pictures, 13)
    whole = min(4 * pictures, max(0, (samples - 400) // 160 + 1))  # frames with sound to their ends
    assert found[:whole] == pytest.approx(plain_cepstra(sound, whole), abs=2e-3)
    assert np.isfinite(found).all()


def test_a_long_film_is_seen_in_parts_that_follow_each_other(chooser):
    seen, sound = scene(1, 12)
    network = light_asd.load(chooser, CPU)
    longest = light_asd.LONGEST
    try:
        light_asd.LONGEST = 6 / light_asd.RATE
        parts = network.log_odds(seen, sound)
    finally:
        light_asd.LONGEST = longest
    shown = torch.from_numpy(seen.astype(np.float32) / 255)[None]
    heard = torch.from_numpy(light_asd.cepstra(sound, 12))[None]
    with torch.inference_mode():
        halves = [
            network.network(shown[:, low : low + 6], heard[:, 4 * low : 4 * low + 24])[0] for low in (0, 6)
        ]
        swapped = network.network(shown[:, 6:], heard[:, :24])[0].numpy()
    assert parts == pytest.approx(torch.cat(halves).numpy(), abs=1e-6)
    assert np.abs(parts[6:] - swapped).max() > 1e-5


@pytest.mark.fault("weights", "a file that is not Light-ASD's", "names what does not fit")
def test_other_weights_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = weights.Params(weights=PUBLISHED, kind="chooser")
    state = published()
    short = {name: value for name, value in state.items() if "gru_forward" not in name}
    for other, said in (
        (short, "not the weights of Light-ASD.*forwards"),
        ([1, 2], "cannot be read as weights"),
        ({**state, "lossAV.FC.bias": torch.full((2,), torch.nan)}, "verdict.bias holds numbers"),
        ({**state, "model.visualEncoder.block4.s_3.weight": torch.zeros(1)}, "not the weights of Light-ASD"),
    ):
        placed(other)
        with pytest.raises(PipelineError, match=said):
            weights.run(params, folder=tmp_path / "chooser")
        assert not (tmp_path / "chooser").exists()
    placed(state)
    pinned = PUBLISHED.model_copy(update={"files": {"finetuning_TalkSet.model": "0" * 64}})
    with pytest.raises(PipelineError, match="the config pins"):
        weights.run(weights.Params(weights=pinned, kind="chooser"), folder=tmp_path / "chooser")
    other = PUBLISHED.model_copy(update={"files": {"mine.model": "0" * 64}})
    with pytest.raises(PipelineError, match=r"mine\.model: missing"):
        weights.run(weights.Params(weights=other, kind="chooser"), folder=tmp_path / "chooser")


@pytest.mark.fault("weights", "no Light-ASD placed, and no network", "names file, address and place")
def test_without_network_the_message_says_what_to_place_where(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(PipelineError) as caught:
        weights.run(weights.Params(weights=PUBLISHED, kind="chooser"), folder=tmp_path / "chooser")
    said = str(caught.value)
    assert f"{fetching.RAW_URL}/Junhua-Liao/Light-ASD/{'0' * 40}/weight/finetuning_TalkSet.model" in said
    assert f"place them in {weights.by_hand(PUBLISHED)}/" in said
    assert "\n" not in said


def view(picture: np.ndarray, time: float = 0.0) -> View:
    return View(time, time + 0.02, picture, lambda whole: (whole, 1.0))


def face(x0: float, y0: float, x1: float, y1: float) -> Face:
    return Face(np.array([x0, y0, x1, y1]), 1.0, np.zeros((5, 2)))


def test_of_a_face_the_lower_middle_is_seen():
    picture = np.zeros((400, 400, 3), np.uint8)
    # a box 100 wide and 160 high around (200, 200): 112 px around (200, 232)
    picture[176:288, 144:256] = np.arange(112, dtype=np.uint8)[:, None, None]
    seen = learned.lower_face(picture, face(150, 120, 250, 280).box)
    assert np.array_equal(seen, np.repeat(np.arange(112, dtype=np.uint8)[:, None], 112, 1))
    # over the border all is grey, wherever the box is
    outside = learned.lower_face(picture, face(-900, -900, -800, -800).box)
    assert outside.shape == (112, 112) and set(np.unique(outside)) == {learned.GREY}
    half = learned.lower_face(np.zeros_like(picture), face(-50, 100, 50, 200).box)
    assert half[:, :54].min() == learned.GREY and half[:, 58:].max() == 0


@given(
    st.lists(st.floats(0, 10), min_size=2, max_size=30, unique=True), st.lists(st.floats(-1, 11), max_size=20)
)
def test_pictures_are_those_nearest_in_time(times, wanted):
    times = np.sort(times)
    for time, place in zip(wanted, learned.nearest(times, np.array(wanted)), strict=True):
        assert abs(times[place] - time) == np.abs(times - time).min()


@pytest.fixture(scope="module")
def judge(chooser):
    return casting(FacesSettings(choice="light_asd", motion_rate=30), CPU, chooser=chooser).judge


def track(times: np.ndarray, seed: int = 0) -> Track:
    generator = np.random.default_rng(seed)
    patches = [generator.integers(0, 256, (112, 112)).astype(np.uint8) for _ in times]
    return Track(0, patch_times=list(times), patches=patches)


def test_a_score_is_the_mean_of_the_log_odds_bent_into_its_bounds(chooser, judge):
    times = 1 + (np.arange(8) + 0.5) / 25
    own = track(times)
    sound = scene(3, 60)[1]
    odds = light_asd.load(chooser, CPU).log_odds(np.stack(own.patches), sound[16_000:])
    score = judge.score(own, sound, 0.0, 2.0)
    assert score == pytest.approx(2 * math.tanh(odds.mean() / 4), abs=1e-6)
    assert judge.score(track(times[:2]), sound, 0.0, 2.0) == 0.0
    # what is heard before and after the face is seen does not matter
    other = sound.copy()
    other[:16_000] = 0
    other[16_000 + 8 * 640 + 400 :] = 0
    assert judge.score(own, other, 0.0, 2.0) == score


class Stub(light_asd.SpeakingNetwork):
    """Remembers what a network is shown and what it hears."""

    def __init__(self) -> None:
        pass

    def log_odds(self, seen: np.ndarray, sound: np.ndarray) -> np.ndarray:
        self.seen, self.sound = seen, sound
        return np.ones(len(seen), np.float32)


def test_a_film_of_another_rate_is_seen_at_the_networks_own():
    slow, stub = track((np.arange(7) + 0.5) / 10), Stub()
    sound = scene(4, 60)[1]
    assert learned.LearnedJudge(stub).score(slow, sound, 0, 1) == pytest.approx(2 * math.tanh(0.25))
    shown = [slow.patches[place] for place in (0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4, 5, 5, 6, 6)]
    assert np.array_equal(stub.seen, np.stack(shown))
    # from the time at which the first begins, as far as the last goes
    assert np.array_equal(stub.sound, sound[480 : 480 + 16 * 640 + 400])


def test_a_face_at_the_beginning_hears_silence_before_it():
    stub, sound = Stub(), scene(4, 60)[1]
    learned.LearnedJudge(stub).score(track(np.arange(5) / 25), sound, 0, 1)
    assert not stub.sound[:320].any()
    assert np.array_equal(stub.sound[320:], sound[: 5 * 640 + 400 - 320])


def test_a_picture_that_is_shown_for_long_is_judged_within_its_utterance():
    """Its middle may lie far behind the utterance."""
    stub, sound = Stub(), scene(5, 600)[1]
    learned.LearnedJudge(stub).score(track(np.array([8.0, 8.5, 9.0, 40.0])), sound, 8, 11)
    assert len(stub.seen) == 76
    assert len(stub.sound) == 76 * 640 + 400


def test_what_a_track_keeps_is_cut_from_the_whole_picture(judge):
    picture = np.random.default_rng(0).integers(0, 256, (200, 200, 3)).astype(np.uint8)
    box = face(60, 60, 120, 140)
    assert np.array_equal(judge.patch(view(picture), box), learned.lower_face(picture, box.box))


@pytest.mark.fault(
    "faces", "faces.choice light_asd without its weights, or a spoilt folder", "names the folder"
)
def test_a_choice_without_its_weights_is_refused(tmp_path, chooser):
    settings = FacesSettings(choice="light_asd", motion_rate=30)
    with pytest.raises(PipelineError, match="--chooser"):
        casting(settings, CPU)
    with pytest.raises(PipelineError, match=r"no model\.safetensors"):
        casting(settings, CPU, chooser=tmp_path)
    spoilt = tmp_path / "spoilt"
    spoilt.mkdir()
    for path in chooser.iterdir():
        (spoilt / path.name).write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PipelineError, match="spoilt"):
        casting(settings, CPU, chooser=spoilt)


def test_too_few_pictures_for_a_network_are_refused():
    with pytest.raises(ValueError, match="gives it 15; set motion_rate to 27 or more"):
        FacesSettings(choice="light_asd", motion_rate=15)


@pytest.mark.slow
def test_the_stage_faces_asks_the_network(tmp_path, chooser, monkeypatch):
    """Two people in every picture: the scores are the network's, whatever the number of workers."""
    process = ProcessSettings(dialogues=4, utterances=4, two_shot=1.0, off_screen=0.0)
    corpus.run(corpus.Params(process=process, seed=3, parts=4), folder=tmp_path / "part")
    made = {"manifest": tmp_path / "m.parquet", "facts": tmp_path / "f.json"}
    shard = tmp_path / "0.parquet"
    manifest.run(
        manifest.Params(corpus=CorpusSettings(shards=1)), parts=[tmp_path / "part"], **made, shards=[shard]
    )
    found = {}
    for name, cores in (("one", 1), ("two", 2), ("sure", 1)):
        if name == "sure":
            monkeypatch.setattr(
                light_asd.SpeakingNetwork, "log_odds", lambda _, seen, sound: np.full(len(seen), 2.0)
            )
        settings = FacesSettings(choice="light_asd", motion_rate=30, speaking=-2, cut=1)
        params = faces.Params(device="cpu", faces=settings)
        faces.run(params, shard=shard, folder=tmp_path / name, chooser=chooser, cores=cores)
        found[name] = artefacts.load_table(tmp_path / name / "utterances.parquet")
    assert found["one"].equals(found["two"])
    one, sure = (found[name]["score"].to_numpy() for name in ("one", "sure"))
    assert sure == pytest.approx(2 * math.tanh(0.5)) and not np.allclose(one, sure)
    for name in ("crops.safetensors", "crops.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@given(st.floats(1, 10), st.floats(1, 60))
def test_a_network_has_as_many_looks_as_it_was_trained_on(rate, motion_rate):
    """Faces are looked for in one of so many whole looks, so that 25 asked for at 3 are 24."""
    try:
        own = FacesSettings(choice="light_asd", rate=rate, motion_rate=motion_rate)
    except ValueError:
        return
    assert len(list(sample_times(0.0, 8.0, own))) >= 8 * 25 - 1


@pytest.mark.fault("weights", "two files of Light-ASD pinned", "says how a pin is lifted")
def test_of_two_pinned_files_none_is_taken_in_silence():
    one, other = {"finetuning_TalkSet.model": "0" * 64}, {"mine.model": "1" * 64}
    with pytest.raises(PipelineError, match=r"one file is read\. Lift the pin"):
        fetching.chooser_file(PUBLISHED.model_copy(update={"files": one | other}))
    assert fetching.chooser_file(PUBLISHED.model_copy(update={"files": other})) == "mine.model"
