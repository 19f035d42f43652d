"""Which face speaks, where drawn faces are as hard to read as filmed ones.

    python benchmarks/filmed_speakers.py [--films 24] [--seed 2000] [--chooser FOLDER]

Each film is one utterance of two people at 320 x 240 and 30 pictures a second: faces of about 38 x 52 pixels,
heads that move and turn while they speak and listen, listeners that nod, smile and open their mouths, lips
that follow the voice loosely, early or late, MPEG-4 at a low rate, and in a third of the films a cut to a
camera that sees both from elsewhere. Every face that is found is a speaker's or a listener's.

Printed is the area under the curve of the score (the chance that a speaker's is above a listener's) over all
faces, the number of films in which the best face is not the speaker's, and the shares of speakers' faces, of
listeners', and of speakers' under the sound of the film before, that pass a threshold (`faces.speaking`).
--chooser: the folder that the rule `chooser` makes of the weights of `light_asd`, which is judged as well.
Films of different seeds share nothing. The score of `lips_in_step` was made with those from 0 and from 1000
on (20 each) before the eyes, and its border set on the first 20; those from 2000 on judge it.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipeline.core import media
from pipeline.core.registries import detectors
from pipeline.core.registries.choices import CHOICES, LEARNED
from pipeline.extraction.choosing import choose
from pipeline.extraction.detection import Detector
from pipeline.extraction.judging import Judge, judging
from pipeline.extraction.looking import seen
from pipeline.extraction.people import apart
from pipeline.extraction.tracking import Track, Tracker
from pipeline.extraction.watching import Watch
from pipeline.settings.faces import FacesSettings
from pipeline.settings.process import ProcessSettings
from pipeline.settings.rendering import RenderingSettings
from pipeline.synth.acting import Shot, loudness, wander
from pipeline.synth.backdrop import room
from pipeline.synth.face import Person, Pose
from pipeline.synth.face_expression import blend, expression
from pipeline.synth.face_identity import make_identity
from pipeline.synth.microphone import draw_room, hiss, record
from pipeline.synth.mux import Muxer
from pipeline.synth.script import write_dialogue
from pipeline.synth.voice import RATE, make_voice, speak

CPU = torch.device("cpu")
FPS, WIDTH, HEIGHT = 30, 320, 240
SCALE = 32.0  # px from the middle of a head to its chin: faces are about 38 x 52 px
MOODS = ("neutral", "joy", "surprise", "sadness", "disgust")
SETTINGS = FacesSettings(min_face=24)  # the faces are smaller than the default finds
OFTEN = 30.0  # pictures a second that a network is shown; the others get as many as is the default


@dataclass(frozen=True)
class Scene:
    """A film on disk: its sound, and where the two heads are in each picture (x, y in pixels)."""

    path: Path
    seconds: float
    speaker: np.ndarray  # float (pictures, 2)
    listener: np.ndarray


def poses(frames: int, rng: np.random.Generator) -> list[Pose]:
    """A head that moves and turns, around (0, 0)."""
    x, y = (wander(frames, spread * SCALE, FPS, rng) for spread in (0.28, 0.15))
    roll, pitch = (wander(frames, spread, FPS, rng) for spread in (0.10, 0.14))
    # it looks elsewhere every now and then
    yaw = rng.normal(0, 0.2) + wander(frames, 0.16, FPS, rng)
    yaw = yaw + 0.35 * np.tanh(wander(frames, 1.5, FPS, rng))
    blinks = rng.random(frames) < 1 / (3 * FPS)
    return [
        Pose(float(x[k]), float(y[k]), float(roll[k]), float(yaw[k]), float(pitch[k]), blink=0.9 * blinks[k])
        for k in range(frames)
    ]


def bouts(frames: int, rng: np.random.Generator, often: float, seconds: float) -> np.ndarray:
    """Smooth events of height 1, `often` a second on average: (frames,)."""
    times, found = np.arange(frames) / FPS, np.zeros(frames)
    for _ in range(rng.poisson(often * frames / FPS)):
        middle, width = rng.uniform(0, frames / FPS), seconds * rng.uniform(0.6, 1.6)
        found = np.maximum(found, np.exp(-(((times - middle) / width) ** 2)))
    return found


def speaks(sound: np.ndarray, frames: int, rng: np.random.Generator) -> list[Shot]:
    """Lips that are open by the voice's loudness for one half, early or late by up to 100 ms.

    For the other half they follow what is said, which loudness does not tell.
    """
    late = round(rng.uniform(-0.1, 0.1) * RATE)
    loud = np.clip(loudness(np.roll(sound, late), frames, FPS), 0, 1)
    awake = np.convolve(loud, np.ones(9) / 9, "same") > 0.1
    said = np.clip(0.45 + wander(frames, 0.4, FPS, rng), 0, 1) * awake
    mouth = rng.uniform(0.15, 0.4) * (loud + said)
    mood, strength = rng.choice(MOODS), rng.uniform(0.2, 0.8)
    level = np.clip(0.5 + wander(frames, 0.35, FPS, rng), 0, 1)
    return acted(poses(frames, rng), np.clip(mouth, 0, 1), str(mood), strength, level)


def listens(frames: int, rng: np.random.Generator) -> list[Shot]:
    """Nods, smiles that come and go, a mouth that opens, laughs or chews at times."""
    times = np.arange(frames) / FPS
    nods = bouts(frames, rng, 0.5, 0.5) * np.sin(2 * np.pi * rng.uniform(1.2, 2.5) * times)
    moved = [
        replace(pose, pitch=pose.pitch + 0.22 * float(nod), y=pose.y + 2.5 * float(nod))
        for pose, nod in zip(poses(frames, rng), nods, strict=True)
    ]
    opened = bouts(frames, rng, 0.8, 0.2)
    chewed = bouts(frames, rng, 0.5, 0.6) * (0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(2, 5) * times))
    mouth = rng.uniform(0.15, 0.4) * (opened + chewed)
    mood = "joy" if rng.random() < 0.6 else str(rng.choice(MOODS))
    return acted(moved, np.clip(mouth, 0, 1), mood, rng.uniform(0.4, 1.0), bouts(frames, rng, 0.6, 0.4))


def acted(moved: list[Pose], mouth: np.ndarray, mood: str, strength: float, level: np.ndarray) -> list[Shot]:
    """Poses with a mouth and an expression that comes and goes."""
    calm, full = expression("neutral"), expression(mood, strength)
    return [
        Shot(replace(pose, mouth=float(mouth[k])), blend(calm, full, float(level[k])))
        for k, pose in enumerate(moved)
    ]


def film(seed: int, folder: Path) -> Scene:
    """Draw one film."""
    rng = np.random.default_rng([seed, 77])
    lines = write_dialogue(ProcessSettings(), seed, seed).utterances
    voice = make_voice(int(rng.integers(24)), seed)
    words = np.concatenate([speak(line.text, voice, "neutral", 0.6, rng).sound for line in lines[:2]])
    frames = int(len(words) / RATE * FPS)
    words = words[: frames * RATE // FPS]
    sound = (
        hiss(len(words), rng) + record(words, draw_room(rng), float(rng.uniform(8, 20)), rng)[: len(words)]
    )
    acts = speaks(words, frames, rng), listens(frames, rng)
    cast = [Person(make_identity(int(who), seed), SCALE) for who in rng.choice(24, 2, replace=False)]
    lamp = (float(rng.uniform(-0.7, 0.7)), float(rng.uniform(-0.7, -0.3)), 0.75)
    cut = frames // 2 if rng.random() < 1 / 3 else frames
    left = bool(rng.random() < 0.5)
    where = np.zeros((2, frames, 2))
    settings = RenderingSettings(width=WIDTH, height=HEIGHT, fps=FPS, video_rate=100_000)
    path = folder / f"{seed}.mp4"
    with Muxer(path, settings, RATE) as made:
        for first, last in ((0, cut), (cut, frames)):
            wall = room(WIDTH, HEIGHT, rng)
            heights = rng.uniform(0.4, 0.6, 2) * HEIGHT
            # the other camera has the one who was on the left on the right
            swapped = left if first == 0 else not left
            seats = [((0.3, 0.7)[(place == 0) == swapped] * WIDTH, heights[place]) for place in (0, 1)]
            for person, (x, y) in zip(cast, seats, strict=True):
                person.sit(wall, x, y)
            still = np.clip(wall + 0.5, 0, 255).astype(np.uint8)
            for k in range(first, last):
                picture = still.copy()
                for place, (person, (x, y)) in enumerate(zip(cast, seats, strict=True)):
                    shot = acts[place][k]
                    pose = replace(shot.pose, x=shot.pose.x + x, y=shot.pose.y + y)
                    person.paint(picture, pose, shot.face, lamp)
                    where[place, k] = pose.x, pose.y
                made.picture(picture)
                made.sound(sound[k * RATE // FPS : (k + 1) * RATE // FPS])
    return Scene(path, frames / FPS, where[0], where[1])


def followed(scene: Scene, detector: Detector, judge: Judge) -> list[Track]:
    """The tracks that the stage `faces` makes of a film for one judge."""
    row = {"utterance": "u", "media": str(scene.path), "start": 0.0, "end": scene.seconds, "crop": None}
    settings = detector.settings
    watch = Watch(row, settings, Tracker(settings.overlap, settings.patience), judge)
    for look, view, _ in seen([row], settings, detector.reduced, media.MOST):
        if view is not None:
            watch.look(view)
            if look.looked_for:
                watch.detect(view, detector(view.small, view.scale))
    watch.finish()
    return watch.tracker.tracks


def is_speaker(track: Track, scene: Scene) -> bool:
    """Whose head the boxes of a track are nearer to."""
    places = np.clip((np.array(track.times) * FPS).astype(int), 0, len(scene.speaker) - 1)
    middles = np.array([(face.box[:2] + face.box[2:]) / 2 for face in track.faces])
    far = [np.linalg.norm(middles - own[places], axis=1).mean() for own in (scene.speaker, scene.listener)]
    return bool(far[0] < far[1])


@dataclass
class Judged:
    """One way to choose, and what it makes of the films."""

    detector: Detector
    judge: Judge
    scores: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})
    foreign: list[float] = field(default_factory=list)  # of speakers, under the sound of another film
    sides: list[np.ndarray] = field(default_factory=list)
    wrong: int = 0

    def take(self, scene: Scene, sound: np.ndarray, former: np.ndarray | None) -> None:
        """One more film: its tracks of three detections or more."""
        tracks = [track for track in followed(scene, self.detector, self.judge) if len(track.times) > 2]
        self.sides += [face.box[2:] - face.box[:2] for track in tracks for face in track.faces]
        for track in tracks:
            speaker = is_speaker(track, scene)
            self.scores[speaker].append(self.judge.score(track, sound, 0.0, scene.seconds))
            if speaker and former is not None:
                other = np.resize(former, len(sound))
                self.foreign.append(self.judge.score(track, other, 0.0, scene.seconds))
        anyway = SETTINGS.model_copy(update={"speaking": -2.0})
        chosen, _ = choose(apart(tracks), sound, 0.0, scene.seconds, anyway, self.judge)
        self.wrong += chosen is None or not is_speaker(chosen.tracks[0], scene)


def judges(chooser: Path | None) -> dict[str, Judged]:
    """All ways to choose, the learned ones where their weights are named."""
    found = {}
    for name in CHOICES:
        if name in LEARNED and chooser is None:
            continue
        rate = OFTEN if name in LEARNED else SETTINGS.motion_rate
        settings = SETTINGS.model_copy(update={"choice": name, "motion_rate": rate})
        detector = detectors.detector(settings.detector).load(settings, CPU)
        found[name] = Judged(detector, judging(chooser, settings, CPU))
    return found


def area(speakers: list[float], listeners: list[float]) -> float:
    """The chance that a speaker's score is above a listener's."""
    one, other = np.array(speakers)[:, None], np.array(listeners)[None]
    return float(np.mean((one > other) + 0.5 * (one == other)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--films", type=int, default=24)
    parser.add_argument("--seed", type=int, default=2000, help="of the first film")
    parser.add_argument("--chooser", type=Path, help="folder of the weights of light_asd")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = judges(options.chooser)
    former: np.ndarray | None = None
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.seed, options.seed + options.films):
            scene = film(number, Path(folder))
            sound = media.hear(scene.path).samples
            for row in rows.values():
                row.take(scene, sound, former)
            scene.path.unlink()
            former = sound
    any_row = next(iter(rows.values()))
    count = {who: len(own) for who, own in any_row.scores.items()}
    size = " x ".join(f"{side:.0f}" for side in np.median(any_row.sides, axis=0))
    print(f"{options.films} films: {count[True]} faces of speakers, {count[False]} of listeners, {size} px")
    print("| choice | area | another face | threshold | speakers | listeners | another sound |")
    print("|---|---|---|---|---|---|---|")
    for name, row in rows.items():
        told = [name, f"{area(row.scores[True], row.scores[False]):.3f}", f"{row.wrong} of {options.films}"]
        for least in (SETTINGS.speaking, 0.0):
            parts = row.scores[True], row.scores[False], row.foreign
            passed = [f"{np.mean(np.array(own) >= least):.2f}" for own in parts]
            print("| " + " | ".join([*told, f"{least:g}", *passed]) + " |")


if __name__ == "__main__":
    main()
